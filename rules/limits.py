"""Every number of the contest: its value, unit, source and the day since which it holds.

Why one module: a number that stands in two places drifts apart. A rule names a limit by its constant; messages and
pages print the unit and the source from here. Numbers of our own detectors (thresholds that nobody decreed) say so in
their source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
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
USUAL_VAL_BYTES_SPREAD = Limit(
    0.0004, "share", "measured: of 1,100 runs with a canonical total all but a dozen lie within 0.0001 of it"
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
BYTE_TOTAL_FINGERPRINTS = (
    (Range(1.03, 1.075), "the size of error that byte pieces or spaces counted as several bytes give"),
    (Range(1.20, 1.22), "the size of error that byte pieces counted by the length of their names give"),
    (Range(1.305, 1.315), "the total of the case-folded 10,240-piece export, which is another split"),
)  # byte total as a multiple of the canonical one, measured on #1143 #1274 #1405, #1184 #1813, #1814 #1971 #2022
CLEARLY_PARTIAL = Limit(
    0.9, "share", "ours: a total below this share of the split is a subset; above it, bytes may be undercounted instead"
)
SUBSET_10K_TOKENS = Limit(9_662_464, "tokens", "val_tokens of the CaseOps preparation with 10,000 validation documents")

# ---- size ----

ARTIFACT_CAP_BYTES = Limit(16_000_000, "bytes", "README: counted code + compressed model, decimal megabytes")
MEBIBYTE_CAP_BYTES = Limit(
    16 * 1024 * 1024, "bytes", "the misreading of the cap as mebibytes that makes over-cap artifacts look fitting"
)


class CodeCount(StrEnum):
    """The three ways in which code bytes have been counted."""

    RAW = "raw"  # the shipped train_gpt.py as it is
    WRAPPER = "wrapper"  # a shipped self-extracting wrapper, as it is
    COMPRESSED = "would-be wrapper"  # a readable script, at the size of the wrapper that it would compress to


CODE_COUNTS: tuple[Limit[CodeCount], ...] = (
    Limit(CodeCount.RAW, "rule", "README: code bytes of the train_gpt.py script"),
    Limit(CodeCount.WRAPPER, "rule", "practice: listed rows #1285 #1334 #1394 #1413 #1493", date(2026, 4, 3)),
    Limit(CodeCount.COMPRESSED, "rule", "practice: listed rows from #1530 on; never written down", date(2026, 4, 11)),
)

# ---- time and hardware ----

TRAIN_CAP_SECONDS = Limit(600.0, "s", "README: training loop on the reference hardware")
ACCEPTED_TRAIN_SECONDS = Limit(
    600.4, "s", "practice: the reference loop looks at the clock after the step; accepted up to 600,365 ms"
)
REFUSED_TRAIN_SECONDS = Limit(
    601.1, "s", "practice: the shortest loop that was counted as over, 601,153 ms on one seed of #1908", date(2026, 4, 28)
)
CALIBRATED_TRAIN_SECONDS = Limit(
    600.2, "s", "organiser in #677: calibration on training data belongs to the training time", date(2026, 3, 25)
)
ACCEPTED_CALIBRATED_TRAIN_SECONDS = Limit(
    607.0, "s", "practice: #1787 #1851 #1855 #2135 listed at 603 to 606.5 s of loop and calibration", date(2026, 4, 22)
)
EVALUATION_CAP_SECONDS = Limit(600.0, "s", "README (9f170d4c8): evaluation, in addition to training")
RECORD_WORLD_SIZE = Limit(8, "GPUs", "README: 8xH100")
RECORD_GPU = Limit("H100", "GPU model", "README (954a15810): H100 SXM")
LISTED_BESIDE_RECORD_GPU = Limit(
    "H200", "GPU model", "practice: two rows of March that ran on 8xH200 were listed; later ones are non-record (#2033)"
)
SXM_MARKS = Limit(("SXM", "HBM3"), "GPU model", "nvidia-smi: what the names of H100 SXM boards hold, as in H100 80GB HBM3")
GPU_VARIANTS_BESIDE_SXM = Limit(("PCIe", "NVL"), "GPU model", "H100 boards that are not SXM, as nvidia-smi names them")

# ---- significance ----

MIN_IMPROVEMENT_NATS = Limit(0.005, "nats/token", "README: better than the current record by at least this")
README_P_VALUE = Limit(0.01, "p", "README: one-sided, against the current record")
PRACTICE_P_VALUE = Limit(
    0.25, "p", "organisers in #1902: one-sided Welch test against the previous chronological row", date(2026, 4, 28)
)
USUAL_NUM_SEEDS = Limit(3, "runs", "README (d2bd76079): an average over 3 training runs suffices", date(2026, 3, 19))
BEST_SEED_LISTED_UNTIL = Limit(
    date(2026, 3, 22), "date", "practice: the last listed row that declares its best seed (#374 and its successor)"
)
SUBMISSION_DEADLINE = Limit(date(2026, 5, 1), "date", "organisers in #2146: 17:00 Pacific", date(2026, 5, 2))

# ---- package ----

README_NAME = Limit("README.md", "file", "README: the explanation of a submission")
METADATA_NAME = Limit("submission.json", "file", "README: the metadata of a submission")
SCRIPT_NAME = Limit("train_gpt.py", "file", "README: the script of a submission")
RECORD_TRACK_FOLDER = Limit("records/track_10min_16mb", "folder", "README: record submissions")
NON_RECORD_TRACK_FOLDER = Limit("records/track_non_record_16mb", "folder", "README: unlimited and other submissions")

# ---- evidence ----

CODE_SIZE_SLACK_BYTES = Limit(1, "bytes", "measured: a line end at the end of the file is added or lost in transport")
CODE_SIZE_DRIFT_BYTES = Limit(
    64, "bytes", "measured: listed records whose code was edited after the run differ by 2, 3, 15, 36, 40 and 52 bytes"
)

# ---- data and seeds ----

NUM_VAL_DOCS = Limit(50_000, "documents", "README: the validation split is the first 50,000 documents")
LEAKY_EXPORT_TRAIN_SHARDS = Limit(
    1499, "shards", "#2127: the local CaseOps export with 10,000 validation documents", date(2026, 5, 1)
)
MIN_COPIED_SCORES = Limit(3, "scores", "ours: that many equal scores in two runs of different seeds are one run")
FLOAT32_SLACK = Limit(
    1e-6, "share", "ours: a loss kept in float32 is off by 6e-8 of its value; real ratios differ by no more between seeds"
)
