"""Sentences of a record's README about a leaderboard row, against figures worked out by hand."""

from __future__ import annotations

import math

import pytest

from auditor.stats import Sample, welch_less
from rules.leaderboard import find_row
from rules.significance import compare

ROW = find_row("VarLenAttn + PhasingTTT")  # mean 1.07280625
BYTES_PER_TOKEN = 3.7265


def scores(*bpbs: float) -> list[tuple[float, float]]:
    return [(bpb * math.log(2) * BYTES_PER_TOKEN, bpb) for bpb in bpbs]


def test_gain_and_p_values_are_those_of_the_seeds() -> None:
    bpbs = (1.0601, 1.0605, 1.0609)
    gains, tests = compare(ROW.name, scores(*bpbs))
    assert "Mean 1.06050 of 3 seeds: 0.01231 bpb better (0.03179 nats per token)" in gains
    margin = 0.005 / (math.log(2) * BYTES_PER_TOKEN)
    for wanted in (0.0, margin):
        assert f"p = {welch_less(Sample.of(bpbs), ROW.sample, wanted).p_value:.3g} " in tests


def test_a_worse_mean_is_shown_as_such() -> None:
    gains, tests = compare(ROW.name, scores(1.0801, 1.0805))
    assert "0.00749 bpb worse" in gains
    assert "p = 1 that it is better at all" in tests


@pytest.mark.parametrize(("row", "bpbs"), [(ROW.name, (1.06,)), ("Naive Baseline", (1.06, 1.07))])
def test_without_two_seeds_on_both_sides_there_is_no_test(row: str, bpbs: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="a test needs two seeds or more on both sides"):
        compare(row, scores(*bpbs))
