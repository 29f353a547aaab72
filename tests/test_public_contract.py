"""What others build on: rule ids, commands and options, keys of the JSON, exit statuses. Changed by decision only."""

from __future__ import annotations

import argparse
import json

import cli
from auditor.output import render
from auditor.report import FailOn, Outcome, ReportSet, Verdict
from auditor.rule import Ruleset, RulesetName
from rules import ALL_RULES
from rules.limits import RULES_AS_OF

RULES = {
    "PG001": "foreign-log",
    "PG002": "claim-log-mismatch",
    "PG003": "seed-mismatch",
    "PG004": "unsupported-significance",
    "PG005": "retracted-claim",
    "PG101": "missing-required-file",
    "PG102": "unreadable-metadata",
    "PG103": "changes-outside-folder",
    "PG104": "unparsable-script",
    "PG201": "oversize-artifact",
    "PG202": "code-size-mismatch",
    "PG203": "uncounted-code",
    "PG301": "train-time-over-cap",
    "PG302": "evaluation-time-over-cap",
    "PG303": "calibration-after-budget",
    "PG304": "wrong-hardware",
    "PG401": "validation-in-training",
    "PG402": "training-data-at-evaluation",
    "PG403": "network-at-evaluation",
    "PG404": "train-validation-overlap",
    "PG501": "future-token-dependence",
    "PG502": "target-gated-predictor",
    "PG503": "slot-adaptation",
    "PG504": "context-slot",
    "PG505": "cross-document-leak",
    "PG601": "hashed-target-lookup",
    "PG602": "unnormalized-distribution",
    "PG603": "byte-level-mixture",
    "PG604": "hindsight-selection",
    "PG701": "train-before-score",
    "PG702": "multi-epoch-report",
    "PG703": "warmup-on-validation",
    "PG801": "rescored-token",
    "PG802": "partial-validation",
    "PG803": "out-of-order-cache",
    "PG901": "byte-count-mismatch",
    "PG902": "double-counted-space",
    "PG903": "lossy-tokenizer",
}
COMMANDS = {
    "audit": {
        "--help",
        "--repo",
        "--pr",
        "--folder",
        "--all-prs",
        "--base",
        "--staged",
        "--ruleset",
        "--as-of",
        "--split",
        "--against",
        "--select",
        "--ignore",
        "--fail-on",
        "--waivers",
        "--baseline",
        "--write-baseline",
        "--run",
        "--no-run",
        "--run-python",
        "--run-timeout",
        "--run-probes",
        "--ranks",
        "--keep-run",
        "--format",
        "--output",
        "--also",
        "--explain-flow",
        "--jobs",
    },
    "run-trace": {"--help", "--repo", "--pr", "--run-python", "--run-timeout", "--ranks", "--run-probes", "--keep-run"},
    "rules": {"--help", "--ruleset"},
    "explain": {"--help"},
    "train": {"--help", "--preset", "--set", "--settings", "--resume", "--overwrite", "--quiet"},
    "eval": {"--help", "--preset", "--set"},
    "data": {"--help"},
    "record": {
        "--help",
        "--script",
        "--name",
        "--author",
        "--github-id",
        "--blurb",
        "--track",
        "--against",
        "--date",
        "--records",
    },
    "demo": {"--help", "--output"},
    "pack": {"--help", "--preset", "--run", "--set", "--output", "--readable", "--self-extracting"},
    "completion": {"--help"},
}


def test_rules() -> None:
    assert {rule.id: rule.name for rule in ALL_RULES} == RULES


def test_commands_and_options() -> None:
    (commands,) = (action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction))
    found = {
        name: {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
        for name, parser in commands.choices.items()
    }
    assert found == COMMANDS


def test_choices_of_the_command_line_are_those_of_the_code() -> None:
    from auditor.commands import options
    from auditor.run.probes import KINDS

    assert tuple(RulesetName) == options.RULESETS
    assert tuple(FailOn) == options.FAIL_ON
    assert KINDS == options.PROBES


def test_words_of_outcomes_and_verdicts() -> None:
    assert [str(outcome) for outcome in Outcome] == ["fail", "review", "open", "pass", "notApplicable", "crashed"]
    assert [str(verdict) for verdict in Verdict] == ["violation", "review", "clean", "error"]


def test_head_of_the_json() -> None:
    ruleset = Ruleset(RulesetName.PRACTICE, RULES_AS_OF.value)
    text = render(ReportSet(tool_version="1", ruleset=ruleset, reports=()), ALL_RULES, "json")
    assert json.loads(text) == {
        "schema_version": 1,
        "tool_version": "1",
        "ruleset": {"name": "practice", "as_of": "2026-05-02"},
        "notices": [],
        "reports": [],
    }
