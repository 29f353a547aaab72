"""How the seeds of one submission compare with a row of the leaderboard: the margin in bits per byte, and Welch's test.

Two rulesets ask for different things: the README for a gain of 0.005 nats per token at p < 0.01, the organisers from 28
April 2026 on for p < 0.25 without a margin. What both need stands here, for the rule that judges and for the README of a
record. Not covered: seeds that were run and are not shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from auditor.stats import Sample, welch_less
from rules.leaderboard import Row, find_row
from rules.limits import MIN_IMPROVEMENT_NATS, PRACTICE_P_VALUE, README_P_VALUE


def nats_per_token_to_bpb(nats: float, num_bytes_per_token: float) -> float:
    """A loss difference in nats per token as a difference in bits per byte."""
    return nats / (math.log(2) * num_bytes_per_token)


def described(row: Row) -> str:
    """``1.06108 (its name, 3 seeds, listed 2026-04-27)``."""
    seeds = f"{row.sample.size} seeds" if row.sample.size > 1 else "one seed"
    return f"{row.sample.mean:.5f} ({row.name}, {seeds}, listed {row.day})"


def compare(row_name: str, scores: Sequence[tuple[float, float]]) -> list[str]:
    """Sentences that compare seeds with a row; `scores` are val_loss (nats per token) and val_bpb of each seed.

    ValueError if there is no such row, or fewer than two seeds on either side, since then no test is possible.
    """
    row, bpbs = find_row(row_name), Sample.of([val_bpb for _, val_bpb in scores])
    if min(bpbs.size, row.sample.size) < 2:
        raise ValueError(f"{bpbs.size} seed(s) against {described(row)}: a test needs two seeds or more on both sides")
    val_loss, val_bpb = scores[0]
    margin_bpb = nats_per_token_to_bpb(MIN_IMPROVEMENT_NATS.value, val_loss / (math.log(2) * val_bpb))
    gain = row.sample.mean - bpbs.mean
    plain, with_margin = (welch_less(bpbs, row.sample, margin).p_value for margin in (0.0, margin_bpb))
    return [
        f"Row to beat: {described(row)}. Mean {bpbs.mean:.5f} of {bpbs.size} seeds: {abs(gain):.5f} bpb "
        f"{'better' if gain > 0 else 'worse'} ({abs(gain) / margin_bpb * MIN_IMPROVEMENT_NATS.value:.5f} nats per token).",
        f"One-sided Welch test: p = {plain:.3g} that it is better at all (the organisers decided by p < "
        f"{PRACTICE_P_VALUE.value}); p = {with_margin:.3g} that it is better by {MIN_IMPROVEMENT_NATS.value} nats (the "
        f"README asks for p < {README_P_VALUE.value}).",
    ]
