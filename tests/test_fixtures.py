"""Every fixture case, audited by the real engine with all rules; findings and marks are compared both ways.

One test id per case and ruleset: ``PG201-bad_three_seeds-practice``. A ``miss_`` case is a known miss: its marks say what
should be found, and the test fails as soon as it is found, so that the case is then renamed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.engine import audit
from auditor.finding import Finding
from auditor.report import Outcome, Report, RuleResult
from auditor.rule import Ruleset, RulesetName
from auditor.submission.submission import Change, Submission
from auditor.submission.tree import DirectoryTree
from rules import ALL_RULES
from rules.limits import RULES_AS_OF
from tools.lay_out_fixtures import Case, Expected, LaidOut, find_cases, lay_out

CASES = find_cases()


@pytest.mark.parametrize("ruleset", list(RulesetName), ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_findings_are_those_that_the_case_marks(case: Case, ruleset: RulesetName, tmp_path: Path):
    laid_out = lay_out(case, tmp_path / case.path)
    report = audited(case, laid_out, ruleset)
    expected = laid_out.expected if ruleset is RulesetName.PRACTICE else laid_out.expected_readme
    compared = {case.rule_id} | {mark.rule_id for mark in expected}
    found = {expected_of(finding) for result in report.results for finding in result.findings}
    found = {finding for finding in found if finding.rule_id in compared}
    said = "\n".join(described(result) for result in report.results if result.rule_id in compared)

    assert not [result.crash for result in report.results if result.outcome is Outcome.CRASHED]
    if case.kind == "miss":
        assert expected, "a miss_ case marks the finding that is known to be missed"
        assert not found & expected, f"no longer missed, so rename the case to bad_ or hard_: {found & expected}"
    else:
        assert found == expected, f"not found: {expected - found}; not marked: {found - expected}\n{said}"
    if case.outcome or case.kind == "good":
        outcome = next(result.outcome for result in report.results if result.rule_id == case.rule_id)
        assert ruleset is not RulesetName.PRACTICE or outcome == (case.outcome or "pass"), said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_expects_what_its_name_says(case: Case, tmp_path: Path):
    laid_out = lay_out(case, tmp_path / case.path)
    own = [mark for mark in laid_out.expected | laid_out.expected_readme if mark.rule_id == case.rule_id]

    assert case.rule_id in {rule.id for rule in ALL_RULES}
    if case.kind == "good":
        assert not [mark for mark in laid_out.expected if mark.rule_id == case.rule_id and mark.severity == "error"]
    else:
        assert own


def audited(case: Case, laid_out: LaidOut, ruleset: RulesetName) -> Report:
    """The report on a case that was laid out."""
    changes = case.changes and tuple(Change(path=path, kind=kind) for kind, path in case.changes)
    submission = Submission(case.path, DirectoryTree(laid_out.root), changes=changes)
    return audit(submission, ALL_RULES, Ruleset(ruleset, RULES_AS_OF.value))


def expected_of(finding: Finding) -> Expected:
    """A finding in the form that a mark has."""
    location = finding.location
    on_line = location is not None and location.line is not None
    return Expected(
        finding.rule_id,
        str(finding.severity),
        location.path if location and on_line else None,
        location.line if location else None,
    )


def described(result: RuleResult) -> str:
    """What a rule said, for the message of a failing test."""
    said = [f"  {f.severity} {f.location}: {f.message}" for f in result.findings]
    said += [f"  evidence {e.basis}: {e.message}" for e in result.evidence]
    said += [f"  open: {u.message}" for u in result.unestablished]
    said += [f"  not applicable: {n.reason}" for n in result.not_applicable]
    return "\n".join([f"{result.rule_id} {result.outcome}", *said])
