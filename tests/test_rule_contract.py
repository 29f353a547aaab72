"""What every rule owes its readers: a name by convention, a dated authority, a status, a documented page, cases."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

import pytest

from auditor.rule import Rule, RulesetName
from rules import ALL_RULES
from rules.limits import LAUNCH
from tools.lay_out_fixtures import FIXTURES, find_cases

SECTIONS = ("Requirement:", "Detection:", "Limits:", "Remedy:")
FAMILIES = {
    "0": "evidence",
    "1": "package",
    "2": "size",
    "3": "budget",
    "4": "access",
    "5": "causality",
    "6": "distribution",
    "7": "adaptation",
    "8": "single_pass",
    "9": "metric",
}

every_rule = pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.id)


def test_ids_are_unique_and_in_order():
    ids = [rule.id for rule in ALL_RULES]
    assert ids == sorted(set(ids))


def test_names_are_unique():
    assert not [name for name, times in Counter(rule.name for rule in ALL_RULES).items() if times > 1]


@every_rule
def test_name_says_what_is_wrong_and_module_and_class_follow_it(rule: Rule):
    words = rule.name.split("-")
    assert re.fullmatch(r"PG\d{3}", rule.id)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.name)
    assert words[0] not in {"no", "check", "legal"}
    assert type(rule).__module__ == f"rules.{FAMILIES[rule.id[2]]}.{'_'.join(words)}"
    assert type(rule).__name__.lower() == "".join(words)


@every_rule
def test_docstring_has_its_sections_in_order_and_each_says_something(rule: Rule):
    text = type(rule).__doc__ or ""
    places = [text.find(f"\n    {section}") for section in SECTIONS]
    assert -1 not in places
    assert places == sorted(places)
    bodies = re.split(rf"\n    (?:{'|'.join(SECTIONS)})", text)
    assert all(len(body.split()) >= 5 for body in bodies)
    assert bodies[0].strip().endswith(".")


@every_rule
def test_authority_says_who_where_and_since_when(rule: Rule):
    assert rule.authority
    for authority in rule.authority:
        assert authority.reference
        assert LAUNCH <= authority.since <= date(2026, 5, 4)


@every_rule
def test_every_ruleset_gives_a_status_and_a_pass_needs_evidence(rule: Rule):
    assert set(rule.status) == set(RulesetName)
    assert rule.required


@every_rule
def test_has_a_bad_case_and_two_good_ones(rule: Rule):
    kinds = Counter(case.kind for case in find_cases() if case.rule_id == rule.id)
    assert kinds["bad"] >= 1
    assert kinds["good"] >= 2


def test_every_fixture_folder_belongs_to_a_rule_and_every_case_is_described():
    names = {f"{rule.id}_{rule.name.replace('-', '_')}" for rule in ALL_RULES}
    folders = [folder for folder in FIXTURES.glob("PG*") if folder.is_dir()]
    assert {folder.name for folder in folders} <= names
    cases = [case for folder in folders for case in folder.iterdir() if case.is_dir()]
    assert [case.name for case in cases if not (case / "case.toml").is_file()] == []
