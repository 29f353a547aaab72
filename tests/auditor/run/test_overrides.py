"""Which sizes shrink and which settings stay, without running anything."""

import pytest

from auditor.run.overrides import overrides
from auditor.run.world import World
from auditor.submission.locate import locate

SCRIPT = """
import os
iterations = int(os.environ.get("ITERATIONS", 20000))
train_batch_tokens = int(os.environ.get("TRAIN_BATCH_TOKENS", 524288))
buckets = int(os.environ.get("NGRAM_BUCKETS", 4194304))
sliding_batch_size = int(os.environ.get("SLIDING_BATCH_SIZE", 8))
stride = int(os.environ.get("EVAL_STRIDE", 0))
eval_only = bool(int(os.environ.get("TTT_EVAL_ONLY", "0")))
logs = os.environ.get("ARTIFACT_DIR", "")
checkpoint = os.environ.get("EVAL_ONLY", "")
first = next_batch(train_batch_tokens // 4)
"""
SETTINGS = "TTT_EVAL_ONLY=1 EVAL_ONLY=runs/best.pt MATRIX_LR=0.03 ARTIFACT_DIR=/workspace/runs ITERATIONS=9000"
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
