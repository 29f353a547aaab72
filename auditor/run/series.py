"""Scores that a script adds up in plain Python: the series of numbers behind a printed score, and what each stands for.

A printed score is followed back to one place of the script if the numbers that were kept there, as nats or as bits, add up
to it to its last digit. That the n-th of them belongs to the n-th token (or byte) is known only if a variable at that place
held just these tokens (or bytes) in turn. Then what holds for recorded losses holds for them: a number that is kept before
the first replaced token must be the same, whatever comes later.

Not covered: numbers that arrays hold and add up, scores mixed or scaled after the adding, several ranks that add up apart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from auditor.run.trace import Kept, Place, Trace

Fits = Callable[[float, float | None], bool]
_MIN_SHARE = 0.5  # of the stream; of less, sums fit by chance


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers that add up to a printed score, in nats. `place` is where they were kept, `unit` what each is a cost of.

    `first` is the position of the first token that is scored. `is_ordered`: a variable there held the units in turn.
    """

    place: Place | None
    unit: str
    first: int
    costs: Sequence[float]
    is_ordered: bool

    def index_of(self, position: int, spelled: Sequence[bytes]) -> int:
        """How many numbers come before those of a position."""
        if self.unit == "tokens":
            return position - self.first
        return sum(len(each) for each in spelled[self.first : position])

    def position_of(self, index: int, spelled: Sequence[bytes]) -> int:
        """The position of the token that a number is the cost of, or of a part of."""
        if self.unit == "tokens":
            return self.first + index
        ends = itertools.accumulate(len(each) for each in spelled[self.first :])
        return self.first + sum(end <= index for end in ends)


@dataclass(frozen=True)
class Stream:
    """A validation stream: its tokens and the bytes of each."""

    tokens: Sequence[int]
    spelled: Sequence[bytes]

    @cached_property
    def units(self) -> tuple[tuple[str, int, list[int]], ...]:
        """(unit, position of the first token, all tokens or bytes from there on); the first token may be scored or not."""
        tokens = tuple(("tokens", first, list(self.tokens[first:])) for first in (1, 0))
        return tokens + tuple(("bytes", first, list(b"".join(self.spelled[first:]))) for first in (1, 0))

    def num_bytes(self, unit: str, first: int, count: int) -> int:
        """Bytes of so many tokens or bytes."""
        return count if unit == "bytes" else sum(len(each) for each in self.spelled[first : first + count])


def find_series(trace: Trace, at: int, begins: Sequence[int], stream: Stream, fits: Fits) -> Series | None:
    """The series that a line printed at event `at` is made of, since one of some events.

    `fits` says whether a mean loss in nats (per token) and bits per byte are what was printed.
    """
    found = None
    own = (blocks for (rank, _), blocks in trace.kept.items() if rank == trace.ranks[at])
    for blocks in own:
        for begin in dict.fromkeys(begins):
            held = [each for each in blocks if begin < each.at < at]
            series = _fitting(held, stream, fits) if held else None
            if series is not None and series.is_ordered:
                return series
            found = found or series
    return found


def _fitting(blocks: Sequence[Kept], stream: Stream, fits: Fits) -> Series | None:
    values = [value for each in blocks for value in each.values]
    total = abs(math.fsum(values))
    found = None
    for unit, first, units in stream.units:
        if not _MIN_SHARE * len(units) < len(values) <= len(units):
            continue
        num_bytes = stream.num_bytes(unit, first, len(values))
        for nats_each in (1.0, math.log(2)):
            num_tokens = len(values) if unit == "tokens" else len(stream.tokens) - first
            if fits(total * nats_each / num_tokens, total * nats_each / math.log(2) / num_bytes):
                sign = math.copysign(nats_each, math.fsum(values))
                costs = [value * sign for value in values]
                series = Series(blocks[0].place, unit, first, costs, _is_ordered(blocks, units[: len(values)]))
                if series.is_ordered:
                    return series
                found = found or series
    return found


def _is_ordered(blocks: Sequence[Kept], units: Sequence[int]) -> bool:
    names = set(blocks[0].names).intersection(*(each.names for each in blocks))
    return any([number for each in blocks for number in each.names[name]] == units for name in names)
