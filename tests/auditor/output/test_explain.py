from __future__ import annotations

import pytest

from auditor.output.describe import describe
from auditor.output.explain import explain, list_rules
from auditor.rule import Rule, RulesetName
from rules import ALL_RULES


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.id)
def test_explains_every_part_of_every_rule(rule: Rule):
    text = " ".join(explain(rule, width=80).split())
    described = describe(rule)
    assert text.startswith(f"{rule.id} {rule.name} ")
    assert all(" ".join(body.split()) in text for body in described.sections.values())
    assert all(authority.reference in text and str(authority.since) in text for authority in rule.authority)
    assert f"practice: {rule.status[RulesetName.PRACTICE]}" in text


def test_lists_every_rule_with_its_status_under_the_ruleset_asked_for(sample_rules: tuple[Rule, ...]):
    lines = list_rules(ALL_RULES, RulesetName.README).splitlines()
    starts = [line.split(maxsplit=1)[0] for line in lines if line[:2] == "PG"]
    assert starts == [rule.id for rule in ALL_RULES]
    assert lines[0].split()[:3] == ["id", "rule", "readme"]
    [row] = list_rules(sample_rules, RulesetName.PRACTICE).splitlines()[1:]
    assert row.split(maxsplit=3) == ["PG201", "oversize-artifact", "violation", "The artifact is larger than the cap."]


def test_a_docstring_without_a_section_is_an_error(sample_rules: tuple[Rule, ...]):
    class Bare(type(sample_rules[0])):  # type: ignore[misc]
        """Says what is wrong.

        Requirement: none of the other sections.
        """

    with pytest.raises(ValueError, match="Bare has no section Detection, Limits, Remedy"):
        describe(Bare())


def test_a_section_begins_with_a_capital_unless_it_begins_with_a_name(sample_rules: tuple[Rule, ...]):
    from auditor.output.describe import sentence

    assert describe(sample_rules[0]).sections["Remedy"] == "Shrink the model."
    assert sentence("submission.json says so") == "submission.json says so"
