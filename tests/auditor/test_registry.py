import pytest

from auditor.registry import UnknownRuleError, find_rules, select_rules
from auditor.rule import Rule


class Oversize(Rule):
    id = "PG201"
    name = "oversize-artifact"


class Foreign(Rule):
    id = "PG001"
    name = "foreign-log"


RULES = (Foreign(), Oversize())


@pytest.mark.parametrize("word", ["PG201", "pg2", "oversize-artifact"])
def test_a_rule_is_found_by_id_prefix_and_name(word: str) -> None:
    assert [rule.id for rule in find_rules(RULES, [word])] == ["PG201"]


def test_an_unknown_word_names_near_matches() -> None:
    with pytest.raises(UnknownRuleError, match="did you mean oversize-artifact"):
        find_rules(RULES, ["oversize-artefact"])


def test_an_empty_word_selects_nothing() -> None:
    with pytest.raises(UnknownRuleError):
        find_rules(RULES, [""])


def test_a_selection_that_leaves_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no rule to run"):
        select_rules(RULES, ["PG201"], ["oversize-artifact"])
