"""The validation split that scores are held against: the contest's, or the one that the caller of the audit named.

Both are known by the UTF-8 bytes of their text, which do not depend on a tokenizer. How near a run on the whole split
comes to them was measured on the contest's; the same shares are used for another. What is known of the contest's split
alone (errors by their bytes per token, other exports of it) applies to no other.
"""

from __future__ import annotations

from dataclasses import dataclass

from auditor.rule import Ruleset
from rules.limits import CANONICAL_VAL_BYTES, USUAL_VAL_BYTES_SPREAD, VAL_BYTES_TOLERANCE, Range

_SHOWN_IN_MEGABYTES = 10_000_000  # ours: smaller totals are shown to the byte


@dataclass(frozen=True, slots=True)
class Split:
    """A validation split by the bytes of its text; `name` is None for the contest's."""

    name: str | None
    num_bytes: int

    @property
    def is_contest(self) -> bool:
        """Is it the FineWeb split that the contest scores on?"""
        return self.name is None

    @property
    def whole(self) -> Range:
        """Totals that can be those of the whole split: a window may be dropped, the end trimmed."""
        return self._around(VAL_BYTES_TOLERANCE.value)

    @property
    def usual(self) -> Range:
        """Totals that runs on the whole split have."""
        return self._around(USUAL_VAL_BYTES_SPREAD.value)

    @property
    def described(self) -> str:
        """``the validation split``, or ``the split NAME``."""
        return "the validation split" if self.name is None else f"the split {self.name}"

    @property
    def described_whole(self) -> str:
        """``the full split``, or ``all of the split NAME``."""
        return "the full split" if self.name is None else f"all of {self.described}"

    def _around(self, share: float) -> Range:
        return Range(self.num_bytes * (1 - share), self.num_bytes * (1 + share))


CONTEST_SPLIT = Split(None, CANONICAL_VAL_BYTES.value)


def split_of(ruleset: Ruleset) -> Split:
    """The split that `ruleset` is applied with."""
    named = ruleset.split
    return CONTEST_SPLIT if named is None else Split(named.name, named.num_bytes)


def shown_bytes(num_bytes: float) -> str:
    """``151.08 MB``, or ``206,358 bytes`` for a small total."""
    return f"{num_bytes / 1e6:.2f} MB" if num_bytes >= _SHOWN_IN_MEGABYTES else f"{num_bytes:,.0f} bytes"
