"""The loop: it learns, it stops for one stated reason, and an interrupted run goes on bit for bit."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.trainer.train_case import CONFIG, make_trainer, train, write_tokens
from trainer.checkpoint import Checkpoints
from trainer.config import Config
from trainer.log import Log
from trainer.train import StopReason, grad_accum_steps

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tokens(tmp_path)
    return tmp_path


def scheduled(**changes: object) -> Config:
    return replace(CONFIG, schedule=replace(CONFIG.schedule, **changes))


def weights(folder: Path) -> dict[str, Tensor]:
    return torch.load(folder / "weights.pt", weights_only=True)


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def log_of(folder: Path) -> str:
    return (folder / "train.log").read_text()


def worker(folder: Path, *arguments: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    command = [sys.executable, *launcher, str(ROOT / "tests/trainer/train_case.py"), str(folder), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen[bytes]) -> None:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output.decode()


def test_the_loss_falls(folder):
    train(folder, scheduled(iterations=40))
    losses = [float(loss) for loss in re.findall(r"train_loss:(\S+)", log_of(folder))]
    assert losses[0] > 3.3
    assert losses[-1] < 2.5


def test_equal_seeds_give_equal_weights_and_others_do_not(folder, tmp_path_factory):
    runs = []
    for seed in (1, 1, 2):
        runs.append(tmp_path_factory.mktemp("run"))
        write_tokens(runs[-1])
        train(runs[-1], replace(CONFIG, run=replace(CONFIG.run, seed=seed)))
    assert_same_weights(runs[0], runs[1])
    assert not torch.equal(weights(runs[0])["tok_emb.weight"], weights(runs[2])["tok_emb.weight"])


def test_warming_up_changes_nothing(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    write_tokens(other)
    train(folder, scheduled(warmup_steps=3))
    train(other, scheduled(warmup_steps=0))
    assert_same_weights(folder, other)


@pytest.mark.parametrize(("averaging", "step"), [("swa", 3), ("swa", 6), ("swa", 11), ("swa", 12), ("ema", 9)])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(folder, tmp_path_factory, averaging, step):
    """Step 3 is before late QAT and averaging, 6 is where QAT starts, 11 in the middle of both, 12 the end."""
    config = scheduled(averaging=averaging)
    train(folder, config)
    resumed = tmp_path_factory.mktemp("resumed")
    write_tokens(resumed)
    (resumed / "checkpoints").mkdir()
    name = f"step_{step:06d}.pt"
    (resumed / "checkpoints" / name).write_bytes((folder / "checkpoints" / name).read_bytes())
    train(resumed, config)
    assert f"resumed step:{step}" in log_of(resumed)
    assert_same_weights(folder, resumed)


def test_a_run_killed_at_any_moment_resumes_bit_for_bit(folder, tmp_path_factory):
    train(folder, scheduled(iterations=60))
    killed = tmp_path_factory.mktemp("killed")
    write_tokens(killed)
    checkpoints = Checkpoints(killed / "checkpoints", 1)
    for at_least in (2, 20):
        process = worker(killed, "schedule.iterations=60")
        while len(checkpoints.paths()) < at_least and process.poll() is None:
            time.sleep(0.01)
        time.sleep(random.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (killed / "weights.pt").exists()
    finish(worker(killed, "schedule.iterations=60"))
    assert_same_weights(folder, killed)


def test_two_processes_equal_one_within_rounding(folder, tmp_path_factory):
    """Sums over the batch are taken in another order; over twelve steps that stays below 1e-3 of a weight's size.

    Muon gives every direction of a gradient the same size, the ones that are rounding noise too, so that differences of
    1e-7 in a sum become larger ones in a weight.
    """
    train(folder, CONFIG)
    two = tmp_path_factory.mktemp("two")
    write_tokens(two)
    finish(worker(two, launcher=("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")))
    one, other = weights(folder), weights(two)
    for name in one:
        assert (one[name] - other[name]).norm() <= 1e-3 * one[name].norm() + 1e-6, name
    losses = [re.findall(r"train_loss:(\S+)", log_of(run)) for run in (folder, two)]
    assert max(abs(float(a) - float(b)) for a, b in zip(*losses, strict=True)) <= 3e-4


def test_the_reason_to_stop_is_the_last_step(folder):
    assert train(folder, CONFIG) is StopReason.ITERATIONS
    assert len(re.findall("stopping", log_of(folder))) == 1
    assert "stopping: iterations" in log_of(folder)


def test_the_reason_to_stop_is_the_wallclock(folder):
    config = scheduled(iterations=10_000_000, max_wallclock_seconds=1.0, clock="wallclock", warmdown_iters=20)
    config = replace(config, run=replace(config.run, checkpoint_every=0))
    assert train(folder, config) is StopReason.WALLCLOCK
    line = re.search(r"stopping_early: wallclock_cap train_time:(\d+)ms step:(\d+)/10000000", log_of(folder))
    assert int(line[1]) >= 1000
    assert "qat:activated" in log_of(folder)


def test_a_signal_stops_in_order_and_leaves_a_checkpoint(folder):
    trainer = make_trainer(folder, CONFIG, Log(folder / "train.log", quiet=True))
    update = trainer.optimizers.step
    before = signal.getsignal(signal.SIGTERM)

    def interrupt_at_step_5() -> None:
        update()
        if trainer.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    trainer._warm_up()
    update = trainer.optimizers.step
    trainer.optimizers.step = interrupt_at_step_5
    trainer._warm_up = lambda: None
    assert trainer.run() is StopReason.INTERRUPTED
    assert "stopping_early: interrupted" in log_of(folder)
    assert Checkpoints(folder / "checkpoints", 1).load_last()["step"] == 5
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_loss_that_is_no_number_keeps_the_last_good_checkpoint(folder):
    trainer = make_trainer(folder, CONFIG, Log(folder / "train.log", quiet=True))
    trainer.run()
    with torch.no_grad():
        trainer.model.blocks[0].mlp.fc.weight.fill_(float("nan"))
    trainer.config = scheduled(iterations=20)
    with pytest.raises(ValueError, match=r"train_loss is nan at step 13: the last good checkpoint is .*step_000012.pt"):
        trainer.run()


def test_a_weight_that_is_no_number_is_never_saved(folder):
    trainer = make_trainer(folder, CONFIG, Log(folder / "train.log", quiet=True))
    trainer.run()
    with torch.no_grad():
        trainer.model.blocks[1].attn.q_gain[0] = float("inf")
    with pytest.raises(ValueError, match=r"blocks.1.attn.q_gain is not finite .* last good checkpoint is .*step_000012.pt"):
        trainer.save()


def test_processes_that_do_not_divide_the_micro_steps_are_an_error(monkeypatch):
    monkeypatch.setattr("trainer.train.world_size", lambda: 3)
    with pytest.raises(ValueError, match="3 processes do not divide it"):
        grad_accum_steps(8)
    assert grad_accum_steps(6) == 2


def test_log_lines_are_those_of_the_reference(folder):
    train(folder, CONFIG)
    lines = log_of(folder).splitlines()
    assert lines[0] == "warmup_step:1/1"
    assert re.fullmatch(r"step:1/12 train_loss:\d\.\d{4} train_time:\d+ms step_avg:\d+\.\d\dms", lines[1])
    assert any(re.fullmatch(r"qat:activated step:6 elapsed:\d+ms \(50\.0% steps\)", line) for line in lines)
    assert "swa:start step:10" in lines


def test_an_unwritable_folder_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="the log cannot be written"):
        Log(tmp_path / "file" / "train.log")


def test_a_full_disk_is_an_error_that_names_the_log(tmp_path):
    log = Log(tmp_path / "train.log", quiet=True)
    log.path.unlink()
    log.path.symlink_to("/dev/full")
    with pytest.raises(ValueError, match=r"train.log: the log cannot be written: No space left on device"):
        log.line("step:1/1")
