"""What a run says meets what the source says, with facts made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from auditor.engine import run_rule
from auditor.finding import Basis, Severity
from auditor.report import Outcome, RuleResult
from auditor.rule import Rule, Ruleset, RulesetName
from auditor.run.comparison import OWN_DISTRIBUTION, Comparison
from auditor.run.facts import Chunk, Offence, Reach, RunFacts, RunLine, Via
from auditor.run.judge import Coverage
from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree
from rules import ALL_RULES
from rules.limits import RULES_AS_OF
from tools.lay_out_fixtures import find_cases, lay_out

SIZE = 1000
ALL = Coverage(num_once=SIZE - 1, num_repeated=0, num_missing=0, first_missing=None)
LINE = RunLine(
    label="final_exact",
    text="final_exact val_bpb:2.2",
    at=50,
    val_bpb=2.2,
    is_headline=True,
    is_reconciled=True,
    num_bytes=4000,
    coverage=ALL,
)
STEADY = tuple(Comparison(cut=cut, text=LINE.text, num_compared=400) for cut in (0.02, 0.5, 0.9))
WHOLE = RunFacts(script="train_gpt.py", failure=None, num_positions=SIZE, lines=(LINE,), comparisons=STEADY)
EARLY = Offence(num_positions=900, first=1, via=Via.PARAMETERS, how="SGD.step", place=None, again=False)


@pytest.fixture
def asked(tmp_path: Path):
    """The result of one rule on a fixture case together with a run."""

    def ask(case_name: str, run: RunFacts | None) -> RuleResult:
        case = next(case for case in find_cases() if case.name == case_name)
        submission = Submission(case.path, DirectoryTree(lay_out(case, tmp_path / case_name / str(id(run))).root))
        submission.run = run
        return run_rule(rule_of(case.rule_id), submission, Ruleset(RulesetName.PRACTICE, RULES_AS_OF.value))

    return ask


def rule_of(rule_id: str) -> Rule:
    return next(rule for rule in ALL_RULES if rule.id == rule_id)


def with_line(**changes: object) -> RunFacts:
    return replace(WHOLE, lines=(replace(LINE, **changes),))  # type: ignore[arg-type]


BAD, GOOD, UNREAD = "PG701-bad_train_then_score", "PG701-good_never_called", "PG701-miss_code_in_a_string"


def test_an_observed_offence_confirms_what_the_source_found(asked):
    alone, both = asked(BAD, None), asked(BAD, with_line(offences=(EARLY,)))
    assert (alone.outcome, both.outcome) == (Outcome.FAIL, Outcome.FAIL)
    (finding,) = both.findings
    assert finding.message.endswith("; a run confirms it")
    assert finding.steps[0].text.startswith("confirmed by a run: 900 of 999 positions of `final_exact`")
    assert finding.fingerprint == alone.findings[0].fingerprint


def test_an_observed_offence_that_the_source_did_not_find_is_a_violation_by_the_run_alone(asked):
    both = asked(GOOD, with_line(offences=(EARLY,)))
    assert (asked(GOOD, None).outcome, both.outcome) == (Outcome.PASS, Outcome.FAIL)
    (finding,) = (each for each in both.findings if each.basis is Basis.RUN)
    assert "the submitted number (`final_exact`) is affected" in finding.message


def test_where_a_run_does_not_show_what_the_source_found_both_are_told_and_a_person_must_look(asked):
    both = asked(BAD, WHOLE)
    assert both.outcome is Outcome.REVIEW
    (finding,) = both.findings
    assert finding.severity is Severity.WARNING
    assert finding.steps[0].text.startswith("not seen in a run")
    assert any(each.basis is Basis.RUN for each in both.evidence)


@pytest.mark.parametrize(
    "run",
    [
        replace(WHOLE, comparisons=()),
        replace(WHOLE, comparisons=(*STEADY[1:], replace(STEADY[0], problem="the second run: failed"))),
        with_line(is_reconciled=False, coverage=None),
        replace(WHOLE, failure="did not end within 600 s"),
        replace(WHOLE, lines=()),
    ],
    ids=["no probe", "a probe failed", "not reconciled", "the run failed", "nothing printed"],
)
def test_what_was_not_looked_at_doubts_no_finding(asked, run):
    assert asked(BAD, run).outcome is Outcome.FAIL


def open_result(tmp_path: Path, run: RunFacts | None) -> RuleResult:
    """A submission whose source cannot be followed: it calls what it does not ship."""
    folder = tmp_path / "open"
    folder.mkdir(exist_ok=True)
    (folder / "train_gpt.py").write_text("import helper_not_shipped\nhelper_not_shipped.main()\n", encoding="utf-8")
    submission = Submission("records/open", DirectoryTree(folder))
    submission.run = run
    return run_rule(rule_of("PG701"), submission, Ruleset(RulesetName.PRACTICE, RULES_AS_OF.value))


def test_a_whole_run_settles_what_the_source_left_open(tmp_path):
    assert open_result(tmp_path, None).outcome is Outcome.OPEN
    assert open_result(tmp_path, WHOLE).outcome is Outcome.PASS


@pytest.mark.parametrize(
    "run",
    [
        with_line(is_headline=False),
        replace(WHOLE, num_trained_unlocated=4000),
        replace(WHOLE, comparisons=tuple(replace(each, num_changed=1, first_changed=7) for each in STEADY)),
        with_line(coverage=Coverage(num_once=500, num_repeated=0, num_missing=499, first_missing=501)),
        with_line(coverage=Coverage(num_once=998, num_repeated=0, num_missing=1, first_missing=5)),
        replace(WHOLE, failure="KeyError: 'x'"),
    ],
    ids=["another line", "unknown targets trained", "earlier losses changed", "a part", "a hole", "failed"],
)
def test_a_run_that_is_not_whole_settles_nothing(tmp_path, run):
    assert open_result(tmp_path, run).outcome is Outcome.OPEN


def test_a_failed_run_changes_no_statement(asked):
    failed = RunFacts(script="train_gpt.py", failure="ModuleNotFoundError: No module named 'x'", needed="install x")
    assert asked(GOOD, failed) == asked(GOOD, None)


def test_an_offence_by_a_free_tensor_belongs_to_slot_adaptation(asked):
    fitted = with_line(offences=(replace(EARLY, via=Via.FREE_TENSOR),))
    assert asked(GOOD, fitted).outcome is Outcome.PASS
    assert asked("PG503-good_static_bias_from_training", fitted).outcome is Outcome.FAIL


def test_a_second_score_after_a_reported_first_one_belongs_to_rescored_token_where_it_is_submitted(asked):
    again = with_line(offences=(replace(EARLY, again=True),))
    aside = replace(again, lines=(*again.lines, replace(LINE, label="first")))
    case = next(case.name for case in find_cases() if case.rule_id == "PG801" and case.kind == "good")
    assert asked(GOOD, again).outcome is Outcome.PASS
    assert asked(case, again).outcome is Outcome.FAIL
    elsewhere = replace(aside, lines=(replace(again.lines[0], is_headline=False), LINE))
    assert asked(case, elsewhere).outcome is Outcome.PASS


def test_test_time_training_is_told_chunk_by_chunk(asked):
    chunk = Chunk(
        first=1,
        last=499,
        num_positions=499,
        num_scored_before=499,
        with_gradient=False,
        num_updates=3,
        scored_at=10,
        trained_at=11,
    )
    result = asked("PG701-good_score_first_chunks", with_line(chunks=(chunk,)))
    assert result.outcome is Outcome.PASS
    (told,) = (each.message for each in result.evidence if each.basis is Basis.RUN)
    assert "in 1 chunks, each scored without autograd before any gradient that used it, and its bytes are the 4,000" in told


def test_wrong_byte_counts_and_connections_are_observed(asked):
    name = next(case.name for case in find_cases() if case.rule_id == "PG902" and case.kind == "good")
    counted = with_line(is_reconciled=False, coverage=None, byte_ratio=1.17)
    assert asked(name, counted).outcome is Outcome.FAIL
    assert asked(name, replace(counted, lines=(replace(counted.lines[0], byte_ratio=0.9),))).outcome is Outcome.PASS
    reaching = replace(WHOLE, connections=(Reach(what="socket.connect: ('192.0.2.1', 80)", after_scoring=True),))
    name = next(case.name for case in find_cases() if case.rule_id == "PG403" and case.kind == "good")
    assert asked(name, reaching).outcome is Outcome.FAIL
    before = replace(reaching, connections=(replace(reaching.connections[0], after_scoring=False),))
    assert asked(name, before).outcome is Outcome.REVIEW


def compared(probe: str, num_changed: int, **changes: object) -> RunFacts:
    found = Comparison(cut=0.5, text=LINE.text, probe=probe, num_compared=400, num_changed=num_changed, first_changed=7)
    return replace(WHOLE, comparisons=(*STEADY[1:], found), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "probe", "outcome"),
    [
        ("PG501-good_running_mean", "suffix", Outcome.FAIL),
        ("PG502-good_gate_on_entropy", "target", Outcome.REVIEW),
        ("PG602-good_closed_form_tilt", "bound", Outcome.FAIL),
        ("PG402-good_table_in_the_artifact", "artifact", Outcome.REVIEW),
        ("PG601-good_row_summed_first", "target", Outcome.PASS),
        ("PG603-good_bytes_counted_for_the_metric", "bound", Outcome.PASS),
    ],
)
def test_what_a_probe_changed_is_held_against_the_rule_that_asks_it(asked, name, probe, outcome):
    assert asked(name, compared(probe, 12)).outcome is outcome
    assert asked(name, compared(probe, 0)).outcome is Outcome.PASS


@pytest.mark.parametrize("probe", ["mass", "bound"])
def test_what_is_no_distribution_is_a_violation_where_the_line_is_reconciled_else_a_person_must_look(asked, probe):
    name = "PG602-good_closed_form_tilt"
    assert asked(name, compared(probe, 12)).outcome is Outcome.FAIL
    unfollowed = replace(LINE, is_reconciled=False, coverage=None)
    assert asked(name, compared(probe, 12, lines=(unfollowed,))).outcome is Outcome.REVIEW


@pytest.mark.parametrize("probe", ["suffix", "target"])
def test_a_distribution_that_depends_on_its_own_token_needs_a_person_unless_earlier_losses_changed_too(asked, probe):
    run = compared(probe, 1)
    (*others, found) = run.comparisons
    own = replace(found, detail=OWN_DISTRIBUTION)
    name = "PG502-good_gate_on_entropy"
    assert asked(name, replace(run, comparisons=(*others, own))).outcome is Outcome.REVIEW
    ahead = replace(STEADY[0], num_changed=12, first_changed=3, first_replaced=400)
    assert asked(name, replace(run, comparisons=(*others, ahead, own))).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("name", "probe"),
    [("PG401-bad_calibrated_on_validation", "suffix"), ("PG601-bad_target_in_the_key", "bound")],
)
def test_a_probe_confirms_what_the_source_found_where_it_alone_says_too_little(asked, name, probe):
    (finding,) = asked(name, compared(probe, 12)).findings
    assert finding.message.endswith("; a run confirms it")
    assert not asked(name, compared(probe, 0)).findings[0].message.endswith("; a run confirms it")


@pytest.mark.parametrize(
    ("name", "probe"), [("PG501-good_running_mean", "suffix"), ("PG602-good_closed_form_tilt", "bound")]
)
def test_what_early_training_explains_is_not_held_against_other_rules(asked, name, probe):
    trained = replace(LINE, offences=(EARLY,))
    assert asked(name, compared(probe, 12, lines=(trained,))).outcome is Outcome.PASS


def test_only_a_part_of_the_stream_needs_a_person(asked):
    name = next(case.name for case in find_cases() if case.rule_id == "PG802" and case.kind == "good")
    part = Coverage(num_once=500, num_repeated=0, num_missing=499, first_missing=501)
    assert asked(name, with_line(coverage=part)).outcome is Outcome.REVIEW
    assert asked(name, WHOLE).outcome is Outcome.PASS
