"""The rules of the contest, one module each; `ALL_RULES` is the explicit tuple in id order."""

from __future__ import annotations

from auditor.rule import Rule
from rules.access.train_validation_overlap import TrainValidationOverlap
from rules.evidence.retracted_claim import RetractedClaim
from rules.metric.lossy_tokenizer import LossyTokenizer

ALL_RULES: tuple[Rule, ...] = (
    RetractedClaim(),
    TrainValidationOverlap(),
    LossyTokenizer(),
)
