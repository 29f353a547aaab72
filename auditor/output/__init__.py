"""Reports as text: one module per format, and no rule knows any of them.

`render` imports the module that it needs when it is called, so that starting the program loads none of them. What every
format owes its readers: text of a submission is shown, never obeyed (see `sanitize`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditor.report import ReportSet
    from auditor.rule import Rule

FORMATS: tuple[str, ...] = ("text", "json", "sarif", "markdown", "github", "html")


def render(reports: ReportSet, rules: Sequence[Rule], format: str, *, width: int | None = None, color: bool = False) -> str:
    """`reports` as text in one of `FORMATS`, ending in a newline. ValueError for any other format.

    `rules` give authorities and descriptions; a report on a rule that is not among them is shown without. `width` (columns;
    that of the terminal by default) and `color` concern the format ``text`` alone.
    """
    match format:
        case "text":
            from auditor.output.terminal import render_text

            return render_text(reports, rules, width=width, color=color)
        case "json":
            from auditor.output.json_report import render_json

            return render_json(reports)
        case "sarif":
            from auditor.output.sarif import render_sarif

            return render_sarif(reports, rules)
        case "markdown":
            from auditor.output.markdown import render_markdown

            return render_markdown(reports, rules)
        case "github":
            from auditor.output.github import render_github

            return render_github(reports)
        case "html":
            from auditor.output.html import render_html

            return render_html(reports, rules)
        case _:
            raise ValueError(f"no format is called {format!r}; there are {', '.join(FORMATS)}")
