"""What the auditor says about one submission: outcomes, verdict and exit code, as frozen plain data.

The verdict and the exit code are pure functions of the report. A PASS needs evidence on every basis that the rule
requires; what was not looked at is OPEN. Schema and field names are a public contract (`output/report.schema.json`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from auditor.finding import Basis, Evidence, Finding, Location, NotApplicable, Severity, Unestablished
from auditor.rule import Ruleset, RulesetName
from auditor.timeline import Timeline

if TYPE_CHECKING:
    from auditor.run.facts import RunFacts

SCHEMA_VERSION = 1


class Outcome(StrEnum):
    """What one rule came to; the words are SARIF's `kind` where it has one."""

    FAIL = "fail"
    REVIEW = "review"
    OPEN = "open"
    PASS = "pass"
    NOT_APPLICABLE = "notApplicable"
    CRASHED = "crashed"


class Verdict(StrEnum):
    """What a report comes to."""

    VIOLATION = "violation"
    REVIEW = "review"
    CLEAN = "clean"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """One rule's statements under the chosen ruleset, and its outcome under the others.

    Evidence that is complete, on one of the `alternatives`, stands in for all that is `required`.
    """

    rule_id: str
    rule: str
    required: frozenset[Basis]
    alternatives: frozenset[Basis] = frozenset()
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    unestablished: tuple[Unestablished, ...] = ()
    not_applicable: tuple[NotApplicable, ...] = ()
    crash: str | None = None
    other_outcomes: tuple[tuple[RulesetName, Outcome], ...] = ()

    @property
    def checked(self) -> frozenset[Basis]:
        """The bases on which evidence was established."""
        return frozenset(item.basis for item in self.evidence)

    @property
    def outcome(self) -> Outcome:
        """FAIL for any error, REVIEW for any warning, PASS only if every required basis has evidence."""
        severities = {finding.severity for finding in self.findings}
        if self.crash is not None:
            return Outcome.CRASHED
        if Severity.ERROR in severities:
            return Outcome.FAIL
        if Severity.WARNING in severities:
            return Outcome.REVIEW
        if self.not_applicable and not self.evidence and not self.unestablished:
            return Outcome.NOT_APPLICABLE
        if any(item.complete and item.basis in self.alternatives for item in self.evidence):
            return Outcome.PASS
        if self.unestablished or not self.required <= self.checked:
            return Outcome.OPEN
        return Outcome.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A file that could not be read, decoded or parsed, with the reason. `fatal`: nothing could be audited."""

    path: str
    reason: str
    fatal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionSummary:
    """Which submission a report is about.

    `packed`: the shipped script decodes its source at run time; `unwrapped` are the steps that were undone, outermost
    first (empty where none could be). `parsed`: every module of the script was parsed.
    """

    path: str
    pr: int | None
    commit: str | None
    script: str | None
    code_bytes: int | None
    packed: bool
    unwrapped: tuple[str, ...]
    parsed: bool
    digest: str | None
    chosen_because: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadlineLine:
    """One log line that carries the submitted number, or one seed's share of it; `text` is what stands there."""

    log: str
    line: int
    label: str
    seed: int | None
    val_bpb: float
    val_loss: float | None
    printable_by_script: bool | None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadlineSummary:
    """Where the submitted val_bpb comes from. `None` is "could not be told", and `explanation` says why.

    `print_site` is the print in the script that can have made the (first) line.
    """

    val_bpb: float | None
    claimed_in: str | None
    label: str | None
    log: str | None
    line: int | None
    kind: str | None
    evaluation: str | None
    printable_by_script: bool | None
    lines: tuple[HeadlineLine, ...]
    explanation: str
    print_site: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything the auditor says about one submission.

    `story` tells the evaluation in program order, line by line, and `timelines` what a picture of it is drawn from; both
    are empty where they were not asked for. `run` is what a run of the script showed, None where none was asked for.
    """

    submission: SubmissionSummary
    headline: HeadlineSummary | None
    results: tuple[RuleResult, ...]
    unreadable: tuple[Unreadable, ...] = ()
    story: tuple[str, ...] = ()
    timelines: tuple[Timeline, ...] = ()
    run: RunFacts | None = None

    @property
    def verdict(self) -> Verdict:
        """`error` if nothing could be audited, `violation` if any rule fails, `review` if a person must look, else `clean`.

        A person must also look where a file could not be read or a rule crashed.
        """
        outcomes = {result.outcome for result in self.results}
        if not self.results or any(item.fatal for item in self.unreadable):
            return Verdict.ERROR
        if Outcome.FAIL in outcomes:
            return Verdict.VIOLATION
        if Outcome.REVIEW in outcomes or Outcome.CRASHED in outcomes or self.unreadable:
            return Verdict.REVIEW
        return Verdict.CLEAN


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSet:
    """The result of one invocation: reports in input order, under one ruleset.

    `notices` are sentences about the invocation itself: an expired waiver, what a change deletes, work that is not
    committed.
    """

    tool_version: str
    ruleset: Ruleset
    reports: tuple[Report, ...]
    notices: tuple[str, ...] = ()


class FailOn(StrEnum):
    """From which outcome on the exit code is 1."""

    VIOLATION = "violation"
    REVIEW = "review"
    OPEN = "open"


_BLOCKING: Mapping[FailOn, frozenset[Severity]] = {
    FailOn.VIOLATION: frozenset({Severity.ERROR}),
    FailOn.REVIEW: frozenset({Severity.ERROR, Severity.WARNING}),
    FailOn.OPEN: frozenset({Severity.ERROR, Severity.WARNING}),
}


def exit_code(reports: Iterable[Report], fail_on: FailOn) -> int:
    """0 clean, 1 findings, 2 could not do the whole job (nothing audited, something unreadable, a crashed rule).

    Findings that the maintainers set aside do not count.
    """
    reports = tuple(reports)
    results = [result for report in reports for result in report.results]
    outcomes = {result.outcome for result in results}
    broken = any(report.verdict is Verdict.ERROR or report.unreadable for report in reports)
    if not reports or broken or Outcome.CRASHED in outcomes:
        return 2
    counted = {finding.severity for result in results for finding in result.findings if finding.suppression is None}
    blocked = counted & _BLOCKING[fail_on] or (fail_on is FailOn.OPEN and Outcome.OPEN in outcomes)
    return 1 if blocked else 0
