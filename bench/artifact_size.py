"""Artifact bytes, seconds and memory of a preset at full size, per compressor, on two kinds of weights.

``python bench/artifact_size.py [--preset late-qat]`` quantises and packs the preset's model without training it. No trained
weights of that size exist here, so two stand-ins bracket them: independent normal weights, which are as hard to compress
as weights get under a per-row scale, and weights with what training adds (rows and columns of different size, a low-rank
part, heavy tails). Every line runs in a process of its own, so that its peak memory is its own.

What it does not tell: the bytes of weights that were really trained, or what rounding costs in val_bpb.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: the repository's root is not on the path then
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor

from trainer.artifact import Artifact, load_artifact, save_artifact
from trainer.compression import COMPRESSORS
from trainer.config import preset
from trainer.model import GPT, count_parameters
from trainer.quantize import quantize_state
from trainer.shrink import estimate_bytes
from trainer.size import ARTIFACT_CAP_BYTES

Draw = Callable[[tuple[int, ...], torch.Generator], Tensor]
EVERY = "all three"


def normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Independent normal weights."""
    return 0.04 * torch.randn(shape, generator=generator)


def trained_like(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Log-normal rows and columns, a part of rank 32, and tails of a Student distribution with five degrees of freedom."""
    if len(shape) < 2:
        return normal(shape, generator)
    rows, columns = shape[0], shape[1:].numel() if isinstance(shape, torch.Size) else shape[1]
    degrees = 5
    chi_square = torch.randn(degrees, rows, columns, generator=generator).square().sum(dim=0)
    heavy = torch.randn(rows, columns, generator=generator) / (chi_square / degrees).sqrt()
    low_rank = torch.randn(rows, 32, generator=generator) @ torch.randn(32, columns, generator=generator) / 32**0.5
    row_size = torch.exp(0.3 * torch.randn(rows, 1, generator=generator))
    column_size = torch.exp(0.3 * torch.randn(1, columns, generator=generator))
    return (0.04 * row_size * column_size * (heavy + 0.5 * low_rank)).reshape(shape)


WEIGHTS: dict[str, Draw] = {"normal": normal, "trained-like": trained_like}


def measure(preset_name: str, weights: str, compressor: str) -> dict[str, Any]:
    """Quantise, pack, write and read back once, in this process."""
    config = preset(preset_name)
    generator = torch.Generator().manual_seed(0)
    model = GPT(config.model)
    state = {name: WEIGHTS[weights](tensor.shape, generator) for name, tensor in model.state_dict().items()}
    before_bytes = _peak_bytes()
    started = _Clock()
    artifact = Artifact(config.model, quantize_state(state, config.quant))
    quantised = _Clock()
    names = list(COMPRESSORS) if compressor == EVERY else [compressor]
    with tempfile.TemporaryDirectory() as folder:
        saved = save_artifact(Path(folder) / "model", artifact, names)
        packed = _Clock()
        peak_bytes = _peak_bytes()
        loaded = load_artifact(saved.path).state_dict()
        read = _Clock()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in artifact.state_dict().items())
    return {
        "weights": weights,
        "compressor": compressor if compressor != EVERY else f"{EVERY}: {saved.compressor}",
        "num_parameters": count_parameters(model),
        "num_bytes": saved.num_bytes,
        "entropy_bytes": sum(estimate_bytes(tensor) for tensor in artifact.tensors.values()),
        "quantise": quantised.since(started),
        "pack": packed.since(quantised),
        "read": read.since(packed),
        "before_mib": before_bytes >> 20,
        "peak_mib": peak_bytes >> 20,
    }


class _Clock:
    """A moment by wall clock and by processor time; the second one does not depend on who else uses the machine."""

    def __init__(self) -> None:
        self.wall_seconds, self.cpu_seconds = time.perf_counter(), time.process_time()

    def since(self, earlier: _Clock) -> str:
        return f"{self.wall_seconds - earlier.wall_seconds:.1f}/{self.cpu_seconds - earlier.cpu_seconds:.1f} s"


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _in_own_process(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).resolve()), "--one", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_table(preset_name: str) -> None:
    """One line per kind of weights and compressor, as they are measured; times are wall clock / processor."""
    print(
        f"{'weights':13} {'compressor':18} {'bytes':>11} {'/ cap':>6} {'/ entropy':>9} {'quantise':>12} {'pack':>12} "
        f"{'read':>12} {'before':>9} {'peak':>9}"
    )
    for weights in WEIGHTS:
        for compressor in (*COMPRESSORS, EVERY):
            row = _in_own_process(preset_name, weights, compressor)
            print(
                f"{weights:13} {row['compressor']:18} {row['num_bytes']:11,} {row['num_bytes'] / ARTIFACT_CAP_BYTES:6.1%} "
                f"{row['num_bytes'] / row['entropy_bytes']:9.4f} {row['quantise']:>12} "
                f"{row['pack']:>12} {row['read']:>12} "
                f"{row['before_mib']:5} MiB {row['peak_mib']:5} MiB",
                flush=True,
            )
    print(f"preset {preset_name}: {row['num_parameters']:,} parameters; torch {torch.__version__}")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="late-qat")
    parser.add_argument("--one", nargs=3, metavar=("PRESET", "WEIGHTS", "COMPRESSOR"), help="measure one line, as JSON")
    arguments = parser.parse_args(argv)
    if arguments.one:
        print(json.dumps(measure(*arguments.one)))
    else:
        print_table(arguments.preset)
    return 0


if __name__ == "__main__":
    sys.exit(main())
