"""The report for a terminal: verdict first, then where the number comes from, what decides it, what could not be told.

One report is shown in full. Several are a table; those that are not clean follow in full where they are few, so that an
audit of a whole contest stays a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditor.finding import Finding, Severity
from auditor.output.describe import authorities
from auditor.output.page import Page, Styled
from auditor.output.sanitize import clean, disarm_commands
from auditor.output.summary import (
    OUTCOME_WORDS,
    by_id,
    claim,
    counts,
    deciding,
    decisive_findings,
    differences,
    excerpts,
    name,
    not_established,
    notes,
    place,
    printed_by,
    rules_with,
    verdict_counts,
    verdict_reason,
)
from auditor.report import HeadlineSummary, Outcome, Report, ReportSet, RuleResult, Verdict
from auditor.rule import Rule, Ruleset

_MAX_DETAILED = 3  # ours: more reports than these in full are not read
_MAX_EXCERPTS = 5  # ours: places of one finding that are quoted
_VERDICT_STYLE: Mapping[Verdict, str] = {
    Verdict.VIOLATION: "bold red",
    Verdict.REVIEW: "bold yellow",
    Verdict.CLEAN: "bold green",
    Verdict.ERROR: "bold magenta",
}
_SEVERITY_STYLE: Mapping[Severity, str] = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_DECIDES: Mapping[Verdict, Outcome] = {Verdict.VIOLATION: Outcome.FAIL, Verdict.REVIEW: Outcome.REVIEW}


def render_text(reports: ReportSet, rules: Sequence[Rule], *, width: int | None = None, color: bool = False) -> str:
    """`reports` for a terminal of `width` columns (by default the one at hand)."""
    page = Page(width, color=color)
    shown = [report for report in reports.reports if report.verdict is not Verdict.CLEAN]
    if len(reports.reports) == 1:
        shown = list(reports.reports)
    else:
        _table(page, reports)
    if len(shown) <= _MAX_DETAILED:
        for number, report in enumerate(shown):
            if number or len(reports.reports) > 1:
                page.gap()
            _Detail(page, clean(report), by_id(rules)).show()
    page.gap()
    page.paragraph((f"pgolf {reports.tool_version}, {_ruleset(reports.ruleset)}", "dim"))
    return disarm_commands(page.text())


def _ruleset(ruleset: Ruleset) -> str:
    return f"ruleset {ruleset.name} as of {ruleset.as_of}"


def _table(page: Page, reports: ReportSet) -> None:
    rows = [_row(clean(report)) for report in reports.reports]
    page.table(("submission", "verdict", "val_bpb", "logged as", "because of"), rows)
    page.gap()
    page.paragraph((verdict_counts(reports), "bold"))


def _row(report: Report) -> tuple[Styled, ...]:
    headline = report.headline
    number = "" if headline is None or headline.val_bpb is None else f"{headline.val_bpb:.5f}"
    label = (headline.label if headline else None) or ""
    return name(report), (report.verdict, _VERDICT_STYLE[report.verdict]), number, label, _because(report)


def _because(report: Report) -> str:
    decides = _DECIDES.get(report.verdict)
    rules = rules_with(report, decides) if decides else []
    return ", ".join(rules) if rules or report.verdict is Verdict.CLEAN else verdict_reason(report)


class _Detail:
    """One report in full."""

    def __init__(self, page: Page, report: Report, rules: Mapping[str, Rule]) -> None:
        self.page = page
        self.report = report
        self.rules = rules

    def show(self) -> None:
        """Every part that has something to say."""
        self._verdict()
        if self.report.headline is not None:
            self._headline(self.report.headline)
        self._decisive()
        self._notes()
        self._list("Not established", [f"{rules}: {why}" for rules, why in not_established(self.report)])
        self._list("Could not be read", [f"{item.path}: {item.reason}" for item in self.report.unreadable])
        self._list("Under the other ruleset", [f"{ruleset}: {text}" for ruleset, text in differences(self.report)])
        if self.report.results:
            self.page.gap()
            self.page.paragraph(counts(self.report))

    def _verdict(self) -> None:
        report, submission = self.report, self.report.submission
        style = _VERDICT_STYLE[report.verdict]
        self.page.paragraph(
            (report.verdict.upper(), style), f"  {name(report)}: ", (verdict_reason(report), "bold"), bullet=""
        )
        self.page.paragraph((submission.path, "dim"), indent=2)
        if submission.script:
            unwrapped = f", unwrapped from {' in '.join(submission.unwrapped)}" if submission.unwrapped else ""
            packed = ", packed and not unwrapped" if submission.packed and not submission.unwrapped else ""
            size = "" if submission.code_bytes is None else f", {submission.code_bytes:,} bytes"
            self.page.paragraph((f"{submission.script}{size}{unwrapped}{packed}", "dim"), indent=2)
        if submission.chosen_because:
            self.page.paragraph((f"chosen: {submission.chosen_because}", "dim"), indent=2)

    def _title(self, title: str) -> None:
        self.page.gap()
        self.page.paragraph((title, "bold underline"))

    def _list(self, title: str, items: Sequence[str]) -> None:
        if items:
            self._title(title)
            for item in items:
                self.page.paragraph(item, indent=2, bullet="- ")

    def _headline(self, headline: HeadlineSummary) -> None:
        self._title("Submitted number")
        if len(headline.lines) < 2:
            self.page.paragraph(headline.explanation, indent=2)
            return
        self.page.paragraph(claim(headline), indent=2)
        for line in headline.lines:
            seed = "" if line.seed is None else f", seed {line.seed}"
            self.page.paragraph(f"{line.val_bpb:<10} {line.log}:{line.line} ({line.label}{seed})", indent=4)
        self.page.paragraph(printed_by(headline, self.report.submission.script), indent=2)

    def _decisive(self) -> None:
        results = deciding(self.report)
        if results:
            self._title("What decides it")
        for number, result in enumerate(results):
            if number:
                self.page.gap()
            self._result(result)

    def _result(self, result: RuleResult) -> None:
        style = "red" if result.outcome is Outcome.FAIL else "yellow"
        self.page.paragraph(
            (f"{result.rule_id} {result.rule}", "bold"), " ", (OUTCOME_WORDS[result.outcome], style), indent=2
        )
        found = decisive_findings(result)
        for finding in found:
            self._finding(finding)
        for line in (result.crash or "").splitlines()[-_MAX_EXCERPTS:]:
            self.page.quote(line, 4)
        for remedy in dict.fromkeys(finding.remedy for finding in found if finding.remedy):
            self.page.paragraph(("To do: ", "bold"), remedy, indent=4)
        rule = self.rules.get(result.rule_id)
        for authority in authorities(rule) if rule and found else ():
            self.page.paragraph((f"Authority: {authority}", "dim"), indent=4)

    def _finding(self, finding: Finding) -> None:
        doubt = "" if finding.confidence == "high" else f" ({finding.confidence} confidence)"
        self.page.paragraph(
            (f"{finding.severity}: ", _SEVERITY_STYLE[finding.severity]), f"{finding.message}{doubt}", indent=4
        )
        places = excerpts(finding)
        for location, what in places[:_MAX_EXCERPTS]:
            if location.snippet or what:
                self.page.paragraph((f"{place(location)}{': ' if what else ''}{what}", "dim"), indent=6)
            for line in (location.snippet or "").splitlines():
                self.page.quote(line, 6)
        if len(places) > _MAX_EXCERPTS:
            self.page.paragraph((f"and {len(places) - _MAX_EXCERPTS} more places", "dim"), indent=6)

    def _notes(self) -> None:
        self._list("Notes", [f"{finding.rule_id}: {finding.message}" for finding in notes(self.report)])
