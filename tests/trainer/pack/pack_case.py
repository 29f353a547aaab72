"""Small packages to pack, and a small run to compare a packed script with."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

from trainer.config import Config, apply_overrides, preset
from trainer.pack import pack_package
from trainer.pack.modules import Package
from trainer.pack.settings import Settings

NO_SETTINGS = Settings(fixed={}, variables={}, values={})
SMALL = [
    "model.vocab_size=300", "model.num_layers=2", "model.model_dim=32", "model.num_heads=2", "model.num_kv_heads=1",
    "model.bigram_buckets=32", "model.bigram_dim=16", "data.train_batch_tokens=256", "data.seq_len=64",
    "schedule.iterations=12", "schedule.warmdown_iters=10", "schedule.swa_every=2", "schedule.max_wallclock_seconds=0",
    "eval.seq_len=64", "eval.stride=32", "ttt.chunk_tokens=512", "quant.keep_float_max_numel=64", "run.device=cpu",
]  # fmt: skip


def make_package(folder: Path, **modules: str) -> Package:
    """A package named `own` of these modules."""
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
    return Package("own", folder)


def packed_source(folder: Path, *, readable: bool = False, settings: Settings = NO_SETTINGS, **modules: str) -> str:
    """What the module `main` of these becomes."""
    return pack_package(make_package(folder, **modules), "main", settings, readable=readable).source


def executed(source: str) -> dict[str, Any]:
    """The names that a script leaves behind."""
    module = types.ModuleType("packed_script")
    sys.modules[module.__name__] = module  # dataclasses look themselves up there
    exec(compile(source, "script", "exec"), module.__dict__)
    return module.__dict__


def small_config(data: Path, output: Path, *extra: str) -> Config:
    """The tiny settings, smaller still."""
    paths = [f"data.path={data}", f"data.tokenizer_path={data}/tokenizer.model", f"run.output={output}"]
    return apply_overrides(preset("tiny"), [*SMALL, *paths, *extra])


def run_alone(folder: Path, code: bytes, data: Path, *, processes: int = 1, **variables: str) -> Path:
    """Run a script in an empty folder, told only where its data are, in Python's isolated mode; its log."""
    folder.mkdir()
    (folder / "train_gpt.py").write_bytes(code)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else ["-I"]
    variables |= {"RUN_ID": "run", "DATA_PATH": str(data), "TOKENIZER_PATH": f"{data}/tokenizer.model"}
    needed = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, *launcher, "train_gpt.py"],
        cwd=folder, env=needed | {"OMP_NUM_THREADS": "1"} | variables, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "logs/run.txt"
