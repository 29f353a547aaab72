"""Late quantisation-aware training: for the last part of a run the model computes with the weights it will be stored as.

The straight-through estimator takes the gradient at the rounded weights and applies it to the exact ones. Because it
passes that gradient through unchanged, nothing has to happen inside the forward pass: `rounded` puts the rounded weights
into the parameters, the caller runs all its forward and backward passes of a step, and the exact weights come back before
the update. Rounding therefore costs once per step, not once per forward pass; the compiled graph stays the one it was
(switching it costs half a minute of a run of ten); the state dict has the same keys; and when it is off it does nothing.
What is rounded, and how, is quantize.py: the same rule and the same function as for the artifact, bit for bit.

Not covered: anything but the identity as the gradient of rounding; tensors that stay floats in the artifact are not rounded
to half precision either, which they lose nothing by.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.config import QuantConfig
from trainer.quantize import bits_for, fake_quantize


@dataclass(frozen=True, slots=True)
class _Group:
    """Weights of one width and row length. Rows are quantised one by one, so all of a group go through it at once."""

    parameters: list[nn.Parameter]
    bits: int

    def rows(self) -> Tensor:
        """A copy of all rows, those of the first parameter first."""
        return torch.cat([parameter.detach().flatten(1) for parameter in self.parameters])

    def put(self, rows_OI: Tensor) -> None:
        """Write rows in the order of `rows` into the parameters."""
        parts = torch.split(rows_OI, [len(parameter) for parameter in self.parameters])
        for parameter, part in zip(self.parameters, parts, strict=True):
            parameter.copy_(part.view_as(parameter))


class LateQAT:
    """Rounding for one model; `active` is False until the loop turns it on, and belongs into its checkpoint."""

    def __init__(self, model: nn.Module, config: QuantConfig) -> None:
        self.active = False
        self._clip_search = config.clip_search
        by_shape: dict[tuple[int, int], list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            bits = bits_for(name, parameter, config)
            if bits is not None:
                by_shape.setdefault((bits, parameter[0].numel()), []).append(parameter)
        self._groups = [_Group(parameters, bits) for (bits, _), parameters in by_shape.items()]

    @contextmanager
    def rounded(self) -> Iterator[None]:
        """While inside, the model's weights are the rounded ones; afterwards, also after an error, the exact ones."""
        if not self.active:
            yield
            return
        exact = [group.rows() for group in self._groups]
        try:
            self._put([self._rounded(rows_OI, group) for group, rows_OI in zip(self._groups, exact, strict=True)])
            yield
        finally:
            self._put(exact)

    def _rounded(self, rows_OI: Tensor, group: _Group) -> Tensor:
        return fake_quantize(rows_OI, group.bits, clip_search=self._clip_search)

    @torch.no_grad()
    def _put(self, rows: list[Tensor]) -> None:
        for group, rows_OI in zip(self._groups, rows, strict=True):
            group.put(rows_OI)
