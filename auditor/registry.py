"""Finds rules by id, name or id prefix; an unknown word is an error that names near matches."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from auditor.rule import Rule


class UnknownRuleError(ValueError):
    """A word that names no rule. The message lists near matches."""


def find_rules(rules: Sequence[Rule], words: Iterable[str]) -> tuple[Rule, ...]:
    """The rules that `words` name (an id, a kebab-case name, or an id prefix such as ``PG2``), in the order of `rules`."""
    wanted: set[str] = set()
    for word in words:
        matches = {rule.id for rule in rules if word == rule.name or rule.id.startswith(word.upper())}
        if not word or not matches:
            raise UnknownRuleError(_unknown_message(rules, word))
        wanted |= matches
    return tuple(rule for rule in rules if rule.id in wanted)


def select_rules(rules: Sequence[Rule], select: Sequence[str], ignore: Sequence[str]) -> tuple[Rule, ...]:
    """`rules` narrowed to `select` (all if empty) less `ignore`; ValueError if nothing is left."""
    chosen = find_rules(rules, select) if select else tuple(rules)
    dropped = {rule.id for rule in find_rules(rules, ignore)}
    chosen = tuple(rule for rule in chosen if rule.id not in dropped)
    if not chosen:
        raise ValueError("the selection leaves no rule to run")
    return chosen


def _unknown_message(rules: Sequence[Rule], word: str) -> str:
    names = [name for rule in rules for name in (rule.id, rule.name)]
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(near)}?" if near else "; `rules` lists them all"
    return f"no rule is called {word!r}{hint}"
