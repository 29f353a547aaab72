from __future__ import annotations

import pytest

from auditor.finding import Confidence
from auditor.rule import Status
from auditor.submission.submission import Submission
from rules.budget.standing import Standing, bench_of
from rules.budget.track import Track, track_of
from rules.headline_runs import judged_runs
from tests.rules.budget.submissions import NON_RECORD, RECORD, log_text, submission_of

SCORE = "final val_bpb:1.0801 eval_time:100000ms"


@pytest.mark.parametrize(
    ("path", "declared", "track"),
    [
        (RECORD, None, Track.RECORD),
        (RECORD, "10min_16mb", Track.RECORD),
        (RECORD, "non-record-16mb", Track.UNCLEAR),
        (NON_RECORD, "10min_16mb", Track.NON_RECORD),
        ("/home/me/records/track_non_record_16mb/2026-04-15_Test", None, Track.NON_RECORD),
        (".", "track_10min_16mb", Track.RECORD),
        (".", "non_record_unlimited_compute", Track.NON_RECORD),
        (".", None, Track.UNCLEAR),
    ],
)
def test_the_folder_tells_the_track_and_metadata_where_it_does_not(path: str, declared: str | None, track: Track):
    submission = submission_of({"train.log": log_text(SCORE)}, path=path, track=declared)
    assert track_of(submission) is track


def weighed(submission: Submission) -> Standing:
    (seed_run,) = judged_runs(submission)
    return bench_of(submission).weigh(seed_run, seed_run.run)


def test_nothing_in_doubt_leaves_the_status_to_the_rule():
    standing = weighed(submission_of({"train.log": log_text(SCORE)}))
    assert (standing.status, standing.confidence, str(standing)) == (None, Confidence.HIGH, "")


@pytest.mark.parametrize(
    ("submission", "status"),
    [
        (submission_of({"train.log": log_text(SCORE)}, path=NON_RECORD), Status.NOTE),
        (submission_of({"train.log": log_text(SCORE)}, track="non-record"), Status.REVIEW),
        (submission_of({"train.log": log_text(SCORE)}, val_bpb=0.9), Status.REVIEW),
        (submission_of({"train.log": log_text(SCORE, world_size=1)}), Status.REVIEW),
        (submission_of({"train.log": log_text(SCORE, gpu="NVIDIA A40")}), Status.REVIEW),
    ],
    ids=["non-record", "contradictory track", "number on no line", "one process", "another GPU"],
)
def test_each_doubt_makes_an_excess_milder_and_is_told(submission: Submission, status: Status):
    standing = weighed(submission)
    assert (standing.status, len(standing.doubts)) == (status, 1)


def test_a_further_doubt_never_makes_it_graver():
    note = Standing(Status.NOTE, ()).but(Status.REVIEW, "why")
    assert (note.status, str(note)) == (Status.NOTE, "; why")
    assert Standing(None, ()).but(Status.REVIEW, "why").status is Status.REVIEW
