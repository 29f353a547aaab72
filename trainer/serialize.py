"""From trained weights to the artifact file, and back to a model.

Calibration on training tokens is training: it runs inside the reserve that the loop left of the wallclock, and stops
when that is used up. Calibration on the model's own samples, rounding and compression read no data and are not limited.

Not covered: what to do about a submission that is over the cap (shrink.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from trainer.artifact import Artifact, SavedArtifact, load_artifact, save_artifact
from trainer.config import Config
from trainer.data import TrainLoader
from trainer.gptq import CalibrationTokens, gptq_state, sample_calibration, second_moments, training_calibration
from trainer.log import LineLog
from trainer.model import GPT
from trainer.quantize import StoredTensor, quantize_state


def quantization_label(config: Config) -> str:
    """The smallest width of the matrices, as log labels have it."""
    return f"int{min(config.quant.bits_mlp, config.quant.bits_attention)}"


def write_artifact(
    path: Path, config: Config, model: GPT, loader: TrainLoader, log: LineLog, *, elapsed_seconds: float, code_bytes: int
) -> SavedArtifact:
    """Quantise and pack a trained model. `elapsed_seconds` of training are spent already; `code_bytes` count beside it."""
    state = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    float_bytes = sum(tensor.nbytes for tensor in state.values())
    log.line(f"Serialized model: {float_bytes} bytes")
    log.line(f"Code size: {code_bytes} bytes")
    started = time.perf_counter()
    stored = quantize(config, model, loader, log, elapsed_seconds=elapsed_seconds)
    saved = save_artifact(path, Artifact(config.model, stored), config.quant.compression)
    seconds = time.perf_counter() - started
    label = f"{quantization_label(config)}+{saved.compressor}"
    log.line(f"Serialized model {label}: {saved.num_bytes} bytes (packing_time:{1000 * seconds:.0f}ms)")
    log.line(f"Total submission size {label}: {code_bytes + saved.num_bytes} bytes")
    return saved


def quantize(
    config: Config, model: GPT, loader: TrainLoader, log: LineLog, *, elapsed_seconds: float
) -> dict[str, StoredTensor]:
    """The weights as they will be stored, rounded plainly or by GPTQ."""
    if config.quant.gptq == "off":
        return quantize_state(model.state_dict(), config.quant)
    started = time.perf_counter()
    model.eval()
    calibration = _calibration_tokens(config, model, loader)
    cap = config.schedule.max_wallclock_seconds
    seconds_left: Callable[[], float] | None = None
    if calibration.source == "train" and cap:
        seconds_left = lambda: cap - elapsed_seconds - (time.perf_counter() - started)  # noqa: E731
    moments, num_tokens = second_moments(model, calibration, config.quant, seconds_left=seconds_left)
    seconds = time.perf_counter() - started
    log.line(
        f"gptq:calibrated source:{calibration.source} tokens:{num_tokens}/{calibration.num_tokens} "
        f"time:{1000 * seconds:.0f}ms training_with_calibration:{1000 * (elapsed_seconds + seconds):.0f}ms"
    )
    stored, notes = gptq_state(model.state_dict(), moments, config.quant)
    for note in notes:
        log.line(note)
    return stored


def _calibration_tokens(config: Config, model: GPT, loader: TrainLoader) -> CalibrationTokens:
    num_tokens = config.quant.calibration_tokens
    if config.quant.gptq == "train":
        return training_calibration(loader, num_tokens=num_tokens, device=model.tok_emb.weight.device)
    return sample_calibration(model, num_tokens=num_tokens, seq_len=config.data.seq_len, seed=config.run.seed)


def load_model(path: Path, device: torch.device, dtype: torch.dtype) -> GPT:
    """The model of an artifact, computing in `dtype`; reads nothing but that file."""
    artifact = load_artifact(path)
    model = GPT(artifact.model)
    model.to(device)
    model.load_state_dict(artifact.state_dict())
    model.compute_dtype = dtype
    model.eval()
    return model
