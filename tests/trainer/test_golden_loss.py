"""The `tiny` settings reproduce their golden losses: a refactoring must not move them, a change must explain it.

One "step loss" line per step. Rewrite with --update-golden and read the difference. The tolerance is for the order of
floating-point sums on other processors.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.train_case import make_trainer
from trainer.config import preset
from trainer.data import write_shard
from trainer.log import Log

GOLDEN = Path(__file__).parent / "goldens/tiny_loss.txt"
TOLERANCE = 2e-3


def test_tiny_reproduces_its_golden_losses(tmp_path, request):
    tiny = preset("tiny")
    schedule = replace(tiny.schedule, iterations=8, warmdown_iters=4, max_wallclock_seconds=0.0)
    data = replace(tiny.data, train_batch_tokens=512, seq_len=64)
    config = replace(tiny, schedule=schedule, data=data, run=replace(tiny.run, log_every=1, checkpoint_every=0))
    tokens = np.random.default_rng(7).zipf(1.3, 6000) % (config.model.vocab_size - 2) + 2
    tokens[::97] = config.model.bos_token_id
    write_shard(tmp_path / "fineweb_train_000000.bin", tokens)
    trainer = make_trainer(tmp_path, config, Log(tmp_path / "train.log", quiet=True))
    trainer.run()
    losses = dict(trainer.curve.train)
    if request.config.getoption("--update-golden"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text("".join(f"{step} {loss:.6f}\n" for step, loss in losses.items()))
    expected = {int(step): float(loss) for step, loss in map(str.split, GOLDEN.read_text().splitlines())}
    assert losses == pytest.approx(expected, abs=TOLERANCE)
