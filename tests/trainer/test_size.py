"""The size of a submission against the cap."""

import pytest

from rules.limits import ARTIFACT_CAP_BYTES as CAP_OF_THE_RULES
from trainer.size import ARTIFACT_CAP_BYTES, SubmissionSize


def test_trainer_and_rules_mean_the_same_cap():
    assert CAP_OF_THE_RULES.value == ARTIFACT_CAP_BYTES


@pytest.mark.parametrize(("model_bytes", "over_bytes"), [(15_999_000, 0), (15_999_001, 1), (17_000_000, 1_001_000)])
def test_only_the_sum_of_code_and_model_counts(model_bytes, over_bytes):
    size = SubmissionSize(code_bytes=1000, model_bytes=model_bytes)
    assert size.total_bytes == 1000 + model_bytes
    assert size.over_bytes == over_bytes
    assert ("over the cap of 16,000,000 bytes by" in size.describe()) == (over_bytes > 0)


def test_what_is_left_is_told():
    assert "= 15,999,990 bytes, 10 below the cap" in SubmissionSize(code_bytes=990, model_bytes=15_999_000).describe()
