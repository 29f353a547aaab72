"""Sets findings aside as the maintainers decided, and tells what of their decisions is out of date.

Nothing is removed: the finding stays in every report with the reason, and outcome and verdict say what they said. Only the
exit status counts no finding that is set aside. What cannot be waived: a file that could not be read, a rule that crashed
or could not be established.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from auditor.finding import Finding, Severity
from auditor.gate.baseline import Baseline, counted, record_baseline
from auditor.gate.waivers import Waiver
from auditor.report import Report, ReportSet, RuleResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What the maintainers decided, and the day on which that is asked."""

    waivers: Sequence[Waiver] = ()
    baseline: Baseline | None = None
    today: date

    def apply(self, reports: ReportSet) -> ReportSet:
        """`reports` with findings set aside, a waiver before the baseline, and a notice of each decision out of date."""
        decided = tuple(map(self._report, reports.reports))
        return replace(reports, reports=decided, notices=(*reports.notices, *self._notices(reports.reports)))

    def adopt(self, reports: ReportSet, name: str) -> Decisions:
        """These decisions with a new baseline, called `name`, of all that `reports` found and no waiver covers."""
        return replace(self, baseline=record_baseline(self.apply(reports).reports, name))

    def _report(self, report: Report) -> Report:
        results = tuple(self._result(result, report.submission.path) for result in report.results)
        return replace(report, results=results)

    def _result(self, result: RuleResult, submission: str) -> RuleResult:
        return replace(result, findings=tuple(self._finding(finding, submission) for finding in result.findings))

    def _finding(self, finding: Finding, submission: str) -> Finding:
        if finding.severity is Severity.NOTE:
            return finding
        for waiver in self.waivers:
            if waiver.covers(finding, submission) and not self._is_expired(waiver):
                return replace(finding, suppression=waiver.suppression)
        if self.baseline is not None and self.baseline.covers(finding, submission):
            return replace(finding, suppression=self.baseline.suppression)
        return finding

    def _is_expired(self, waiver: Waiver) -> bool:
        return waiver.until < self.today

    def _notices(self, reports: Sequence[Report]) -> Iterator[str]:
        for waiver in self.waivers:
            if self._is_expired(waiver):
                yield f"{waiver} expired on {waiver.until}"
            elif any(_is_unused(waiver, report) for report in reports):
                yield f"{waiver} matches no error or warning"
        if self.baseline is not None:
            for report in reports:
                if num_gone := self.baseline.gone(report):
                    yield f"{report.submission.path}: findings in {self.baseline.name} that are there no more: {num_gone}"


def _is_unused(waiver: Waiver, report: Report) -> bool:
    """Was its rule asked about its submission, and found something else or nothing?"""
    asked = any(result.rule_id == waiver.rule for result in report.results)
    concerned = asked and report.submission.path == waiver.submission
    return concerned and not any(waiver.covers(finding, waiver.submission) for finding in counted(report))
