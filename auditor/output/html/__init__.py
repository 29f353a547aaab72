"""Reports as one HTML file: no network, no framework, readable without JavaScript, printable.

The sentences are those of the other formats (`output.summary`). What only this one has: code frames with line numbers, the
picture of the evaluation, drawings of the sizes and the seeds, and an index of many reports.
"""

from __future__ import annotations

from collections.abc import Sequence

from auditor.output.html.index import index
from auditor.output.html.markup import element
from auditor.output.html.page import page
from auditor.output.html.report import show
from auditor.output.sanitize import clean
from auditor.output.summary import by_id, held_against, name, rows
from auditor.report import ReportSet
from auditor.rule import Rule


def render_html(reports: ReportSet, rules: Sequence[Rule]) -> str:
    """`reports` as one HTML document: a single one by itself, several behind an index."""
    known = by_id(rules)
    reports = clean(reports)
    made_by = f"pgolf {reports.tool_version}, ruleset {reports.ruleset.name} as of {reports.ruleset.as_of}"
    told = [notice for notice in (held_against(reports.ruleset), *reports.notices) if notice]
    before = [element("p", element("strong", notice), class_="notice") for notice in told]
    shown = [show(report, known, f"r{number}-") for number, report in enumerate(reports.reports, start=1)]
    if len(shown) == 1:
        report = reports.reports[0]
        return page(f"{name(report)}: {report.verdict} - pgolf audit", made_by, *before, *shown)
    return page(f"{len(shown):,} submissions - pgolf audit", made_by, *before, index(reports, rows(reports), shown))
