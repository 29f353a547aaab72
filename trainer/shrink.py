"""What to do about a submission that is over the cap.

`advise` says which tensors weigh most and which settings would save how much, by quantising the same weights under each of
them. Its figures are estimates by the entropy of the codes, which the artifact comes close to or, where rows and columns
differ, undercuts by some per cent; the size of the file itself is exact.

Not covered: the size of the script (`pgolf pack` makes it smaller), and what a setting costs in val_bpb.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainer.bitpack import MIN_BITS
from trainer.config import QuantConfig
from trainer.quantize import QuantizedTensor, StoredTensor, bits_for, quantize_state
from trainer.size import SubmissionSize

NUM_LARGEST = 5


@dataclass(frozen=True, slots=True)
class Saving:
    """A change of one setting (as `--set` takes it) and the bytes that it would save."""

    setting: str
    saved_bytes: int


def estimate_bytes(tensor: StoredTensor) -> int:
    """Compressed bytes of one tensor: the entropy of its codes (or of each byte plane of its floats) and its scales."""
    if isinstance(tensor, QuantizedTensor):
        return _entropy_bytes(tensor.codes.view(torch.uint8)) + estimate_bytes(tensor.scale_O)
    octets = tensor.cpu().reshape(-1, 1).contiguous().view(torch.uint8)
    return sum(_entropy_bytes(plane) for plane in octets.unbind(dim=1))


def advise(state: Mapping[str, Tensor], config: QuantConfig, size: SubmissionSize) -> list[str]:
    """Lines for a user whose submission is over the cap: the largest tensors, then what would save how much, best first."""
    estimates = {name: estimate_bytes(tensor) for name, tensor in quantize_state(state, config).items()}
    largest = sorted(estimates, key=lambda name: -estimates[name])[:NUM_LARGEST]
    lines = [size.describe(), "largest tensors, compressed, estimated:"]
    lines += [f"  {estimates[name]:>10,} bytes  {name} {tuple(state[name].shape)}" for name in largest]
    lines.append("what would help, estimated:")
    savings = sorted(find_savings(state, config, estimates), key=lambda saving: -saving.saved_bytes)
    for saving in savings:
        enough = "enough" if saving.saved_bytes >= size.over_bytes else "not enough alone"
        lines.append(f"  {saving.saved_bytes:>10,} bytes  --set {saving.setting}  ({enough})")
    return lines


def find_savings(state: Mapping[str, Tensor], config: QuantConfig, estimates: Mapping[str, int]) -> Iterator[Saving]:
    """Every setting whose next smaller value saves bytes on these weights; `estimates` are of the present settings."""
    for setting, smaller in _smaller_settings(config):
        changed = {name: tensor for name, tensor in state.items() if _bits_differ(name, tensor, config, smaller)}
        then = {name: estimate_bytes(tensor) for name, tensor in quantize_state(changed, smaller).items()}
        saved_bytes = sum(estimates[name] - then[name] for name in changed)
        if saved_bytes > 0:
            yield Saving(setting, saved_bytes)


def _bits_differ(name: str, tensor: Tensor, config: QuantConfig, other: QuantConfig) -> bool:
    return bits_for(name, tensor, config) != bits_for(name, tensor, other)


def _smaller_settings(config: QuantConfig) -> Iterator[tuple[str, QuantConfig]]:
    """Each setting with its next smaller value as `--set` takes it, and the configuration with that value."""
    if (bits := config.bits_mlp - 1) >= MIN_BITS:
        yield f"quant.bits_mlp={bits}", replace(config, bits_mlp=bits)
    if (bits := config.bits_attention - 1) >= MIN_BITS:
        yield f"quant.bits_attention={bits}", replace(config, bits_attention=bits)
    if (bits := config.bits_other - 1) >= MIN_BITS:
        yield f"quant.bits_other={bits}", replace(config, bits_other=bits)
    if config.embedding == "fp16":
        yield "quant.embedding=int8", replace(config, embedding="int8")
    if config.keep_fp16:
        yield "quant.keep_fp16=", replace(config, keep_fp16=())
    if numel := config.keep_float_max_numel // 4:
        yield f"quant.keep_float_max_numel={numel}", replace(config, keep_float_max_numel=numel)


def _entropy_bytes(values: Tensor) -> int:
    """Bytes of these octets under the best code of one symbol at a time."""
    counts = torch.bincount(values.reshape(-1).int(), minlength=256).double()
    shares = counts[counts > 0] / max(values.numel(), 1)
    return int(-(shares.log2() * shares).sum() * values.numel() / 8)
