"""A run small enough for a test: its settings, its tokens, and a process that trains it and writes the weights.

`python train_case.py FOLDER [SECTION.KEY=VALUE ...]` trains into FOLDER from its newest checkpoint, if it holds one, and
writes `weights.pt` at the end. Run under torchrun it is one of several processes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch

from trainer.checkpoint import Checkpoints
from trainer.config import (
    Config,
    DataConfig,
    EvalConfig,
    ModelConfig,
    OptimizerConfig,
    QuantConfig,
    RunConfig,
    ScheduleConfig,
    apply_overrides,
)
from trainer.data import TrainLoader, open_train_shards, train_pattern, write_shard
from trainer.distributed import is_main, process_group, rank, world_size
from trainer.log import Log, silent
from trainer.model import GPT
from trainer.train import Curve, StopReason, Trainer

CONFIG = Config(
    model=ModelConfig(
        vocab_size=32, num_layers=3, model_dim=32, num_heads=2, num_kv_heads=1, smear_gate=True,
        bigram_buckets=16, bigram_dim=8,
    ),
    optimizer=OptimizerConfig(
        matrix_lr=0.02, tied_embed_lr=0.02, scalar_lr=0.01, muon_momentum_warmup_steps=5, muon_weight_decay=0.05,
        adam_weight_decay=0.01, grad_clip_norm=0.3,
    ),
    schedule=ScheduleConfig(
        iterations=12, max_wallclock_seconds=0.0, clock="steps", warmup_steps=1, warmdown_iters=10, averaging="swa",
        swa_every=2,
    ),
    quant=QuantConfig(keep_float_max_numel=64, qat=True, qat_start_frac=0.5),
    eval=EvalConfig(seq_len=16, stride=16, val_every=0),
    data=DataConfig(train_batch_tokens=128, seq_len=16),
    run=RunConfig(device="cpu", micro_steps=4, log_every=1, checkpoint_every=1, keep_checkpoints=100),
)  # fmt: skip


def write_tokens(folder: Path) -> None:
    """A training shard with structure to learn: each token mostly follows from the one before."""
    generator = np.random.default_rng(0)
    tokens = [1]
    for noise in generator.random(5000):
        tokens.append(1 if noise < 0.02 else 2 + (tokens[-1] * 7 + int(noise * 3)) % 30)
    write_shard(folder / "fineweb_train_000000.bin", np.array(tokens))


def make_trainer(folder: Path, config: Config, log: Log, device: torch.device | None = None) -> Trainer:
    """A trainer on the tokens of this folder, with checkpoints in it."""
    shards = open_train_shards(train_pattern(folder))

    def new_loader() -> TrainLoader:
        return TrainLoader(
            shards,
            micro_batch_tokens=config.data.train_batch_tokens // config.run.micro_steps,
            seq_len=config.data.seq_len,
            vocab_size=config.model.vocab_size,
            rank=rank(),
            world_size=world_size(),
        )

    model = GPT(config.model, seed=config.run.seed).to(device or torch.device("cpu"))
    return Trainer(config, model, new_loader, log, checkpoints=Checkpoints(folder / "checkpoints", 100), curve=Curve())


def train(folder: Path, config: Config) -> StopReason:
    """Train to the end, from the newest checkpoint if there is one."""
    with process_group("cpu") as device:
        log = Log(folder / "train.log", quiet=True) if is_main() else silent()
        trainer = make_trainer(folder, config, log, device)
        if Checkpoints(folder / "checkpoints", 1).paths():
            trainer.restore(Checkpoints(folder / "checkpoints", 1).load_last())
        reason = trainer.run()
        trainer.averager.apply()
        if is_main():
            torch.save(trainer.model.state_dict(), folder / "weights.pt")
        return reason


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), apply_overrides(CONFIG, sys.argv[2:]))
    # Not by the end of the interpreter: once a process aborted (SIGABRT), as far as could be told when all was done.
    sys.stdout.flush()
    os._exit(0)
