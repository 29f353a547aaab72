"""Step time, tokens per second and model FLOP utilisation of `baseline` and `late-qat` against the reference script.

    python -m bench.gpu_step --repo path/to/parameter-golf.git            on a GPU, full size
    python -m bench.gpu_step --repo path/to/parameter-golf.git --toy      anywhere, to see that it works

Both sides run in this order on the same device: the contest's own baseline script at the shape and batch of the preset
(it has none of the preset's options, so for `late-qat` it does less work per token), then this trainer. Measured is the
training time between two logged steps, after compilation. Utilisation is the arithmetic of the matrix products and of
causal attention over what the device can do in bfloat16; devices that are not in the table get none.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.vs_reference import prepare_data, read_script, run_reference, run_trainer
from trainer.config import Config, ModelConfig, apply_overrides, preset
from trainer.demo_data import ensure_demo
from trainer.layers import Linear
from trainer.model import GPT

PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bfloat16, from the vendor's data sheets
STEP = re.compile(r"step:(\d+)/\d+ train_loss:\S+ train_time:(\d+)ms")
FIRST_STEP = 10
TOY = ("model.num_layers=2", "model.model_dim=64", "model.num_heads=2", "model.num_kv_heads=1")
TOY_DATA = ("data.train_batch_tokens=2048", "data.seq_len=128", "eval.seq_len=128", "eval.stride=128")


@dataclass(frozen=True)
class Speed:
    step_seconds: float
    tokens_per_second: float
    utilisation: float | None


def flops_per_token(model: ModelConfig, seq_len: int) -> float:
    """Forward and backward: 6 per weight of a matrix product, and 6 D T per layer for causal attention."""
    with torch.device("meta"):
        modules = list(GPT(model).modules())
    weights = sum(module.weight.numel() for module in modules if isinstance(module, Linear))
    head = model.vocab_size * model.model_dim if model.tie_embeddings else 0
    return 6 * (weights + head) + 6 * model.num_layers * model.model_dim * seq_len


def parse_speed(log: str, config: Config) -> Speed:
    """Mean time of a step between the tenth and the last logged one."""
    times = {int(step): int(milliseconds) / 1000 for step, milliseconds in STEP.findall(log)}
    last = max(times)
    step_seconds = (times[last] - times[FIRST_STEP]) / (last - FIRST_STEP)
    tokens_per_second = config.data.train_batch_tokens / step_seconds
    peak = next(
        (peak for name, peak in PEAK_FLOPS.items() if torch.cuda.is_available() and name in torch.cuda.get_device_name()),
        None,
    )
    flops = flops_per_token(config.model, config.data.seq_len) * tokens_per_second
    return Speed(step_seconds, tokens_per_second, flops / peak if peak else None)


def reference_settings(config: Config, num_steps: int) -> dict[str, str]:
    """The reference's environment for the shape and batch of a configuration."""
    model, data = config.model, config.data
    return {
        "ITERATIONS": str(num_steps), "WARMUP_STEPS": "3", "MAX_WALLCLOCK_SECONDS": "0", "TRAIN_LOG_EVERY": str(num_steps),
        "TRAIN_BATCH_TOKENS": str(data.train_batch_tokens), "TRAIN_SEQ_LEN": str(data.seq_len),
        "VOCAB_SIZE": str(model.vocab_size), "NUM_LAYERS": str(model.num_layers), "MODEL_DIM": str(model.model_dim),
        "NUM_HEADS": str(model.num_heads), "NUM_KV_HEADS": str(model.num_kv_heads), "MLP_MULT": str(int(model.mlp_mult)),
    }  # fmt: skip


def our_settings(data: Path, folder: Path, num_steps: int) -> list[str]:
    return [
        f"data.path={data}", f"data.tokenizer_path={data / 'tokenizer.model'}", f"run.output={folder}",
        f"schedule.iterations={num_steps}", "schedule.max_wallclock_seconds=0", "schedule.clock=steps",
        "schedule.warmup_steps=3", f"run.log_every={num_steps}", "run.precision=bf16", "eval.val_every=0",
    ]  # fmt: skip


def measure(name: str, script: str, num_steps: int, *, toy: bool) -> dict[str, Speed]:
    on_cpu = not torch.cuda.is_available()
    config = apply_overrides(preset(name), (*TOY, *TOY_DATA) if toy else ())
    with tempfile.TemporaryDirectory() as data_folder, tempfile.TemporaryDirectory() as folder:
        data = prepare_data(ensure_demo(), config.data.seq_len, Path(data_folder), max_sequences=64)
        reference = run_reference(
            script, data, reference_settings(config, num_steps), 1, on_cpu=on_cpu, compiled=not on_cpu
        )
        sets = our_settings(data, Path(folder), num_steps) + (
            ["eval.stride=2048"] if name == "late-qat" and not toy else []
        )
        if config.ttt.kind != "off":
            sets.append("ttt.kind=off")
        ours = run_trainer(name, [*(TOY + TOY_DATA if toy else ()), *sets])
    return {f"{name}, reference": parse_speed(reference.text, config), f"{name}, ours": parse_speed(ours.text, config)}


def render(speeds: Mapping[str, Speed]) -> str:
    lines = ["| run | step | tokens/s | utilisation |", "|---|---|---|---|"]
    for name, speed in speeds.items():
        share = "unknown device" if speed.utilisation is None else f"{speed.utilisation:.1%}"
        lines.append(f"| {name} | {1000 * speed.step_seconds:.1f} ms | {speed.tokens_per_second:,.0f} | {share} |")
    for name in ("baseline", "late-qat"):
        ratio = speeds[f"{name}, ours"].tokens_per_second / speeds[f"{name}, reference"].tokens_per_second
        lines.append(f"\n{name}: {ratio:.2f}x the reference's tokens per second")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repo", type=Path, required=True, help="git directory of the contest")
    parser.add_argument("--ref", default="main", help="where the script is read (default: main)")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--toy", action="store_true", help="a small model, on whatever device there is")
    arguments = parser.parse_args()
    script = read_script(arguments.repo, arguments.ref)
    speeds: dict[str, Speed] = {}
    for name in ("baseline", "late-qat"):
        speeds |= measure(name, script, arguments.steps, toy=arguments.toy)
    print(f"device: {torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'}, PyTorch {torch.__version__}")
    print(render(speeds))


if __name__ == "__main__":
    main()
