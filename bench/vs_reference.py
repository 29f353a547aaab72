"""This trainer against the contest's own baseline script: loss and speed, side by side, on the same shards.

    python -m bench.vs_reference --repo path/to/parameter-golf.git [--seeds 3] [--set ITERATIONS=150] [--device cpu]

The script is taken as it is from a git directory and run in its own process and folder, with its settings in the
environment. On a CPU it runs through `bench/cuda_shim.py`. Runs alternate, so that a machine that slows down slows both.
Both read the same shards in the same order, compute in bfloat16, and are validated on the same whole sequences. Compared
are the validation loss after training (before quantisation, which differ on purpose) and tokens per second of training.

On a machine that others use too, seconds on the clock compare the neighbours; the median processor time of a training step
compares the two.

Loss may differ by chance between seeds; the table gives each side's mean and sample standard deviation.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.step_times import median_step_seconds

ROOT = Path(__file__).parents[1]
SETTINGS = {  # size that a CPU trains in about a minute: (environment of the script, our setting, value)
    "ITERATIONS": ("schedule.iterations", "150"),
    "WARMDOWN_ITERS": ("schedule.warmdown_iters", "50"),
    "WARMUP_STEPS": ("schedule.warmup_steps", "1"),
    "MAX_WALLCLOCK_SECONDS": ("schedule.max_wallclock_seconds", "0"),
    "TRAIN_BATCH_TOKENS": ("data.train_batch_tokens", "8192"),
    "TRAIN_SEQ_LEN": ("data.seq_len", "256"),
    "VOCAB_SIZE": ("model.vocab_size", "1024"),
    "NUM_LAYERS": ("model.num_layers", "4"),
    "MODEL_DIM": ("model.model_dim", "128"),
    "NUM_HEADS": ("model.num_heads", "4"),
    "NUM_KV_HEADS": ("model.num_kv_heads", "2"),
}
FINAL = re.compile(r"step:(\d+)/\1 val_loss:(\d+\.\d+) val_bpb:(\d+\.\d+) train_time:(\d+)ms")


@dataclass(frozen=True)
class Output:
    text: str
    step_cpu_seconds: float | None  # median processor time of a training step; None on a GPU


@dataclass(frozen=True)
class Run:
    val_loss: float
    val_bpb: float
    tokens_per_second: float
    step_cpu_seconds: float | None


def parse_run(output: Output, batch_tokens: int) -> Run:
    """The final validation line of a log, ours or the reference's; ValueError without one."""
    found = FINAL.findall(output.text)
    if not found:
        raise ValueError(f"no final validation in the log:\n{output.text[-2000:]}")
    steps, val_loss, val_bpb, train_ms = found[-1]
    return Run(float(val_loss), float(val_bpb), int(steps) * batch_tokens / (int(train_ms) / 1000), output.step_cpu_seconds)


def run_reference(script: str, data: Path, values: Mapping[str, str], seed: int, *, on_cpu: bool, compiled: bool) -> Output:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train_gpt.py"
        path.write_text(script, encoding="utf-8")
        settings = {**values, "SEED": str(seed), "DATA_PATH": str(data), "TOKENIZER_PATH": str(data / "tokenizer.model")}
        settings |= {
            "VAL_LOSS_EVERY": values["ITERATIONS"],
            "VAL_BATCH_SIZE": "65536",
            "TRAIN_LOG_EVERY": "1",
            "TORCHDYNAMO_DISABLE": "0" if compiled else "1",
        }
        shim = [str(ROOT / "bench/cuda_shim.py")] if on_cpu else []
        return run_process([sys.executable, *shim, str(path)], Path(folder), settings)


def run_ours(data: Path, values: Mapping[str, str], seed: int, *, compiled: bool) -> Output:
    with tempfile.TemporaryDirectory() as folder:
        pairs = {ours: values[name] for name, (ours, _) in SETTINGS.items()}
        pairs |= {
            "data.path": str(data),
            "data.tokenizer_path": str(data / "tokenizer.model"),
            "schedule.clock": "steps",
            "run.seed": str(seed),
            "run.output": folder,
            "run.precision": "bf16",
            "run.compile": "on" if compiled else "off",
            "eval.seq_len": values["TRAIN_SEQ_LEN"],
            "eval.stride": values["TRAIN_SEQ_LEN"],
            "eval.val_every": "0",
            "run.log_every": "1",
            "quant.compression": "zstd",
        }
        return run_trainer("baseline", [f"{name}={value}" for name, value in pairs.items()])


def run_trainer(preset: str, settings: Sequence[str]) -> Output:
    """A whole run of ours."""
    sets = [f"--set={setting}" for setting in settings]
    command = [sys.executable, str(ROOT / "bench/timed_train.py"), "--preset", preset, "--overwrite", *sets]
    return run_process(command, ROOT, {})


def run_process(command: list[str], folder: Path, settings: Mapping[str, str]) -> Output:
    with tempfile.TemporaryDirectory() as times_folder:
        times = Path(times_folder) / "step_times"
        environment = os.environ | dict(settings) | {"STEP_TIMES": str(times)}
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        step_cpu_seconds = median_step_seconds(times) if times.exists() else None
    if result.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{result.stdout[-2000:]}\n{result.stderr[-3000:]}")
    return Output(result.stdout, step_cpu_seconds)


def read_script(repo: Path, ref: str) -> str:
    """The contest's baseline script as it is in a git directory."""
    command = ["git", f"--git-dir={repo}", "show", f"{ref}:train_gpt.py"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def prepare_data(source: Path, seq_len: int, folder: Path, max_sequences: int | None = None) -> Path:
    """The same shards with the validation split cut to whole sequences, so that both sides score the same targets."""
    from trainer.data import open_validation, val_pattern, write_shard

    tokens = open_validation(val_pattern(source)).tokens
    num_sequences = (len(tokens) - 1) // seq_len
    whole = min(num_sequences, max_sequences or num_sequences) * seq_len + 1
    write_shard(folder / "fineweb_val_000000.bin", tokens[:whole])
    for path in (*source.glob("fineweb_train_*.bin"), source / "tokenizer.model"):
        (folder / path.name).symlink_to(path)
    return folder


def table(reference: list[Run], ours: list[Run]) -> str:
    """One row a seed, then means with standard deviations of the losses and medians of the speeds."""
    lines = [
        "| seed | val_loss, reference | ours | tokens/s, reference | ours | CPU ms a step, reference | ours |",
        "|---" * 7 + "|",
    ]
    sides = (reference, ours)
    for seed, runs in enumerate(zip(*sides, strict=True)):
        cells = [f"{run.val_loss:.4f}" for run in runs] + [f"{run.tokens_per_second:,.0f}" for run in runs]
        lines.append(f"| {seed} | {' | '.join(cells + [_milliseconds(run.step_cpu_seconds) for run in runs])} |")
    losses = [[run.val_loss for run in runs] for runs in sides]
    speeds = [statistics.median(run.tokens_per_second for run in runs) for runs in sides]
    steps = [statistics.median(run.step_cpu_seconds or 0.0 for run in runs) for runs in sides]
    cells = [f"{statistics.fmean(values):.4f} +- {_deviation(values):.4f}" for values in losses]
    cells += [f"{speed:,.0f}" for speed in speeds] + [_milliseconds(step) for step in steps]
    lines.append(f"| mean, median | {' | '.join(cells)} |")
    lines.append(f"\ntokens per second by the clock: {speeds[1] / speeds[0]:.2f}x")
    if all(steps):
        lines.append(f"tokens per second of processor time: {steps[0] / steps[1]:.2f}x")
    return "\n".join(lines)


def _milliseconds(seconds: float | None) -> str:
    return f"{1000 * seconds:.0f}" if seconds else "-"


def _deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repo", type=Path, required=True, help="git directory of the contest")
    parser.add_argument("--ref", default="main", help="where the script is read (default: main)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="folder with shards and tokenizer.model (default: the demo's)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true", help="let both compile; slow to start on a CPU")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the script")
    arguments = parser.parse_args()
    values = {name: value for name, (_, value) in SETTINGS.items()} | dict(item.split("=", 1) for item in arguments.set)
    script = read_script(arguments.repo, arguments.ref)
    from trainer.demo_data import ensure_demo

    batch_tokens, seq_len = int(values["TRAIN_BATCH_TOKENS"]), int(values["TRAIN_SEQ_LEN"])
    reference, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        data = prepare_data((arguments.data or ensure_demo()).resolve(), seq_len, Path(folder))
        for seed in range(arguments.seeds):
            output = run_reference(script, data, values, seed, on_cpu=arguments.device == "cpu", compiled=arguments.compile)
            reference.append(parse_run(output, batch_tokens))
            ours.append(parse_run(run_ours(data, values, seed, compiled=arguments.compile), batch_tokens))
            print(f"seed {seed}: reference {reference[-1]}, ours {ours[-1]}", flush=True)
    print(" ".join(f"{name}={value}" for name, value in values.items()))
    print(table(reference, ours))


if __name__ == "__main__":
    main()
