"""Every fixture case of a rule that asks a run, through both halves: source, run and case must agree.

A case is a real process of its own, or several, so most of them wait for ``pytest -m runs``; one of each kind of question
is always run.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

import cli
from rules import ALL_RULES
from tools.run_fixtures import PROBES, cases, hold

ALWAYS = {
    "PG403-bad_download_at_evaluation",
    "PG501-hard_targets_in_the_input",
    "PG503-good_delta_learned_on_scored_chunks",
    "PG602-bad_wrong_denominator",
    "PG701-bad_train_then_score",
    "PG701-good_score_first_chunks",
    "PG802-miss_every_other_window",
    "PG901-bad_double_counted_space",
}
ALL = [pytest.param(case, id=case.name, marks=() if case.name in ALWAYS else pytest.mark.runs) for case in cases()]


@pytest.mark.torch
@pytest.mark.parametrize("case", ALL)
def test_source_run_and_case_agree(case):
    pytest.importorskip("torch")
    pytest.importorskip("sentencepiece")
    found = hold(case, Path(sys.executable))
    assert found.contradiction is None, found
    if case.name == "PG701-good_score_first_chunks":
        assert found.run.headline.is_score_first


def test_every_rule_that_asks_a_run_is_held_against_runs():
    assert {rule.id for rule in ALL_RULES if "confront(" in inspect.getsource(type(rule))} == set(PROBES)


def test_each_of_these_rules_has_a_bad_case_and_two_good_ones_that_a_run_decides():
    decided = Counter((case.rule_id, case.kind == "good") for case in cases() if case.run_cannot_tell is None)
    assert {rule_id: (decided[rule_id, False] >= 1, decided[rule_id, True] >= 2) for rule_id in PROBES} == dict.fromkeys(
        PROBES, (True, True)
    )


def test_the_cases_that_are_always_run_are_there():
    assert {case.name for case in cases()} >= ALWAYS


@pytest.mark.torch
def test_a_run_that_fails_leaves_the_audit_as_it_is_and_says_what_is_needed(tmp_path, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("sentencepiece")
    (tmp_path / "train_gpt.py").write_text("import torch\nimport no_such_package\n", encoding="utf-8")
    audited = ["audit", str(tmp_path), "--format", "json", "--fail-on", "open"]
    cli.main(audited)
    static = json.loads(capsys.readouterr().out)["reports"][0]
    cli.main([*audited, "--run", "--keep-run", str(tmp_path / "kept")])
    report = json.loads(capsys.readouterr().out)["reports"][0]
    assert [each["outcome"] for each in report["results"]] == [each["outcome"] for each in static["results"]]
    assert (static["run"], report["verdict"]) == (None, static["verdict"])
    assert report["run"]["failure"] == "ModuleNotFoundError: No module named 'no_such_package' (train_gpt.py:2)"
    assert "install no_such_package" in report["run"]["needed"]
    (kept,) = (tmp_path / "kept").iterdir()
    assert {path.name for path in kept.iterdir()} == {"log.txt", "events.jsonl", "run.json"}
