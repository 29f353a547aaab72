"""GPTQ (arXiv 2210.17323): round a matrix column by column, and let the columns to come make up for each rounding error.

How much an error in one column can be made up by another depends on the inputs that the layer sees, through their second
moments H = sum of x x^T over calibration tokens. Those tokens come from the model itself, sampled, or from the training
stream within the training time. There is no third source: `CalibrationTokens` is made by `sample_calibration` and
`training_calibration` only, and the second takes a loader of training shards and nothing else.

The scale of each row is that of quantize.py and stays fixed. Columns go in order of falling second moment, so that the
important ones are rounded while there is most left to compensate with. A row for which all this does not pay (measured by
its output error on the calibration tokens) keeps its plain rounding, so the result is never worse than GPTQ-lite there.

Not covered: inputs as they are after the layers before were quantised (all second moments are of the exact model), and
embeddings, whose inputs are token ids; those are rounded plainly. Sampling keeps no key/value cache, so its cost grows
with the square of the sequence length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.config import QuantConfig
from trainer.data import TrainLoader
from trainer.model import GPT
from trainer.quantize import (
    QuantizedTensor,
    StoredTensor,
    bits_for,
    quantize_rows,
    quantize_state,
    require_finite,
    require_scales,
    round_to_codes,
)

CALIBRATION_BATCH_SEQUENCES = 8
SAMPLING_BATCH_SEQUENCES = 64


@dataclass(frozen=True, eq=False, slots=True)
class CalibrationTokens:
    """Sequences whose second moments GPTQ uses, shape (N, T), and where they come from: "self" or "train"."""

    tokens_NT: Tensor
    source: str

    @property
    def num_tokens(self) -> int:
        """Tokens in all sequences."""
        return self.tokens_NT.numel()


@torch.inference_mode()
def sample_calibration(model: GPT, *, num_tokens: int, seq_len: int, seed: int) -> CalibrationTokens:
    """At least `num_tokens` tokens that the model writes, each sequence from a document start on, at temperature 1."""
    device = model.tok_emb.weight.device
    generator = torch.Generator(device).manual_seed(seed)
    num_sequences = -(-num_tokens // seq_len)
    tokens_NT = torch.full((num_sequences, seq_len), model.config.bos_token_id, device=device)
    for batch_BT in torch.split(tokens_NT, SAMPLING_BATCH_SEQUENCES):
        for position in range(1, seq_len):
            logits_BV = model(batch_BT[:, :position])[:, -1].float()
            batch_BT[:, position] = torch.multinomial(logits_BV.softmax(dim=-1), 1, generator=generator)[:, 0]
    return CalibrationTokens(tokens_NT, "self")


def training_calibration(loader: TrainLoader, *, num_tokens: int, device: torch.device) -> CalibrationTokens:
    """At least `num_tokens` tokens of the training stream. Reading them is training: do it within the training time."""
    if not isinstance(loader, TrainLoader):
        raise TypeError(f"GPTQ calibrates on a TrainLoader or on its own samples, not on {type(loader).__name__}")
    batches = [loader.next_batch(device)[0]]
    while sum(batch.numel() for batch in batches) < num_tokens:
        batches.append(loader.next_batch(device)[0])
    return CalibrationTokens(torch.cat(batches), "train")


@torch.no_grad()
def second_moments(
    model: nn.Module,
    calibration: CalibrationTokens,
    config: QuantConfig,
    *,
    seconds_left: Callable[[], float] | None = None,
) -> tuple[dict[str, Tensor], int]:
    """Sum of x x^T, shape (I, I), of the inputs of each linear layer that is quantised; and over how many tokens.

    Stops between two batches when `seconds_left` gives no more time; training time is a hard limit.
    """
    moments: dict[str, Tensor] = {}
    num_tokens = 0
    with _watched(model, config, moments):
        for batch_BT in torch.split(calibration.tokens_NT, CALIBRATION_BATCH_SEQUENCES):
            if seconds_left is not None and seconds_left() <= 0:
                break
            model(batch_BT)
            num_tokens += batch_BT.numel()
    return moments, num_tokens


@contextmanager
def _watched(model: nn.Module, config: QuantConfig, moments: dict[str, Tensor]) -> Iterator[None]:
    """While inside, every quantised linear layer adds its input's second moments to `moments`, by its weight's name."""

    def add_to(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x_NI = inputs[0].float().flatten(0, -2)
            moments[name] = moments[name] + x_NI.T @ x_NI if name in moments else x_NI.T @ x_NI

        return add

    linears = {f"{name}.weight": module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    handles = [
        module.register_forward_pre_hook(add_to(name))
        for name, module in linears.items()
        if bits_for(name, module.weight, config) is not None
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def gptq_state(
    state: Mapping[str, Tensor], moments: Mapping[str, Tensor], config: QuantConfig
) -> tuple[dict[str, StoredTensor], list[str]]:
    """The state as `quantize_state` stores it, with GPTQ for the matrices in `moments`; and lines for the log."""
    stored = quantize_state({name: tensor for name, tensor in state.items() if name not in moments}, config)
    notes = []
    for name, moments_II in moments.items():
        require_finite(name, state[name])
        bits = bits_for(name, state[name], config)
        assert bits is not None, name
        quantized = gptq_quantize(state[name], moments_II, bits, config)
        if quantized is None:
            notes.append(f"gptq:{name} rounded plainly, its second moments are not positive definite")
            quantized = quantize_rows(state[name], bits, clip_search=config.clip_search)
        stored[name] = require_scales(name, quantized)
    return {name: stored[name] for name in state}, notes


@torch.no_grad()
def gptq_quantize(weight_OI: Tensor, moments_II: Tensor, bits: int, config: QuantConfig) -> QuantizedTensor | None:
    """GPTQ of one matrix; None if the damped second moments are not positive definite."""
    order_I = torch.argsort(moments_II.diagonal(), descending=True, stable=True)
    factor_II = _inverse_factor(moments_II[order_I][:, order_I], config.gptq_damping)
    if factor_II is None:
        return None
    weight_OI = weight_OI.float()
    plain = quantize_rows(weight_OI, bits, clip_search=config.clip_search)
    codes_OI = torch.empty_like(plain.codes)
    codes_OI[:, order_I] = _round_in_order(weight_OI[:, order_I], plain.scale_O, factor_II, bits, config.gptq_block_size)
    compensated = QuantizedTensor(codes_OI, plain.scale_O, bits)
    pays_O1 = (_output_error(weight_OI, compensated, moments_II) < _output_error(weight_OI, plain, moments_II)).unsqueeze(1)
    return QuantizedTensor(torch.where(pays_O1, codes_OI, plain.codes), plain.scale_O, bits)


def _inverse_factor(moments_II: Tensor, damping: float) -> Tensor | None:
    """Upper Cholesky factor of the inverse of the damped second moments, float32; None if there is none.

    Row i holds, up to its diagonal element, how column i's error is best spread over the columns after it.
    """
    damped_II = moments_II.double().clone()
    diagonal_I = damped_II.diagonal()
    diagonal_I += damping * diagonal_I.mean()
    diagonal_I[diagonal_I == 0] = 1.0  # an input that is always zero: its column matters to nothing
    lower_II, failed = torch.linalg.cholesky_ex(damped_II)
    if failed or not lower_II.isfinite().all():
        return None
    upper_II, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower_II), upper=True)
    return None if failed else upper_II.float()


def _round_in_order(weight_OI: Tensor, scale_O: Tensor, factor_II: Tensor, bits: int, block_size: int) -> Tensor:
    """Codes (O, I), columns rounded from left to right; within a block at once, beyond it when the block is done."""
    weight_OI, codes_OI = weight_OI.clone(), torch.empty_like(weight_OI, dtype=torch.int8)
    for start in range(0, weight_OI.size(1), block_size):
        end = min(start + block_size, weight_OI.size(1))
        errors_OB = torch.empty_like(weight_OI[:, start:end])
        for column in range(start, end):
            exact_O1 = weight_OI[:, column : column + 1]
            codes_O1 = round_to_codes(exact_O1, scale_O, bits)
            error_O1 = (exact_O1 - codes_O1.float() * scale_O.float().unsqueeze(1)) / factor_II[column, column]
            weight_OI[:, column + 1 : end] -= error_O1 * factor_II[column, column + 1 : end]
            codes_OI[:, column : column + 1] = codes_O1
            errors_OB[:, column - start : column - start + 1] = error_O1
        weight_OI[:, end:] -= errors_OB @ factor_II[start:end, end:]
    return codes_OI


def _output_error(weight_OI: Tensor, quantized: QuantizedTensor, moments_II: Tensor) -> Tensor:
    """Squared error of each row's output over the calibration tokens, shape (O,)."""
    error_OI = quantized.dequantize() - weight_OI
    return ((error_OI @ moments_II) * error_OI).sum(dim=1)
