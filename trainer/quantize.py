"""Weights to small integers and back: one scale per row, symmetric around zero.

A row w becomes codes q and a float16 scale s with w ~ s q. The scale is rounded to float16 *before* the division, so that
|w - s q| <= s / 2 holds for the stored scale wherever w lies inside the clip. The clip of a row is a fraction of its
largest absolute weight; `clip_search` tries a fixed grid of fractions and keeps the one of least squared error (this is
what the field calls GPTQ-lite: it needs no data). Codes are two's complement, so the lowest one has no positive twin; it
is used, for a clipped row it is one more level at no cost.

Which tensor gets how many bits is `bits_for`, by name and size, the same rule for export and for late QAT. Everything here
is a pure function of its arguments: no random numbers, no state.

Not covered: scales per group of columns, zero points, and data-aware rounding (gptq.py, which uses these scales).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.bitpack import code_range
from trainer.config import QuantConfig

# Of the largest absolute weight of a row, from the widest to the narrowest clip; equal errors keep the wider one.
CLIP_FRACTIONS = (1.0, 0.96, 0.92, 0.88, 0.84, 0.8, 0.76, 0.72, 0.68, 0.64, 0.6, 0.55, 0.5)
SMALLEST_SCALE = 2.0**-24  # the smallest positive float16: a row of zeros needs some scale to divide by
EMBEDDING_NAMES = ("tok_emb", "lm_head")
EMBEDDING_BITS = {"int8": 8, "fp16": None}


@dataclass(frozen=True, slots=True)
class QuantizedTensor:
    """Codes of shape (O, ...), int8 whatever their width; one float16 scale per row, shape (O,)."""

    codes: Tensor
    scale_O: Tensor
    bits: int

    def dequantize(self) -> Tensor:
        """float32 weights of the codes' shape."""
        scale = self.scale_O.float().view(-1, *[1] * (self.codes.ndim - 1))
        return self.codes.float() * scale


StoredTensor = QuantizedTensor | Tensor


def bits_for(name: str, tensor: Tensor, config: QuantConfig) -> int | None:
    """Bits of this tensor's codes; None where it stays a float (small, one-dimensional, or named in the settings)."""
    is_small = tensor.ndim < 2 or tensor.numel() <= config.keep_float_max_numel
    if not tensor.is_floating_point() or is_small or any(part in name for part in config.keep_fp16):
        return None
    if any(part in name for part in EMBEDDING_NAMES):
        return EMBEDDING_BITS[config.embedding]
    if ".mlp." in name:
        return config.bits_mlp
    return config.bits_attention if ".attn." in name else config.bits_other


def quantize_rows(weight: Tensor, bits: int, *, clip_search: bool) -> QuantizedTensor:
    """Quantise a weight of shape (O, ...) with one scale per row. Does not look for non-finite weights."""
    weight_OI = weight.detach().float().flatten(1)
    scale_O = choose_scale(weight_OI, bits, clip_search=clip_search)
    return QuantizedTensor(round_to_codes(weight_OI, scale_O, bits).view(weight.shape), scale_O, bits)


def choose_scale(weight_OI: Tensor, bits: int, *, clip_search: bool) -> Tensor:
    """The float16 scale of each row, shape (O,): of the whole range, or of the clip with the least squared error."""
    _, highest = code_range(bits)
    widest_O = weight_OI.abs().amax(dim=1) / highest
    best_scale_O = _to_scale(widest_O)
    if not clip_search:
        return best_scale_O
    least_error_O = _squared_error(weight_OI, best_scale_O, bits)
    for fraction in CLIP_FRACTIONS[1:]:
        scale_O = _to_scale(fraction * widest_O)
        error_O = _squared_error(weight_OI, scale_O, bits)
        is_better_O = error_O < least_error_O
        best_scale_O = torch.where(is_better_O, scale_O, best_scale_O)
        least_error_O = torch.where(is_better_O, error_O, least_error_O)
    return best_scale_O


def round_to_codes(weight_OI: Tensor, scale_O: Tensor, bits: int) -> Tensor:
    """The nearest code of each weight (halves to even), int8."""
    return (weight_OI / scale_O.float().unsqueeze(1)).round_().clamp_(*code_range(bits)).to(torch.int8)


def fake_quantize(weight: Tensor, bits: int, *, clip_search: bool) -> Tensor:
    """The weight that the artifact would give back, float32; bit for bit, since it takes the same path."""
    return quantize_rows(weight, bits, clip_search=clip_search).dequantize()


def quantize_state(state: Mapping[str, Tensor], config: QuantConfig) -> dict[str, StoredTensor]:
    """Every tensor of a state dict as it will be stored; ValueError names a tensor that cannot be."""
    return {name: _store(name, tensor.detach(), config) for name, tensor in state.items()}


def dequantize_state(stored: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
    """The state dict that a model loads: floats as float32, integers as they were."""
    return {
        name: tensor.dequantize() if isinstance(tensor, QuantizedTensor) else _widen(tensor)
        for name, tensor in stored.items()
    }


def to_kept_float(name: str, tensor: Tensor) -> Tensor:
    """float16 where every value fits its range, else float32; ValueError if one is not finite."""
    require_finite(name, tensor)
    half = tensor.to(torch.float16)
    return half if bool(half.isfinite().all()) else tensor.float()


def require_finite(name: str, tensor: Tensor) -> None:
    """ValueError if a weight is infinite or not a number."""
    num_bad = int((~tensor.isfinite()).sum())
    if num_bad:
        raise ValueError(f"{name}: {num_bad} of {tensor.numel()} weights are not finite, so they cannot be quantised")


def _store(name: str, tensor: Tensor, config: QuantConfig) -> StoredTensor:
    if not tensor.is_floating_point():
        return tensor
    bits = bits_for(name, tensor, config)
    if bits is None:
        return to_kept_float(name, tensor)
    require_finite(name, tensor)
    return require_scales(name, quantize_rows(tensor, bits, clip_search=config.clip_search))


def require_scales(name: str, quantized: QuantizedTensor) -> QuantizedTensor:
    """ValueError if a row is so large that its scale overflows float16."""
    if not bool(quantized.scale_O.isfinite().all()):
        raise ValueError(f"{name}: a row's largest weight is too large for a float16 scale at {quantized.bits} bits")
    return quantized


def _widen(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _to_scale(scale_O: Tensor) -> Tensor:
    return scale_O.to(torch.float16).clamp_min(SMALLEST_SCALE)


def _squared_error(weight_OI: Tensor, scale_O: Tensor, bits: int) -> Tensor:
    wide_O1 = scale_O.float().unsqueeze(1)
    rounded_OI = (weight_OI / wide_O1).round_().clamp_(*code_range(bits)).mul_(wide_O1)
    return rounded_OI.sub_(weight_OI).square_().sum(dim=1)
