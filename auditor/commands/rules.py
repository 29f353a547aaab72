"""``pgolf rules`` and ``pgolf explain``: what the rules say."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from auditor.commands.contest import Contest
from auditor.commands.options import RULESETS, words
from auditor.commands.writing import failed


def add_rules_parsers(commands: Any, contest: Callable[[], Contest]) -> None:  # noqa: ANN401 - argparse does not name it
    """Add ``rules`` and ``explain`` to the command line."""
    listing = commands.add_parser("rules", help="list the rules")
    listing.add_argument("--ruleset", choices=RULESETS, default="practice", help="which status to show")
    listing.set_defaults(run=partial(_rules, contest))
    explain = commands.add_parser("explain", help="what a rule says, and on whose authority")
    explain.add_argument("rule", nargs="+", metavar="RULE", help="an id, a name, or the beginning of an id")
    explain.set_defaults(run=partial(_explain, contest))


def _rules(contest: Callable[[], Contest], arguments: argparse.Namespace) -> int:
    from auditor.output.explain import list_rules
    from auditor.rule import RulesetName

    print(list_rules(contest().rules, RulesetName(arguments.ruleset)))
    return 0


def _explain(contest: Callable[[], Contest], arguments: argparse.Namespace) -> int:
    from auditor.output.explain import explain
    from auditor.registry import UnknownRuleError, find_rules

    try:
        found = find_rules(contest().rules, words(arguments.rule))
    except UnknownRuleError as error:
        return failed(str(error))
    print("\n\n".join(explain(rule, color=sys.stdout.isatty()).rstrip() for rule in found))
    return 0
