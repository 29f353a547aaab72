"""The report for a terminal: verdict first, then where the number comes from, what decides it, what could not be told.

One report is shown in full. Several are a table; those that are not clean follow in full where they are few, so that an
audit of a whole contest stays a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditor.finding import Finding, Severity
from auditor.output.describe import authorities
from auditor.output.page import Page, Styled, break_name
from auditor.output.sanitize import clean, disarm_commands
from auditor.output.summary import (
    OUTCOME_WORDS,
    Row,
    by_id,
    claim,
    counts,
    deciding,
    decisive_findings,
    detailed,
    differences,
    excerpts,
    held_against,
    listed,
    name,
    not_established,
    notes,
    place,
    printed_by,
    rows,
    run_sentences,
    said,
    unreadable,
    verdict_counts,
    verdict_reason,
)
from auditor.report import HeadlineSummary, Outcome, Report, ReportSet, RuleResult, SubmissionSummary, Verdict
from auditor.rule import Rule, Ruleset

_MAX_EXCERPTS = 5  # ours: places of one finding that are quoted
_LEAST_LABEL_WIDTH = 14  # ours: below, a label is too torn to be read
_BECAUSE_WIDTH = 26  # ours: what the names of deciding rules need at least
_VERDICT_STYLE: Mapping[Verdict, str] = {
    Verdict.VIOLATION: "bold red",
    Verdict.REVIEW: "bold yellow",
    Verdict.CLEAN: "bold green",
    Verdict.ERROR: "bold magenta",
}
_SEVERITY_STYLE: Mapping[Severity, str] = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def render_text(reports: ReportSet, rules: Sequence[Rule], *, width: int | None = None, color: bool = False) -> str:
    """`reports` for a terminal of `width` columns (by default the one at hand)."""
    page = Page(width, color=color)
    several = len(reports.reports) != 1
    if notice := held_against(reports.ruleset):
        page.paragraph((notice, "bold yellow"))
        page.gap()
    if several:
        _table(page, reports)
    for number, report in enumerate(detailed(reports)):
        if number or several:
            page.gap()
        _Detail(page, clean(report), by_id(rules)).show()
    if reports.notices:
        page.gap()
        page.paragraph(("About this audit", "bold underline"))
    for notice in clean(reports.notices):
        page.paragraph(notice, indent=2, bullet="- ")
    page.gap()
    page.paragraph((f"pgolf {reports.tool_version}, {_ruleset(reports.ruleset)}", "dim"))
    return disarm_commands(page.text())


def _ruleset(ruleset: Ruleset) -> str:
    return f"ruleset {ruleset.name} as of {ruleset.as_of}"


def _table(page: Page, reports: ReportSet) -> None:
    """One row for each report; where the page is too narrow for the label, its column is left out."""
    found = list(map(clean, rows(reports)))
    names = min(max((len(row.name) for row in found), default=0), page.width * 2 // 5)
    fixed = sum(map(len, ("violation", "1.00000"))) + 4 * len("  ")
    labels = page.width - names - fixed - _BECAUSE_WIDTH
    heads = ["submission", "verdict", "val_bpb", "logged as", "because of"]
    cells = [_cells(row, names, labels) for row in found]
    if labels < _LEAST_LABEL_WIDTH:
        heads.pop(3)
        for cell in cells:
            cell.pop(3)
    page.table(heads, cells)
    page.gap()
    page.paragraph((verdict_counts(reports), "bold"))


def _cells(row: Row, name_width: int, label_width: int) -> list[Styled]:
    verdict = (row.verdict, _VERDICT_STYLE[row.verdict])
    label = break_name(row.label, max(label_width, _LEAST_LABEL_WIDTH))
    return [break_name(row.name, name_width), verdict, row.val_bpb, label, row.because]


def _script(submission: SubmissionSummary) -> str:
    """``train_gpt.py, 16,594 bytes, unwrapped from exec(lzma(b85))``."""
    if submission.script is None:
        return ""
    parts = [submission.script]
    if submission.code_bytes is not None:
        parts.append(f"{submission.code_bytes:,} bytes")
    if submission.unwrapped:
        parts.append(f"unwrapped from {' in '.join(submission.unwrapped)}")
    elif submission.packed:
        parts.append("packed, and could not be unwrapped")
    return ", ".join(parts)


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
        self._list("Run", run_sentences(self.report))
        self._story()
        self._list("Not established", [f"{rules}: {why}" for rules, why in not_established(self.report)])
        self._list("Could not be read", unreadable(self.report))
        for ruleset, changes in differences(self.report).items():
            self._list(f"Under ruleset {ruleset}", changes)
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
        facts = [_script(submission), submission.chosen_because or ""]
        if any(facts):
            self.page.paragraph(("; ".join(filter(None, facts)), "dim"), indent=2)

    def _title(self, title: str) -> None:
        self.page.gap()
        self.page.paragraph((title, "bold underline"))

    def _story(self) -> None:
        if self.report.story:
            self.page.gap()
            self.page.paragraph(("The evaluation", "bold"))
        for line in self.report.story:
            words = line.lstrip()
            self.page.paragraph(words, indent=len(line) - len(words) + 2)

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
        widest = max(len(str(line.val_bpb)) for line in headline.lines)
        for line in headline.lines:
            seed = "" if line.seed is None else f", seed {line.seed}"
            self.page.paragraph(f"{line.val_bpb:<{widest}}  {line.log}:{line.line} ({line.label}{seed})", indent=4)
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
        if rule and found:
            self.page.paragraph((f"Authority: {'; '.join(authorities(rule))}", "dim"), indent=4)

    def _finding(self, finding: Finding) -> None:
        style = _SEVERITY_STYLE[finding.severity]
        self.page.paragraph((f"{finding.severity}: ", style), said(finding), indent=4)
        quoted, alike = excerpts(finding)
        for location, what in quoted[:_MAX_EXCERPTS]:
            self.page.paragraph((f"{place(location)}{': ' if what else ''}{what}", "dim"), indent=6)
            for line in (location.snippet or "").splitlines():
                self.page.quote(line, 6)
        more = [place(location) for location, _ in quoted[_MAX_EXCERPTS:]] + list(map(str, alike))
        if more:
            self.page.paragraph((f"also {listed(more)}", "dim"), indent=6)

    def _notes(self) -> None:
        self._list("Notes", [f"{finding.rule_id}: {said(finding)}" for finding in notes(self.report)])
