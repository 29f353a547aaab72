from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.finding import Severity, Statement
from auditor.rule import Ruleset, RulesetName
from auditor.submission.logs.reader import read_log
from rules.budget.train_time_over_cap import TrainTimeOverCap
from rules.budget.training_end import TrainingEnd, runs_of, training_end
from rules.headline_runs import SeedRun
from rules.limits import ACCEPTED_TRAIN_SECONDS, REFUSED_TRAIN_SECONDS, RULES_AS_OF
from tests.rules.budget.submissions import log_text, submission_of

SCORE = "final_exact val_loss:1.82373214 val_bpb:1.08010000 eval_time:2100ms"
PRACTICE = Ruleset(RulesetName.PRACTICE, RULES_AS_OF.value)
README = Ruleset(RulesetName.README, RULES_AS_OF.value)


def end_of(text: str) -> TrainingEnd | None:
    (run,) = read_log("train.log", text.encode()).runs
    return training_end(SeedRun(run, run.seed, None, ()))


def judged(end_ms: int, ruleset: Ruleset) -> tuple[Statement, ...]:
    submission = submission_of({"train.log": log_text(SCORE, end_ms=end_ms)})
    return tuple(TrainTimeOverCap().check(submission, ruleset))


def severity(end_ms: int, ruleset: Ruleset) -> int:
    """0 for a pass, then note, warning, error."""
    ranks = {Severity.NOTE: 1, Severity.WARNING: 2, Severity.ERROR: 3}
    return max((ranks[s.severity] for s in judged(end_ms, ruleset) if hasattr(s, "severity")), default=0)


def test_the_stop_is_the_end_and_gives_the_time_of_a_step():
    end = end_of(
        "seed: 7\nstopping_early: wallclock_cap train_time:600051ms step:1000/20000\nSerialized model: 1000 bytes\n"
    )
    assert end is not None
    assert (end.time.seconds, end.is_final, end.step_seconds) == (600.051, True, 0.600051)


@pytest.mark.parametrize(
    ("line", "is_final"),
    [
        ("step:20000/20000 train_loss:2.1 train_time:613400ms step_avg:30ms", True),
        ("step:7103/9000 val_loss:2.1 val_bpb:1.2 train_time:599400ms step_avg:84ms", True),
        ("step:7100/9000 val_loss:2.1 val_bpb:1.2 train_time:599400ms step_avg:84ms", False),
        ("step:7103/9000 train_loss:2.1 train_time:599400ms step_avg:84ms", False),
    ],
    ids=["last planned step", "validation off the rhythm", "validation within the rhythm", "some step"],
)
def test_whether_the_last_step_printed_is_the_end(line: str, is_final: bool):
    end = end_of(f"seed: 7\n{line}\nSerialized model: 1000 bytes\n{SCORE}\n")
    assert end is not None
    assert end.is_final is is_final
    assert end.step_seconds is None


def test_a_validation_at_which_the_log_ends_is_not_the_end():
    end = end_of("seed: 7\nstep:7103/9000 val_loss:2.1 val_bpb:1.2 train_time:599400ms step_avg:84ms\n")
    assert end is not None
    assert not end.is_final


def test_a_log_without_a_time_of_the_loop_has_no_end():
    assert end_of(f"seed: 7\n{SCORE}\n") is None


def test_runs_of_another_seed_beside_are_not_asked():
    text = "\n".join(
        f"=== seed {seed} ===\nstep:10/10 val_loss:2 val_bpb:1.2 train_time:{t}ms" for seed, t in ((1, 5), (2, 6))
    )
    first, second = read_log("all.log", text.encode()).runs
    assert list(runs_of(SeedRun(first, 1, None, (second,)))) == [first]
    assert list(runs_of(SeedRun(first, None, None, (second,)))) == [first, second]


@given(st.integers(590_000, 700_000), st.integers(590_000, 700_000), st.sampled_from([PRACTICE, README]))
def test_a_later_end_is_never_judged_milder(one: int, other: int, ruleset: Ruleset):
    assert severity(min(one, other), ruleset) <= severity(max(one, other), ruleset)


@pytest.mark.parametrize(
    ("end_ms", "practice", "readme"),
    [(599_900, 0, 0), (600_137, 0, 3), (600_365, 0, 3), (600_598, 2, 3), (601_153, 3, 3)],
)
def test_where_the_line_runs(end_ms: int, practice: int, readme: int):
    assert (severity(end_ms, PRACTICE), severity(end_ms, README)) == (practice, readme)


def test_what_was_accepted_is_below_what_was_refused():
    assert ACCEPTED_TRAIN_SECONDS.value < REFUSED_TRAIN_SECONDS.value
