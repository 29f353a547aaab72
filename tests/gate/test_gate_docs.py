"""docs/gate.md says what the action, the hook and the command do: its examples are read by what would read them."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

import cli
from auditor.gate.files import WAIVERS
from auditor.gate.waivers import parse_waivers
from rules import ALL_RULES
from tests.gate.test_action import ACTION, ROOT

PAGE = (ROOT / "docs/gate.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(yaml|toml)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
WORKFLOW: dict[Any, Any] = yaml.safe_load(EXAMPLES[0][1])
STEPS = WORKFLOW["jobs"]["audit"]["steps"]


def table(heading: str) -> list[str]:
    """The first column of the table under a heading."""
    rows = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip().strip("`") for row in rows]


def test_the_tables_name_the_inputs_and_outputs_of_the_action() -> None:
    assert table("input") == list(ACTION["inputs"])
    assert table("output") == list(ACTION["outputs"])


def test_the_workflow_uses_the_action_as_it_is() -> None:
    (step,) = [step for step in STEPS if "pgolf@" in step["uses"]]
    assert set(step["with"]) <= set(ACTION["inputs"])
    named = re.findall(rf"steps\.{step['id']}\.outputs\.([\w-]+)", EXAMPLES[0][1])
    assert named
    assert set(named) <= set(ACTION["outputs"])


def test_the_workflow_asks_for_no_more_than_it_needs() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert set(WORKFLOW[True]) == {"pull_request"}  # YAML 1.1 reads the key `on` as a truth value
    (checkout,) = [step for step in STEPS if step["uses"].startswith("actions/checkout@")]
    assert checkout["with"] == {"fetch-depth": 0, "filter": "blob:none", "persist-credentials": False}


def test_defaults_of_the_action_are_those_of_the_command() -> None:
    options = cli.parser().parse_args(["audit", "--base", "main"])
    assert ACTION["inputs"]["ruleset"]["default"] == options.ruleset
    assert ACTION["inputs"]["fail-on"]["default"] == options.fail_on
    assert WAIVERS in ACTION["inputs"]["waivers"]["description"]
    assert WAIVERS in PAGE


def test_the_waiver_is_one() -> None:
    (text,) = [text for language, text in EXAMPLES if language == "toml"]
    (waiver,) = parse_waivers(text, "gate.md", {rule.id for rule in ALL_RULES})
    assert set(tomllib.loads(text)["waiver"][0]) == {"rule", "submission", "fingerprint", "reason", "by", "until"}
    assert waiver.submission.startswith("records/")


def test_the_hook_is_there_and_takes_its_options() -> None:
    (example,) = yaml.safe_load(EXAMPLES[1][1])["repos"]
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert [used["id"] for used in example["hooks"]] == [hook["id"]]
    program, *words = hook["entry"].split()
    assert program == "pgolf"
    assert cli.parser().parse_args([*words, *example["hooks"][0]["args"]]).staged


@pytest.mark.parametrize("status", ["0", "1", "2"])
def test_every_exit_status_is_told(status: str) -> None:
    assert status in table("status")
