"""What a rule says, for a terminal: `pgolf explain RULE` and `pgolf rules`. The generated pages say the same."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.output.describe import describe, needed
from auditor.output.page import Page
from auditor.rule import Rule, RulesetName


def explain(rule: Rule, *, width: int | None = None, color: bool = False) -> str:
    """One rule in full, for a terminal of `width` columns (by default the one at hand)."""
    text = describe(rule)
    page = Page(width, color=color)
    page.paragraph((f"{text.id} {text.name}", "bold"), f" ({text.family})")
    page.paragraph(text.summary)
    for title, body in text.sections.items():
        page.gap()
        page.paragraph((title, "bold underline"))
        page.paragraph(body, indent=2)
    page.gap()
    page.paragraph(("Authority", "bold underline"))
    for authority in text.authorities:
        page.paragraph(authority, indent=2, bullet="- ")
    page.gap()
    page.paragraph(("Status", "bold underline"))
    for ruleset, status in text.status.items():
        page.paragraph(f"{ruleset}: {status}", indent=2, bullet="- ")
    page.paragraph(f"to pass, evidence is needed from: {needed(text)}", indent=2, bullet="- ")
    return page.text()


def list_rules(rules: Sequence[Rule], ruleset_name: RulesetName) -> str:
    """A table of `rules` with what breaking each means under `ruleset_name`."""
    page = Page()
    page.table(
        ("id", "rule", ruleset_name, "what is wrong"),
        [(rule.id, rule.name, rule.status[ruleset_name], describe(rule).summary) for rule in rules],
    )
    return page.text()
