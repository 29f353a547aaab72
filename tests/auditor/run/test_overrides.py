"""Which sizes shrink and which settings stay, without running anything."""

import json
import sys
from pathlib import Path

import pytest

from auditor.run.observe import RunOptions, observe
from auditor.run.overrides import overrides
from auditor.run.runner import Limits
from auditor.run.session import open_session
from auditor.run.world import World, toy_world
from auditor.submission.locate import locate
from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree

SCRIPT = """
import os
iterations = int(os.environ.get("ITERATIONS", 20000))
train_batch_tokens = int(os.environ.get("TRAIN_BATCH_TOKENS", 524288))
buckets = int(os.environ.get("NGRAM_BUCKETS", 4194304))
sliding_batch_size = int(os.environ.get("SLIDING_BATCH_SIZE", 8))
stride = int(os.environ.get("EVAL_STRIDE", 0))
second_stride = int(os.environ.get("SLIDING_EVAL_STRIDE", 16))
orders = int(os.environ.get("NGRAM_ORDER_STRIDE", 2))
seen_first = int(os.environ.get("MIXER_MIN_TOKENS", 10000))
by_name = os.environ.get("EXPORT_BITS_OVERRIDES", "")
eval_only = bool(int(os.environ.get("TTT_EVAL_ONLY", "0")))
logs = os.environ.get("ARTIFACT_DIR", "")
checkpoint = os.environ.get("EVAL_ONLY", "")
first = next_batch(train_batch_tokens // 4)
"""
SETTINGS = (
    "EXPORT_BITS_OVERRIDES='(none)' TTT_EVAL_ONLY=1 EVAL_ONLY=runs/best.pt MATRIX_LR=0.03"
    " ARTIFACT_DIR=/workspace/runs ITERATIONS=9000"
)
README = f"```bash\n{SETTINGS} python train_gpt.py\n```\n"


@pytest.fixture
def found(tmp_path):
    folder = tmp_path / "submission"
    folder.mkdir()
    (folder / "train_gpt.py").write_text(SCRIPT, encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")
    submission = next(locate(folder))
    sources = [module.source for module in submission.script.modules]
    settings = overrides(submission.configuration, World(tmp_path, 1024, False), sources)
    return {each.name: each for each in settings}


def test_sizes_shrink_and_the_value_that_they_replace_is_told(found):
    assert (found["ITERATIONS"].value, found["ITERATIONS"].submitted) == ("2", "9000")
    assert found["NGRAM_BUCKETS"].value == "1024"


def test_a_size_that_is_small_or_zero_stays(found):
    assert "SLIDING_BATCH_SIZE" not in found
    assert "EVAL_STRIDE" not in found


def test_a_part_of_the_training_batch_still_holds_a_sequence_for_each_micro_step(found):
    assert int(found["TRAIN_BATCH_TOKENS"].value) // 4 // 8 >= 256


def test_a_switch_stays_as_submitted_but_places_of_another_machine_are_not_asked_for(found):
    assert found["TTT_EVAL_ONLY"].value == "1"
    assert not {"EVAL_ONLY", "ARTIFACT_DIR"} & found.keys()


def test_every_stride_of_an_evaluation_is_a_part_of_the_toy_sequence_and_other_strides_stay(found):
    assert found["SLIDING_EVAL_STRIDE"].value == "64"
    assert "NGRAM_ORDER_STRIDE" not in found


def test_a_cache_is_asked_within_the_toy_stream(found):
    assert (found["MIXER_MIN_TOKENS"].value, found["MIXER_MIN_TOKENS"].submitted) == ("1024", "10000")


def test_a_word_for_nothing_is_no_value(found):
    assert "EXPORT_BITS_OVERRIDES" not in found


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        ("chunk_size = 32768", 65536),
        ("min_tokens = 12_000  # before the first look-up", 24000),
        ("chunk_size = 2048", 0),
        ("prefill_chunk = 10_000_000", 0),
        ("chunk_size = args.chunk_size", 0),
    ],
)
def test_the_stream_fills_two_blocks_of_a_size_that_is_written_out(tmp_path, line, needed):
    folder = tmp_path / "submission"
    folder.mkdir()
    (folder / "train_gpt.py").write_text(f"{SCRIPT}\ndef evaluate():\n    {line}\n", encoding="utf-8")
    session = open_session(next(locate(folder)), tmp_path / "cache", Path(sys.executable), Limits())
    usual = toy_world(1024, False, tmp_path / "cache").validation()
    stream = session.world.validation()
    assert len(stream) > needed
    assert stream[: len(usual)] == usual
    assert (stream == usual) is (needed < len(usual))


def test_why_a_submission_without_a_script_did_not_run_is_kept_like_a_run(tmp_path):
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "train.log").write_text("step:1/1 val_bpb:1.2\n", encoding="utf-8")
    submission = Submission("submission", DirectoryTree(tmp_path / "submission"))
    facts = observe(submission, RunOptions(python=Path(sys.executable), keep=tmp_path / "kept"))
    assert "no script" in facts.failure
    assert (
        json.loads((tmp_path / "kept" / "submission" / "run.json").read_text(encoding="utf-8"))["failure"] == facts.failure
    )
