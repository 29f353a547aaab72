"""Many reports in one file: a table to filter and to sort, and behind every row the whole report.

A report is kept inside ``noscript``: a browser that runs scripts takes that for one piece of text and builds nothing of it
until its row is opened, one that runs none shows it in full. So thousands of reports load quickly, and the page has one
way of writing a report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from auditor.output.html.markup import Markup, element, join
from auditor.output.html.report import marked
from auditor.output.summary import Row, deciding, verdict_counts
from auditor.report import Report, ReportSet, Verdict

_COLUMNS = (
    ("Submission", "text"),
    ("Verdict", "text"),
    ("val_bpb", "number"),
    ("Logged as", "text"),
    ("Because of", "text"),
)


def index(reports: ReportSet, rows: Sequence[Row], shown: Sequence[Markup]) -> Markup:
    """The table of `reports` (one of `rows` each, in plain text), the controls over it, and the reports `shown` in full."""
    title = element("h1", "Submissions", class_="title", tabindex="-1")
    lines = [_line(number, row, report) for number, (row, report) in enumerate(zip(rows, reports.reports, strict=True), 1)]
    table = element("table", element("thead", element("tr", *map(_head, _COLUMNS))), element("tbody", *lines), id="table")
    overview = (title, element("p", f"{verdict_counts(reports)}.", class_="lead"), _controls(reports), table)
    kept = (
        element("div", element("noscript", report), id=f"r{number}", class_="kept")
        for number, report in enumerate(shown, start=1)
    )
    return join((element("section", *overview, id="index", aria_label="Submissions"), _TURN, *kept))


def _head(column: tuple[str, str]) -> Markup:
    name, kind = column
    return element("th", name, scope="col", data_kind=kind)


def _line(number: int, row: Row, report: Report) -> Markup:
    rules = " ".join(result.rule for result in deciding(report))
    return element(
        "tr",
        element("th", element("a", row.name, href=f"#r{number}"), scope="row"),
        element("td", marked(row.verdict), class_=f"is-{row.verdict}"),
        element("td", row.val_bpb),
        element("td", element("code", row.label) if row.label else ""),
        element("td", row.because),
        data_verdict=row.verdict,
        data_rules=rules,
        data_path=report.submission.path,
    )


def _controls(reports: ReportSet) -> Markup:
    """What narrows the table down; shown by the script that makes it work."""
    verdicts = Counter(report.verdict for report in reports.reports)
    boxes = (
        element(
            "label",
            element("input", type="checkbox", name="verdict", value=verdict, checked=True),
            f" {verdict} ",
            element("span", f"{verdicts[verdict]:,}", class_="count"),
        )
        for verdict in Verdict
        if verdicts[verdict]
    )
    rules = Counter(result.rule for report in reports.reports for result in deciding(report))
    options = (element("option", f"{rule} ({rules[rule]:,})", value=rule) for rule in sorted(rules))
    return element(
        "search",
        element("fieldset", element("legend", "Verdict"), *boxes),
        element("label", "Rule ", element("select", element("option", "any", value=""), *options, id="rule")),
        element("label", "Text ", element("input", type="search", id="words", autocomplete="off", spellcheck="false")),
        element("output", id="shown"),
        id="controls",
        hidden=True,
    )


_TURN = element(
    "nav",
    element("a", "All submissions", href="#", id="all"),
    element("a", "Previous", id="previous"),
    element("a", "Next", id="next"),
    id="turn",
    aria_label="Reports",
    hidden=True,
)
