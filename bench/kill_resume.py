"""Kill a run at random moments, resume it each time, and compare its final weights with those of an uninterrupted run.

    python -m bench.kill_resume [--kills 10] [--seed 0]

The run is that of the tests: late QAT and averaging included, a checkpoint after every step. Each process is
killed with SIGKILL at a random time after it has made a random number of further steps, so also while it writes.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from tests.trainer import train_case
from trainer.checkpoint import Checkpoints

ROOT = Path(__file__).parents[1]


def start(folder: Path, num_steps: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, train_case.__file__, str(folder), f"schedule.iterations={num_steps}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment)


def last_step(folder: Path) -> int:
    paths = Checkpoints(folder / "checkpoints", 1).paths()
    return int(paths[-1].stem.removeprefix("step_")) if paths else 0


def kill_at_random(folder: Path, num_steps: int, choose: random.Random) -> int:
    """Start the run, kill it, and return the step of its newest checkpoint."""
    goal = last_step(folder) + choose.randint(1, 12)
    process = start(folder, num_steps)
    while last_step(folder) < goal and process.poll() is None:
        time.sleep(0.002)
    time.sleep(choose.random() * 0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return last_step(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    choose = random.Random(arguments.seed)
    num_steps = 16 * arguments.kills
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        for folder in (one, other):
            train_case.write_tokens(Path(folder))
        killed_at = [kill_at_random(Path(other), num_steps, choose) for _ in range(arguments.kills)]
        for folder in (one, other):
            if start(Path(folder), num_steps).wait():
                raise RuntimeError(f"the run in {folder} failed")
        weights = [torch.load(Path(folder) / "weights.pt", weights_only=True) for folder in (one, other)]
    different = [name for name in weights[0] if not torch.equal(weights[0][name], weights[1][name])]
    print(f"killed after steps {killed_at} of {num_steps}: {len(weights[0])} tensors, {len(different)} differ")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
