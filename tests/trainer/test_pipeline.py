"""Whole runs through the command line: what they write, what they say, what they refuse."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path

import pytest

import cli
from trainer.prepare import PrepareSettings, prepare
from trainer.size import SubmissionSize

SMALL = [
    "model.vocab_size=300", "model.num_layers=2", "model.model_dim=32", "model.num_heads=2", "model.num_kv_heads=1",
    "model.bigram_buckets=32", "model.bigram_dim=16", "data.train_batch_tokens=256", "data.seq_len=64",
    "schedule.iterations=12", "schedule.warmdown_iters=10", "schedule.swa_every=2", "schedule.max_wallclock_seconds=0",
    "eval.seq_len=64", "eval.stride=32", "ttt.chunk_tokens=512", "quant.keep_float_max_numel=64",
    "run.checkpoint_every=4",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards and a tokenizer of 300 pieces from text made here."""
    folder = tmp_path_factory.mktemp("data") / "corpus"
    text = "the model reads a small text and learns which word may follow another word in it"
    words = text.split()
    documents = [" ".join(words[(i * i + j * (i % 5 + 1)) % len(words)] for j in range(120)) for i in range(40)]
    prepare(documents, folder, PrepareSettings(vocab_size=300, val_fraction=0.2))
    return folder


def train(data: Path, output: Path, *extra: str, sets: tuple[str, ...] = ()) -> int:
    pairs = [*SMALL, f"data.path={data}", f"data.tokenizer_path={data}/tokenizer.model", f"run.output={output}", *sets]
    return cli.main(["train", "--quiet", *extra, *(f"--set={pair}" for pair in pairs)])


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("finished")
    assert train(data, output) == 0
    return output


def exact_lines(folder: Path) -> dict[str, float]:
    found = re.findall(r"(final_\S+)_exact val_loss:\S+ val_bpb:(\S+)", (folder / "train.log").read_text())
    return {label: float(bpb) for label, bpb in found}


def test_a_run_writes_the_whole_submission(finished):
    assert list(exact_lines(finished)) == ["final_int6_zstd_roundtrip", "final_sgd_ttt"]
    submission = json.loads((finished / "submission.json").read_text())
    assert submission["val_bpb"] == exact_lines(finished)["final_sgd_ttt"]
    log = (finished / "train.log").read_text()
    artifact_bytes = (finished / "final_model.pgolf").stat().st_size
    assert f"Serialized model int6+zstd: {artifact_bytes} bytes" in log
    assert submission["bytes_total"] == artifact_bytes + int(re.search(r"Code size: (\d+) bytes", log)[1])
    assert ET.parse(finished / "loss.svg").getroot().tag.endswith("svg")


def test_the_log_tells_the_stages_in_order(finished):
    log = (finished / "train.log").read_text()
    stages = [
        "model_params:", "seed:1337", "warmup_step:1/1", "step:0/12 val_loss:", "step:1/12 train_loss:",
        "qat:activated step:11", "step:12/12 val_loss:", "stopping: iterations", "swa:applying averaged",
        "Serialized model int6+zstd:", "Total submission size int6+zstd:", "final_eval_mode:sliding_window stride:32",
        "final_int6_zstd_roundtrip_exact", "ttt:sgd", "final_sgd_ttt_exact",
    ]  # fmt: skip
    positions = [log.index(stage) for stage in stages]
    assert positions == sorted(positions)


def test_no_event_learns_from_tokens_before_their_score(finished):
    events = [json.loads(line) for line in (finished / "events.jsonl").read_text().splitlines()]
    scored_until = 0
    after_roundtrip = next(i for i, event in enumerate(events) if event["event"] == "report") + 1
    for event in events[after_roundtrip:]:
        if event["event"] == "score":
            scored_until = event["tokens"][1]
        elif event["event"] == "update":
            assert event["tokens"][1] <= scored_until
    assert any(event["event"] == "update" for event in events)


def test_the_artifact_is_written_and_read_before_anything_is_scored(finished):
    events = [json.loads(line) for line in (finished / "events.jsonl").read_text().splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[:4] == ["read", "write", "read", "score"]
    assert [event["what"] for event in events[1:3]] == ["final_model.pgolf"] * 2
    assert events[1]["num_bytes"] == (finished / "final_model.pgolf").stat().st_size


def test_runs_that_differ_by_the_seed_leave_one_script_whose_bytes_are_logged(finished, data, tmp_path):
    assert train(data, tmp_path, sets=("run.seed=3",)) == 0
    script = (finished / "train_gpt.py").read_bytes()
    assert (tmp_path / "train_gpt.py").read_bytes() == script
    assert f"Code size: {len(script)} bytes" in (tmp_path / "train.log").read_text()


def test_a_submission_over_the_cap_is_told_so_before_the_evaluation(data, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.pipeline.SubmissionSize", partial(SubmissionSize, cap_bytes=100_000))
    assert train(data, tmp_path, sets=("schedule.iterations=2",)) == 0
    log = (tmp_path / "train.log").read_text()
    assert (
        log.index("over the cap of 100,000 bytes") < log.index("--set quant.embedding=int8") < log.index("final_eval_mode")
    )


def test_an_artifact_measures_the_same_when_it_is_evaluated_again(finished, data, capsys):
    sets = ["eval.seq_len=64", "eval.stride=32", "ttt.kind=off", f"data.path={data}"]
    sets += [f"data.tokenizer_path={data}/tokenizer.model"]
    assert cli.main(["eval", str(finished / "final_model.pgolf"), *(f"--set={pair}" for pair in sets)]) == 0
    bpb = float(re.search(r"artifact_exact val_loss:\S+ val_bpb:(\S+)", capsys.readouterr().out)[1])
    assert bpb == exact_lines(finished)["final_int6_zstd_roundtrip"]


def test_resuming_from_the_middle_gives_the_same_submission(finished, tmp_path):
    interrupted = tmp_path / "run"
    shutil.copytree(finished, interrupted)
    (interrupted / "checkpoints/step_000012.pt").unlink()
    (interrupted / "final_model.pgolf").unlink()
    assert cli.main(["train", "--quiet", "--resume", str(interrupted)]) == 0
    assert (interrupted / "final_model.pgolf").read_bytes() == (finished / "final_model.pgolf").read_bytes()
    assert exact_lines(interrupted) == exact_lines(finished)
    events = [(folder / "events.jsonl").read_text().count("\n") for folder in (interrupted, finished)]
    assert events[0] == events[1]


@pytest.mark.parametrize("gptq", ["self", "train"])
def test_full_gptq_says_what_it_was_calibrated_on(data, tmp_path, gptq):
    sets = (f"quant.gptq={gptq}", "quant.calibration_tokens=256", "schedule.iterations=4")
    assert train(data, tmp_path, sets=sets) == 0
    log = (tmp_path / "train.log").read_text()
    assert re.search(rf"gptq:calibrated source:{gptq} tokens:256/256 time:\d+ms training_with_calibration:\d+ms", log)


def test_a_run_is_not_replaced_by_accident(finished, data, capsys):
    assert train(data, finished) == 2
    assert "holds a run already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (("data.path=/nowhere",), "no shard matches"),
        (("data.tokenizer_path=/nowhere.model",), "no such tokenizer file"),
        (("model.vocab_size=301",), "has 300 tokens, the settings say model.vocab_size=301"),
        (("run.output=/proc/nowhere",), "/proc/nowhere: cannot be written"),
        (("run.micro_step=2",), "did you mean micro_steps"),
        (("ttt.rank=2",), "has no effect"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(data, tmp_path, capsys, sets, message):
    assert train(data, tmp_path / "run", sets=sets) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_damaged_shard_is_named(data, tmp_path, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(data, broken)
    shard = next(broken.glob("fineweb_train_*.bin"))
    shard.write_bytes(b"\0" * 4096)
    assert train(broken, tmp_path / "run") == 2
    assert f"{shard}: not a shard: bad magic" in capsys.readouterr().err


def test_resume_takes_no_other_settings(finished, capsys):
    assert cli.main(["train", "--resume", str(finished), "--set=run.seed=2"]) == 2
    assert "--resume takes the settings of the run" in capsys.readouterr().err


def test_settings_are_listed_with_their_sentences(capsys):
    assert cli.main(["train", "--settings", "--preset=late-qat"]) == 0
    assert "optimizer.muon_weight_decay = 0.038  # decoupled weight decay" in capsys.readouterr().out
