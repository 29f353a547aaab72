"""The rules of the contest, one module each; `ALL_RULES` is the explicit tuple in id order."""

from __future__ import annotations

from auditor.rule import Rule
from rules.access.train_validation_overlap import TrainValidationOverlap
from rules.budget.calibration_after_budget import CalibrationAfterBudget
from rules.budget.evaluation_time_over_cap import EvaluationTimeOverCap
from rules.budget.train_time_over_cap import TrainTimeOverCap
from rules.budget.wrong_hardware import WrongHardware
from rules.evidence.claim_log_mismatch import ClaimLogMismatch
from rules.evidence.foreign_log import ForeignLog
from rules.evidence.retracted_claim import RetractedClaim
from rules.evidence.seed_mismatch import SeedMismatch
from rules.evidence.unsupported_significance import UnsupportedSignificance
from rules.metric.byte_count_mismatch import ByteCountMismatch
from rules.metric.lossy_tokenizer import LossyTokenizer
from rules.package.changes_outside_folder import ChangesOutsideFolder
from rules.package.missing_required_file import MissingRequiredFile
from rules.package.unparsable_script import UnparsableScript
from rules.package.unreadable_metadata import UnreadableMetadata
from rules.single_pass.partial_validation import PartialValidation
from rules.size.code_size_mismatch import CodeSizeMismatch
from rules.size.oversize_artifact import OversizeArtifact
from rules.size.uncounted_code import UncountedCode

ALL_RULES: tuple[Rule, ...] = (
    ForeignLog(),
    ClaimLogMismatch(),
    SeedMismatch(),
    UnsupportedSignificance(),
    RetractedClaim(),
    MissingRequiredFile(),
    UnreadableMetadata(),
    ChangesOutsideFolder(),
    UnparsableScript(),
    OversizeArtifact(),
    CodeSizeMismatch(),
    UncountedCode(),
    TrainTimeOverCap(),
    EvaluationTimeOverCap(),
    CalibrationAfterBudget(),
    WrongHardware(),
    TrainValidationOverlap(),
    PartialValidation(),
    ByteCountMismatch(),
    LossyTokenizer(),
)
