import itertools
from dataclasses import replace

import pytest

from auditor.finding import (
    Basis,
    Evidence,
    Finding,
    Location,
    NotApplicable,
    Severity,
    Suppression,
    SuppressionKind,
    Unestablished,
)
from auditor.report import FailOn, Outcome, Report, RuleResult, SubmissionSummary, Unreadable, Verdict, exit_code

BOTH = frozenset({Basis.FILES, Basis.LOG})


def finding(severity: Severity) -> Finding:
    return Finding(rule_id="PG201", message="too big", severity=severity, basis=Basis.FILES)


def result(**kinds: object) -> RuleResult:
    return RuleResult(rule_id="PG201", rule="oversize-artifact", required=BOTH, **kinds)  # type: ignore[arg-type]


EVIDENCE = tuple(Evidence(basis=basis, message="looked") for basis in sorted(BOTH))
GAP = (Unestablished(message="no log"),)
ELSEWHERE = (NotApplicable(reason="not a record"),)


def report(*results: RuleResult, unreadable: tuple[Unreadable, ...] = ()) -> Report:
    summary = SubmissionSummary(
        path="records/x",
        pr=None,
        commit=None,
        script=None,
        code_bytes=None,
        packed=False,
        unwrapped=(),
        parsed=False,
        digest=None,
        chosen_because=None,
    )
    return Report(submission=summary, headline=None, results=results, unreadable=unreadable)


def test_silence_is_not_a_pass() -> None:
    assert result().outcome is Outcome.OPEN


@pytest.mark.parametrize("missing", range(2))
def test_a_pass_needs_evidence_on_every_required_basis(missing: int) -> None:
    assert result(evidence=EVIDENCE).outcome is Outcome.PASS
    assert result(evidence=EVIDENCE[:missing] + EVIDENCE[missing + 1 :]).outcome is Outcome.OPEN


def test_a_gap_keeps_a_rule_open_even_with_evidence() -> None:
    assert result(evidence=EVIDENCE, unestablished=GAP).outcome is Outcome.OPEN


def test_severities_decide_whatever_else_was_said() -> None:
    rest = {"evidence": EVIDENCE, "unestablished": GAP, "not_applicable": ELSEWHERE}
    assert result(findings=(finding(Severity.NOTE),), evidence=EVIDENCE).outcome is Outcome.PASS
    assert result(findings=(finding(Severity.WARNING),), **rest).outcome is Outcome.REVIEW
    assert result(findings=(finding(Severity.WARNING), finding(Severity.ERROR)), **rest).outcome is Outcome.FAIL


def test_not_applicable_only_when_nothing_was_looked_at() -> None:
    assert result(not_applicable=ELSEWHERE).outcome is Outcome.NOT_APPLICABLE
    assert result(not_applicable=ELSEWHERE, unestablished=GAP).outcome is Outcome.OPEN


def test_a_crash_outranks_everything() -> None:
    assert result(findings=(finding(Severity.ERROR),), evidence=EVIDENCE, crash="Traceback").outcome is Outcome.CRASHED


RESULTS = {
    Outcome.PASS: result(evidence=EVIDENCE),
    Outcome.OPEN: result(),
    Outcome.REVIEW: result(findings=(finding(Severity.WARNING),)),
    Outcome.FAIL: result(findings=(finding(Severity.ERROR),)),
    Outcome.NOT_APPLICABLE: result(not_applicable=ELSEWHERE),
    Outcome.CRASHED: result(crash="Traceback"),
}


@pytest.mark.parametrize(("one", "other"), list(itertools.product(RESULTS, RESULTS)))
def test_verdict_and_exit_code_of_every_pair_of_outcomes(one: Outcome, other: Outcome) -> None:
    outcomes = {one, other}
    both = report(RESULTS[one], RESULTS[other])
    if Outcome.FAIL in outcomes:
        assert both.verdict is Verdict.VIOLATION
    elif outcomes & {Outcome.REVIEW, Outcome.CRASHED}:
        assert both.verdict is Verdict.REVIEW
    else:
        assert both.verdict is Verdict.CLEAN
    for fail_on, blocking in [
        (FailOn.VIOLATION, {Outcome.FAIL}),
        (FailOn.REVIEW, {Outcome.FAIL, Outcome.REVIEW}),
        (FailOn.OPEN, {Outcome.FAIL, Outcome.REVIEW, Outcome.OPEN}),
    ]:
        expected = 2 if Outcome.CRASHED in outcomes else 1 if outcomes & blocking else 0
        assert exit_code([both], fail_on) == expected


def test_nothing_audited_and_an_unreadable_submission_are_never_green() -> None:
    fine = report(RESULTS[Outcome.PASS])
    broken = report(RESULTS[Outcome.PASS], unreadable=(Unreadable(path="x", reason="no such folder", fatal=True),))
    assert exit_code([], FailOn.VIOLATION) == 2
    assert exit_code([fine], FailOn.VIOLATION) == 0
    assert broken.verdict is Verdict.ERROR
    assert exit_code([fine, broken], FailOn.VIOLATION) == 2
    assert report().verdict is Verdict.ERROR


def test_an_unreadable_file_needs_a_person_and_the_job_is_not_done() -> None:
    partly = report(RESULTS[Outcome.PASS], unreadable=(Unreadable(path="x/train.log", reason="too large"),))
    assert partly.verdict is Verdict.REVIEW
    assert exit_code([partly], FailOn.VIOLATION) == 2


@pytest.mark.parametrize("kind", SuppressionKind)
def test_what_the_maintainers_set_aside_counts_for_the_verdict_and_not_for_the_exit_code(kind: SuppressionKind) -> None:
    aside = Suppression(kind=kind, reason="decided")
    found = [replace(finding(severity), suppression=aside) for severity in (Severity.ERROR, Severity.WARNING)]
    decided = report(result(findings=tuple(found)))
    assert decided.verdict is Verdict.VIOLATION
    assert [exit_code([decided], fail_on) for fail_on in FailOn] == [0, 0, 0]
    one_counts = report(result(findings=(found[0], finding(Severity.WARNING))))
    assert [exit_code([one_counts], fail_on) for fail_on in FailOn] == [0, 1, 1]
    assert exit_code([report(result(findings=tuple(found), crash="Traceback"))], FailOn.VIOLATION) == 2


def test_a_fingerprint_survives_moved_lines_and_changed_numbers_but_not_another_rule() -> None:
    def made(message: str, line: int, rule_id: str = "PG201") -> str:
        place = Location(path="train.log", line=line)
        return Finding(
            rule_id=rule_id, message=message, severity=Severity.ERROR, basis=Basis.LOG, location=place
        ).fingerprint

    assert made("16,084,685 bytes are over the cap", 10) == made("16,092,287 bytes are over the cap", 99)
    assert made("16,084,685 bytes are over the cap", 10) != made("16,084,685 bytes are over the cap", 10, "PG202")
