"""Checkpoints are whole or not there."""

from __future__ import annotations

import re

import pytest
import torch

from trainer.checkpoint import Checkpoints, load


def test_the_newest_few_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", num_kept=2)
    for step in (5, 10, 200):
        checkpoints.save(step, {"value": torch.tensor(float(step))})
    assert [path.name for path in checkpoints.paths()] == ["step_000010.pt", "step_000200.pt"]
    state = checkpoints.load_last()
    assert (state["step"], state["value"].item()) == (200, 200.0)


def test_a_partial_file_of_a_killed_write_is_no_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path, num_kept=2)
    checkpoints.save(1, {})
    (tmp_path / "step_000002.partial").write_bytes(b"PK")
    assert checkpoints.load_last()["step"] == 1


def test_a_failed_write_names_the_last_good_one_and_leaves_no_trash(tmp_path):
    checkpoints = Checkpoints(tmp_path, num_kept=2)
    good = checkpoints.save(1, {})
    (tmp_path / "step_000002.pt").mkdir()  # a folder in its place makes the rename fail
    with pytest.raises(ValueError, match=f"last good checkpoint is {re.escape(str(good))}"):
        checkpoints.save(2, {})
    assert not list(tmp_path.glob("*.partial"))


def test_a_full_disk_is_an_error_that_says_so(tmp_path):
    (tmp_path / "step_000003.partial").symlink_to("/dev/full")
    with pytest.raises(ValueError, match="the checkpoint cannot be written"):
        Checkpoints(tmp_path, num_kept=1).save(3, {"value": torch.zeros(1_000_000)})
    assert not (tmp_path / "step_000003.pt").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "step_000001.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=path.name):
        load(path)


def test_another_format_is_refused(tmp_path):
    path = tmp_path / "step_000001.pt"
    torch.save({"format": 99}, path)
    with pytest.raises(ValueError, match="format 99"):
        load(path)


def test_nothing_to_resume_from_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no checkpoint to resume from"):
        Checkpoints(tmp_path / "none", num_kept=1).load_last()
