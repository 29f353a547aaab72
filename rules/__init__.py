"""The rules of the contest, one module each; `ALL_RULES` is the explicit tuple in id order."""

from __future__ import annotations

from auditor.rule import Rule
from rules.access.network_at_evaluation import NetworkAtEvaluation
from rules.access.train_validation_overlap import TrainValidationOverlap
from rules.access.training_data_at_evaluation import TrainingDataAtEvaluation
from rules.access.validation_in_training import ValidationInTraining
from rules.adaptation.multi_epoch_report import MultiEpochReport
from rules.adaptation.train_before_score import TrainBeforeScore
from rules.adaptation.warmup_on_validation import WarmupOnValidation
from rules.budget.calibration_after_budget import CalibrationAfterBudget
from rules.budget.evaluation_time_over_cap import EvaluationTimeOverCap
from rules.budget.train_time_over_cap import TrainTimeOverCap
from rules.budget.wrong_hardware import WrongHardware
from rules.causality.context_slot import ContextSlot
from rules.causality.cross_document_leak import CrossDocumentLeak
from rules.causality.future_token_dependence import FutureTokenDependence
from rules.causality.slot_adaptation import SlotAdaptation
from rules.causality.target_gated_predictor import TargetGatedPredictor
from rules.distribution.byte_level_mixture import ByteLevelMixture
from rules.distribution.hashed_target_lookup import HashedTargetLookup
from rules.distribution.hindsight_selection import HindsightSelection
from rules.distribution.unnormalized_distribution import UnnormalizedDistribution
from rules.evidence.claim_log_mismatch import ClaimLogMismatch
from rules.evidence.foreign_log import ForeignLog
from rules.evidence.retracted_claim import RetractedClaim
from rules.evidence.seed_mismatch import SeedMismatch
from rules.evidence.unsupported_significance import UnsupportedSignificance
from rules.metric.byte_count_mismatch import ByteCountMismatch
from rules.metric.double_counted_space import DoubleCountedSpace
from rules.metric.lossy_tokenizer import LossyTokenizer
from rules.package.changes_outside_folder import ChangesOutsideFolder
from rules.package.missing_required_file import MissingRequiredFile
from rules.package.unparsable_script import UnparsableScript
from rules.package.unreadable_metadata import UnreadableMetadata
from rules.single_pass.out_of_order_cache import OutOfOrderCache
from rules.single_pass.partial_validation import PartialValidation
from rules.single_pass.rescored_token import RescoredToken
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
    ValidationInTraining(),
    TrainingDataAtEvaluation(),
    NetworkAtEvaluation(),
    TrainValidationOverlap(),
    FutureTokenDependence(),
    TargetGatedPredictor(),
    SlotAdaptation(),
    ContextSlot(),
    CrossDocumentLeak(),
    HashedTargetLookup(),
    UnnormalizedDistribution(),
    ByteLevelMixture(),
    HindsightSelection(),
    TrainBeforeScore(),
    MultiEpochReport(),
    WarmupOnValidation(),
    RescoredToken(),
    PartialValidation(),
    OutOfOrderCache(),
    ByteCountMismatch(),
    DoubleCountedSpace(),
    LossyTokenizer(),
)
