"""Averages of the weights over the end of a run: SWA and EMA.

SWA is the plain mean of the weights at every `swa_every`-th step once the learning rate has fallen below a share of its
height (with one half: the second half of the warm-down). EMA follows the weights from the first step on, with a decay per
step. Both accumulate in float32, whatever the parameters' type: a sum kept in bfloat16 loses what a snapshot adds.

The averaged weights replace the trained ones for quantisation and evaluation; training never sees them. Not covered:
buffers (the models here have no persistent ones).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from trainer.config import ScheduleConfig

LEAST_SWA_STATES = 2  # a mean over one state would only be an older state than the final one


class Averager:
    """The average of one model's parameters that the schedule asks for; does nothing where averaging is off."""

    def __init__(self, model: nn.Module, schedule: ScheduleConfig) -> None:
        self.num_averaged = 0
        self._schedule = schedule
        self._parameters = dict(model.named_parameters())
        self._values: dict[str, torch.Tensor] = {}  # SWA: the sum so far; EMA: the average so far

    @torch.no_grad()
    def update(self, step: int, lr_scale: float) -> bool:
        """Take the weights after this step into the average if it is their turn; True if they are the first."""
        if not self._is_due(step, lr_scale):
            return False
        self.num_averaged += 1
        if self.num_averaged == 1:
            self._values = {name: weight.detach().float().clone() for name, weight in self._parameters.items()}
            return True
        values, weights = list(self._values.values()), [weight.float() for weight in self._parameters.values()]
        if self._schedule.averaging == "swa":
            torch._foreach_add_(values, weights)
        else:
            torch._foreach_lerp_(values, weights, 1 - self._schedule.ema_decay)
        return False

    @torch.no_grad()
    def apply(self) -> int:
        """Put the average into the model. Returns how many states it is of; 0 if there are too few, the model unchanged."""
        is_swa = self._schedule.averaging == "swa"
        if self.num_averaged < (LEAST_SWA_STATES if is_swa else 1):
            return 0
        for name, weight in self._parameters.items():
            weight.copy_(self._values[name] / self.num_averaged if is_swa else self._values[name])
        return self.num_averaged

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on averaging. The tensors are those in use, not copies."""
        return {"averaging": self._schedule.averaging, "num_averaged": self.num_averaged, "values": dict(self._values)}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`; ValueError if it is another kind of average or of another model."""
        if state["averaging"] != self._schedule.averaging:
            raise ValueError(f"the checkpoint averages by {state['averaging']!r}, the run by {self._schedule.averaging!r}")
        values = state["values"]
        expected = {name: weight.shape for name, weight in self._parameters.items()} if state["num_averaged"] else {}
        if {name: value.shape for name, value in values.items()} != expected:
            raise ValueError("the average in the checkpoint is not of this model's parameters")
        self.num_averaged = state["num_averaged"]
        self._values = {
            name: value.to(self._parameters[name].device, torch.float32, copy=True) for name, value in values.items()
        }

    def _is_due(self, step: int, lr_scale: float) -> bool:
        schedule = self._schedule
        if schedule.averaging == "swa":
            return lr_scale < schedule.swa_start_scale and step % schedule.swa_every == 0
        return schedule.averaging == "ema"
