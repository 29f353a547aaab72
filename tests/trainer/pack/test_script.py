"""A packed script, alone in an empty folder, does what the package does: bit for bit, in every form."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cli
from tests.trainer.pack.pack_case import SMALL, run_alone, small_config
from trainer.pack import Packed, pack
from trainer.prepare import PrepareSettings, prepare

ROOT = Path(__file__).parents[3]
TIMES = re.compile(r"\S*time:\S+|step_avg:\S+|scored:\S+|learned:\S+|\d+ MiB|elapsed:\S+")
SIZES = re.compile(r"(Code size|Total submission size \S+): \d+")
LIGHT = os.environ.get("PGOLF_LIGHT_PYTHON", sys.executable)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards and a tokenizer of 300 pieces from text made here."""
    folder = tmp_path_factory.mktemp("data") / "corpus"
    text = "the model reads a small text and learns which word may follow another word in it"
    words = text.split()
    documents = [" ".join(words[(i * i + j * (i % 5 + 1)) % len(words)] for j in range(120)) for i in range(40)]
    prepare(documents, folder, PrepareSettings(vocab_size=300, val_fraction=0.2))
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the package."""
    output = tmp_path_factory.mktemp("trained")
    pairs = [*SMALL, f"data.path={data}", f"data.tokenizer_path={data}/tokenizer.model", f"run.output={output}"]
    assert cli.main(["train", "--quiet", *(f"--set={pair}" for pair in pairs)]) == 0
    return output


@pytest.fixture(scope="module")
def packed(data: Path, trained: Path) -> Packed:
    return pack(small_config(data, trained))


@pytest.fixture(scope="module")
def plain_log(packed: Packed, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_alone(tmp_path_factory.mktemp("runs") / "plain", packed.plain, data)


def said(log: Path) -> list[str]:
    """The lines of a log without times and sizes of code."""
    return [SIZES.sub("", TIMES.sub("", line)) for line in log.read_text().splitlines()]


def artifact_of(log: Path) -> bytes:
    return (log.parents[1] / "final_model.int6.ptz").read_bytes()


def test_the_plain_script_repeats_the_package(trained, plain_log):
    assert said(plain_log) == said(trained / "train.log")
    assert artifact_of(plain_log) == (trained / "final_model.pgolf").read_bytes()


def test_it_leaves_its_log_and_artifact_and_nothing_else(plain_log):
    folder = plain_log.parents[1]
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {"train_gpt.py", "logs/run.txt", "final_model.int6.ptz"}


def test_the_self_extracting_script_repeats_the_plain_one(packed, data, plain_log, tmp_path):
    code = packed.self_extracting.code
    log = run_alone(tmp_path / "wrapped", code, data)
    assert said(log) == said(plain_log)
    assert artifact_of(log) == artifact_of(plain_log)
    assert f"Code size: {len(code)} bytes" in log.read_text()


def test_the_readable_script_repeats_the_plain_one(data, trained, plain_log, tmp_path):
    log = run_alone(tmp_path / "readable", pack(small_config(data, trained), readable=True).plain, data)
    assert said(log) == said(plain_log)
    assert artifact_of(log) == artifact_of(plain_log)


def test_two_processes_train_together_and_the_environment_decides(packed, data, tmp_path):
    variables = {"SEED": "7", "ITERATIONS": "4", "TRAIN_LOG_EVERY": "1", "VAL_LOSS_EVERY": "2", "WARMUP_STEPS": "0"}
    text = run_alone(tmp_path / "two", packed.plain, data, processes=2, **variables).read_text()
    assert "world_size:2 grad_accum_steps:1" in text
    assert "seed:7\n" in text
    assert "warmup_step:" not in text
    assert re.findall(r"step:(\d+)/4 val_loss", text) == ["0", "2", "4"]
    assert "stopping: iterations" in text
    assert text.count("final_sgd_ttt_exact val_loss:") == 1


def test_training_counts_and_keeps_the_script(trained, packed):
    script = (trained / "train_gpt.py").read_bytes()
    assert script == packed.plain
    assert f"Code size: {len(script)} bytes" in (trained / "train.log").read_text()


def test_all_seeds_have_one_script_wherever_the_data_lie(data, trained, packed):
    assert pack(small_config(data, trained, "run.seed=7", "run.name=other")).plain == packed.plain
    assert str(data) not in packed.source


def test_a_script_that_cannot_be_made_is_told_and_all_modules_count(data, tmp_path, monkeypatch):
    def refuse(config: object) -> Packed:
        raise ValueError("no such luck")

    monkeypatch.setattr("trainer.pipeline.pack", refuse)
    pairs = [*SMALL, f"data.path={data}", f"data.tokenizer_path={data}/tokenizer.model", f"run.output={tmp_path}"]
    assert cli.main(["train", "--quiet", *(f"--set={pair}" for pair in pairs), "--set=schedule.iterations=1"]) == 0
    log = (tmp_path / "train.log").read_text()
    assert "pack: no script: no such luck" in log
    assert int(re.search(r"Code size: (\d+) bytes", log)[1]) > 200_000
    assert not (tmp_path / "train_gpt.py").exists()


@pytest.mark.parametrize("form", ["plain", "wrapped"])
def test_the_auditor_finds_the_submitted_number_in_the_script(form, packed, plain_log, trained, tmp_path):
    code = packed.plain if form == "plain" else packed.self_extracting.code
    script, log = tmp_path / "train_gpt.py", tmp_path / "train.log"
    script.write_bytes(code)
    total = len(code) + len(artifact_of(plain_log))
    text = re.sub(r"Code size: \d+", f"Code size: {len(code)}", plain_log.read_text())
    log.write_text(re.sub(r"(Total submission size \S+): \d+", rf"\1: {total}", text))
    named = ["--name", "packed", "--author", "a", "--github-id", "a", "--blurb", "A packed script.", "--date", "2026-04-01"]
    assert cli.main(["record", str(log), "--script", str(script), "--records", str(tmp_path / "records"), *named]) == 0
    (folder,) = (tmp_path / "records/track_non_record_16mb").iterdir()
    audit = [LIGHT, str(ROOT / "cli.py"), "audit", str(folder), "--format", "json"]
    report = json.loads(subprocess.run(audit, capture_output=True, text=True, check=False).stdout)["reports"][0]
    assert report["headline"]["label"] == "final_sgd_ttt_exact"
    assert report["headline"]["printable_by_script"] is True
    assert report["headline"]["print_site"]["symbol"] == "log_result"
    assert len(report["submission"]["unwrapped"]) == (0 if form == "plain" else 1)
    outcomes = {result["rule"]: result["outcome"] for result in report["results"]}
    for rule in ("foreign-log", "claim-log-mismatch", "unparsable-script", "code-size-mismatch", "oversize-artifact"):
        assert outcomes[rule] == "pass", rule
    # The one thing wrong with it: this is no FineWeb.
    assert {rule for rule, outcome in outcomes.items() if outcome == "fail"} == {
        "partial-validation",
        "byte-count-mismatch",
    }


def test_the_command_writes_the_script_of_a_run(trained, packed, tmp_path, capsys):
    output = tmp_path / "deep" / "train_gpt.py"
    assert cli.main(["pack", "--run", str(trained), "--output", str(output)]) == 0
    assert output.read_bytes() == packed.plain
    left = 16_000_000 - len(packed.plain) - (trained / "final_model.pgolf").stat().st_size
    assert f"{left:,}" in capsys.readouterr().out


def test_the_command_writes_what_runs_from_a_preset(tmp_path, capsys):
    assert cli.main(["pack", "--set", "ttt.kind=off", "--self-extracting", "--output", str(tmp_path / "s.py")]) == 0
    code = (tmp_path / "s.py").read_bytes()
    assert code.startswith(b"import base64,")
    assert f"{len(code):,} bytes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--run", "nowhere"], "nowhere/config.json: the settings of the run cannot be read"),
        (["--set", "ttt.kind=magic"], "ttt.kind='magic'"),
        (["--output", "/dev/null/script.py"], "cannot be written"),
    ],
)
def test_what_the_command_cannot_do_is_one_line(arguments, reason, capsys):
    assert cli.main(["pack", *arguments]) == 2
    assert reason in capsys.readouterr().err
