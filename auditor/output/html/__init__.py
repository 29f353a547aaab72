"""Reports as one HTML file: no network, no framework, readable without JavaScript, printable.

The sentences are those of the other formats (`output.summary`). What only this one has: code frames with line numbers, the
picture of the evaluation, and drawings of the sizes and the seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

from auditor.output.html.markup import element
from auditor.output.html.page import page
from auditor.output.html.report import show
from auditor.output.sanitize import clean
from auditor.output.summary import by_id, held_against, name
from auditor.report import ReportSet
from auditor.rule import Rule


def render_html(reports: ReportSet, rules: Sequence[Rule]) -> str:
    """`reports` as one HTML document."""
    known = by_id(rules)
    made_by = f"pgolf {clean(reports.tool_version)}, ruleset {reports.ruleset.name} as of {reports.ruleset.as_of}"
    cleaned = [clean(report) for report in reports.reports]
    shown = [show(report, known, f"r{number}-") for number, report in enumerate(cleaned, start=1)]
    title = f"{name(cleaned[0])}: {cleaned[0].verdict}" if len(cleaned) == 1 else f"{len(cleaned)} submissions"
    if notice := held_against(reports.ruleset):
        shown.insert(0, element("p", element("strong", notice), role="note"))
    return page(f"{title} - pgolf audit", made_by, *shown)
