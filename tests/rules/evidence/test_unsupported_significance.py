"""Conversion between nats per token and bits per byte, and what counts as claiming a record."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree
from rules.evidence.unsupported_significance import claims_record
from rules.significance import nats_per_token_to_bpb


@given(st.floats(1e-4, 1.0), st.floats(1.0, 5.0), st.floats(0.8, 2.0))
def test_conversion_is_the_difference_of_two_scores(nats, num_bytes_per_token, loss):
    def bpb(value):
        return value / (math.log(2) * num_bytes_per_token)

    assert nats_per_token_to_bpb(nats, num_bytes_per_token) == pytest.approx(bpb(loss + nats) - bpb(loss), rel=1e-6)


def test_the_margin_is_a_different_bpb_for_each_vocabulary():
    assert nats_per_token_to_bpb(0.005, 2.436) == pytest.approx(0.00296, abs=1e-5)
    assert nats_per_token_to_bpb(0.005, 3.7265) == pytest.approx(0.00194, abs=1e-5)


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("records/track_10min_16mb/2026-04-15_Name", True),
        ("records/track_non_record_16mb/2026-04-15_Name", False),
        ("records/track_non_record_16mb/2026-04-15_10min_study", False),
        ("somewhere/else", False),
    ],
)
def test_the_record_track_claims_a_record(path, claims, tmp_path):
    assert claims_record(Submission(path, DirectoryTree(tmp_path))) is claims


def test_a_declared_track_claims_a_record(tmp_path):
    (tmp_path / "submission.json").write_text('{"val_bpb": 1.1, "track": "10min_16mb"}')
    assert claims_record(Submission("somewhere", DirectoryTree(tmp_path)))
