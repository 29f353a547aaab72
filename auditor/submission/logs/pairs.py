"""The keys and numbers of a printed line: ``val_bpb:1.0812``, ``eval_time: 235968ms``, ``"seed": 42``, ``bpb=1.1``.

One tokenizer serves all readers, so that a shape understood once is understood for every kind of fact. A number must start
with a digit: this keeps the format specifications of source lines (``{val_bpb:.4f}``) from being read as values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

NUMBER = r"[-+−]?(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?"
MAX_DIGITS = 40  # ours: a longer string of digits is no number of a log, and would overflow
_PAIR = re.compile(
    rf"""(?<![\w./+-])(?P<key>[A-Za-z_][\w./+-]*)["'*`]*(?:\s?\([^()]{{0,40}}\))?\s{{0,16}}[:=≈~]\s{{0,16}}["'*`~≈]*
         (?P<number>{NUMBER})(?:/(?P<of>\d{{1,15}}))?
         (?:\s?(?P<unit>%|[A-Za-zµ]+)(?![\w:=./-]))?""",
    re.VERBOSE,
)
_SECONDS_PER = {"s": 1.0, "sec": 1.0, "secs": 1.0, "seconds": 1.0, "m": 60.0, "min": 60.0, "mins": 60.0, "minutes": 60.0}
_SECONDS_PER |= {"h": 3600.0, "hours": 3600.0}
_PER_SECOND = {"ms": 1000.0, "us": 1e6, "µs": 1e6}  # divided by, so that 600015 ms are 600.015 s exactly


@dataclass(frozen=True, slots=True)
class Pair:
    """One key with its number. `of` is the total of a counter (``step:12/100``); `start` is where the key begins."""

    key: str
    value: float
    digits: str
    unit: str
    of: int | None
    start: int

    @property
    def num_decimals(self) -> int:
        """How many decimals were printed."""
        return num_decimals(self.digits)

    def seconds(self, default: str | None = None) -> float | None:
        """The value in seconds by its printed unit, or by `default` where none was printed; None if it is no time."""
        return in_seconds(self.value, self.unit or default or "")

    def resolution(self, default: str | None = None) -> float | None:
        """How many seconds one unit of the last printed digit stands for; None if it is no time."""
        return in_seconds(10.0**-self.num_decimals, self.unit or default or "")


def num_decimals(digits: str) -> int:
    """How many decimals a printed number has."""
    return len(re.split(r"[eE]", digits)[0].partition(".")[2])


def in_seconds(value: float, unit: str) -> float | None:
    """A time in seconds; None for a unit that is no time."""
    if unit in _PER_SECOND:
        return value / _PER_SECOND[unit]
    return value * _SECONDS_PER[unit] if unit in _SECONDS_PER else None


def find_pairs(text: str) -> tuple[Pair, ...]:
    """Every key with a number, in order."""
    return tuple(_pairs(text))


def _pairs(text: str) -> Iterator[Pair]:
    for match in _PAIR.finditer(text):
        digits = match["number"].replace(",", "").replace("−", "-")
        if len(digits) > MAX_DIGITS:
            continue
        yield Pair(
            key=match["key"],
            value=float(digits),
            digits=digits,
            unit=match["unit"] or "",
            of=int(match["of"]) if match["of"] else None,
            start=match.start(),
        )
