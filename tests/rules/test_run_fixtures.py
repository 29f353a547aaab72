"""Some fixture cases through both halves: what the source says and a run says agree. ``make run-fixtures`` takes all."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sentencepiece")

import cli
from tools.run_fixtures import Says, hold, runnable_cases

pytestmark = pytest.mark.torch
CONFIRMED = ("PG503-bad_bias_on_whole_window", "PG701-bad_train_then_score", "PG902-bad_counted_in_table_and_evaluation")
IN_ORDER = ("PG503-good_delta_learned_on_scored_chunks", "PG701-good_score_first_chunks")


def held(name):
    (case,) = runnable_cases([name])
    found = hold(case, Path(sys.executable), probes=())
    assert found.run.failure is None, found.run.failure
    return found


@pytest.mark.parametrize("name", CONFIRMED)
def test_a_run_confirms_what_a_bad_case_breaks(name):
    found = held(name)
    assert found.says is Says.CONFIRMED
    assert found.both == "fail"


@pytest.mark.parametrize("name", IN_ORDER)
def test_a_run_sees_a_good_case_in_order(name):
    found = held(name)
    assert found.says is Says.CLEAN
    assert found.both == found.source == "pass"
    if "chunks" in name:
        assert found.run.headline.is_score_first


def test_a_run_that_fails_leaves_the_audit_as_it_is_and_says_what_is_needed(tmp_path, capsys):
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
