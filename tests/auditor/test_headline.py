"""Where the submitted number comes from when only a README states it."""

from __future__ import annotations

import json

import pytest

from auditor.headline import Headline, HeadlineKind, trace_headline
from auditor.submission.logs.reader import read_log
from auditor.submission.metadata import parse_metadata
from auditor.submission.readme import Readme, find_claims

README = """Results, val_bpb:

| variant | seed | val_bpb |
|---|---|---|
| baseline | 1 | 1.2331 |
| ours | 1 | 1.2213 |
| ours | 2 | 1.2235 |
| **average (ours)** | - | 1.2224 (deviation 0.0011) |
| **average (baseline)** | - | 1.2331 |
"""


def log(name: str, seed: int, val_bpb: float) -> str:
    return f"seed:{seed}\nstep:10/10 val_loss:2.1 val_bpb:1.3000\nfinal val_loss:2.06 val_bpb:{val_bpb}\n"


def test_the_best_mean_of_a_readme_is_its_claim() -> None:
    values = {"base1.log": (1, 1.2331), "base2.log": (2, 1.2333), "ours1.log": (1, 1.2213), "ours2.log": (2, 1.2235)}
    logs = tuple(read_log(name, log(name, *value).encode()) for name, value in values.items())
    readme = Readme(path="README.md", text=README, claims=tuple(find_claims(README)))
    headline = trace_headline(None, readme, logs, None, ())
    assert headline.val_bpb == 1.2224
    assert headline.claimed_in == "README.md:8"
    assert headline.kind is HeadlineKind.MEAN
    assert [line.metric.log for line in headline.lines] == ["ours1.log", "ours2.log"]


def test_a_gap_between_two_scores_is_no_score() -> None:
    text = (
        "| run | val_bpb | roundtrip | gap | vs 1.2244 bpb |\n|---|---|---|---|---|\n"
        "| **mean** | 1.595 | **1.602** | **0.007** | 0.378 |\n"
        "The gap drops from 0.87 to 0.006 bpb. On average 1.602 +/- 0.012 bpb, better by 0.0123 bpb.\n"
        "The gap is small: bpb 1.602 for all. This improves bpb to 1.567 (sliding).\n"
    )
    assert [claim.val_bpb for claim in find_claims(text)] == [1.595, 1.602, 1.602, 1.602, 1.567]


def test_a_readme_without_a_mean_claims_what_it_states_first() -> None:
    text = "val_bpb 1.2213 (sliding: 1.1990)\n"
    readme = Readme(path="README.md", text=text, claims=tuple(find_claims(text)))
    logs = (read_log("a.log", log("a.log", 1, 1.2213).encode()),)
    headline = trace_headline(None, readme, logs, None, ())
    assert (headline.val_bpb, headline.kind) == (1.2213, HeadlineKind.SINGLE)


def test_a_signed_number_and_the_score_to_beat_are_no_claims() -> None:
    text = "TTT gives -0.079 BPB and +0.012 bpb.\nSOTA to beat: 1.0611 bpb.\nOurs (val_bpb): 1.0702, range 1.0701-1.0703\n"
    assert [claim.val_bpb for claim in find_claims(text)] == [1.0702, 1.0701, 1.0703]


def test_of_a_very_long_readme_line_the_beginning_is_read() -> None:
    assert next(claim.val_bpb for claim in find_claims("bpb 1.0702 " + "|1.2345 " * 200_000)) == 1.0702


def traced(claim: dict[str, object], *logs: tuple[str, int, float], unread: tuple[str, ...] = ()) -> Headline:
    metadata = parse_metadata("submission.json", json.dumps(claim))
    return trace_headline(
        metadata, None, tuple(read_log(name, log(name, *value).encode()) for name, *value in logs), None, (), unread
    )


def test_a_number_that_is_nowhere_is_told_with_what_the_declared_seeds_say() -> None:
    claim = {"val_bpb": 1.2001, "seed_results": {"1": 1.2213, "2": 1.2235}}
    headline = traced(claim, ("a.log", 1, 1.2213), ("b.log", 1, 1.2291))
    assert headline.kind is HeadlineKind.UNLOCATED
    assert "of the 2 numbers declared per seed 1 stands in the logs, and their mean is 1.2224" in headline.explanation
    assert "no log says that it is of seed 2" in headline.explanation


def test_a_mean_missed_in_the_fifth_decimal_is_located_and_told_and_one_missed_in_the_third_is_not() -> None:
    logs = ("a.log", 1, 1.22130001), ("b.log", 2, 1.22350001)
    near = traced({"val_bpb": 1.22243333}, *logs)
    assert (near.kind, near.mean_bpb) == (HeadlineKind.MEAN, pytest.approx(1.22240001))
    assert "about the mean, 1.22240001," in near.explanation
    assert traced({"val_bpb": 1.22340333}, *logs).kind is HeadlineKind.UNLOCATED


def test_a_log_that_cannot_be_read_is_not_said_to_be_missing() -> None:
    assert "train.log cannot be read" in traced({"val_bpb": 1.2}, unread=("train.log",)).explanation
    assert "no log is shipped" in traced({"val_bpb": 1.2}).explanation
