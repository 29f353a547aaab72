"""Every number of the contest: its value, unit, source and the day since which it holds.

Why one module: a number that stands in two places drifts apart. A rule names a limit by its constant; messages and
pages print the unit and the source from here. Numbers of our own detectors (thresholds that nobody decreed) say so in
their source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar

Value = TypeVar("Value")

LAUNCH = date(2026, 3, 18)


@dataclass(frozen=True, slots=True)
class Limit(Generic[Value]):
    """A number of the contest with its unit, where it comes from, and the day since which it holds."""

    value: Value
    unit: str
    source: str
    since: date = LAUNCH


@dataclass(frozen=True, slots=True)
class Range:
    """A closed interval."""

    low: float
    high: float

    def overlaps(self, other: Range) -> bool:
        """Do the two intervals share a point?"""
        return self.low <= other.high and other.low <= self.high


RULES_AS_OF = Limit(
    date(2026, 5, 2), "date", "the organisers' final audit of pull requests #1944 to #2140", date(2026, 5, 2)
)

# ---- the validation split and its byte counts ----

CANONICAL_VAL_BYTES = Limit(
    151_080_000, "bytes", "UTF-8 size of the first 50,000 FineWeb documents, measured from the logs of the listed records"
)
VAL_BYTES_TOLERANCE = Limit(
    0.003, "share", "measured: trimming to the sequence length, a dropped window and BOS tokens move the total by less"
)
PRE_LAUNCH_EXPORT_TOKENS = Limit(
    63_779_840, "tokens", "val_tokens of the launch baseline's log, an export made before launch"
)
PRE_LAUNCH_EXPORT_BYTES = Limit(
    155_800_000, "bytes", "byte total of the launch baseline's log, an export made before launch"
)
MAX_BYTES_PER_TOKEN = Limit(
    6.0, "bytes/token", "ours: above any tokenizer of up to 65,536 pieces on English text (10,240 pieces reach 4.2)"
)

BYTES_PER_TOKEN: Mapping[int, Limit[float]] = {
    1024: Limit(2.436, "bytes/token", "measured: sp1024 on the full split, 62,021,632 tokens"),
    4096: Limit(3.3195, "bytes/token", "measured: sp4096 on the full split, 45,508,608 tokens"),
    8192: Limit(3.7265, "bytes/token", "measured: sp8192 on the full split, 40,540,160 tokens"),
}
CASEOPS_BYTES_PER_TOKEN = Limit(3.157, "bytes/token", "measured: CaseOps sp8192 with its byte sidecar, 47,851,520 tokens")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A known way of getting the byte count wrong, as it shows in bytes per token."""

    name: str
    bytes_per_token: Range
    source: str


BYTE_COUNT_FINGERPRINTS = (
    Fingerprint("the leading space of sp1024 pieces is counted twice", Range(2.850, 2.885), "rulebook, section 1"),
    Fingerprint("the leading space of sp8192 pieces is counted twice", Range(4.340, 4.430), "rulebook, section 1"),
    Fingerprint(
        "CaseOps tokens are scored with the piece table, not the byte sidecar, so that case sentinels count as bytes",
        Range(3.430, 3.450),
        "rulebook, section 1",
    ),
    Fingerprint("the text was case-folded before it was tokenised", Range(4.150, 4.170), "rulebook, section 1"),
)
SUBSET_10K_TOKENS = Limit(9_662_464, "tokens", "val_tokens of the CaseOps preparation with 10,000 validation documents")
