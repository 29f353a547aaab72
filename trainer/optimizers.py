"""Muon for the matrices, Adam with decoupled weight decay for everything else.

Muon replaces the momentum-averaged gradient of a matrix by an approximation of its nearest orthogonal matrix, found by
a quintic Newton-Schulz iteration (https://kellerjordan.github.io/posts/muon/). Embeddings, the head and parameters that
are not matrices must not be optimised with it.

Why not torch.optim.Muon: at a constant momentum and one process its update is the same (a test holds this), but it
loops over the matrices one at a time, has no sharding, and keeps its buffer as (1 - momentum)-weighted average, which
differs from the reference while the momentum warms up. Here equal shapes are stacked, so that a step of nine layers
takes four batched iterations instead of 54; and with several processes each one orthogonalises its share of every stack
and the updates are gathered.

Shapes: N matrices of O x I in a stack; P processes; S = ceil(N / P) matrices per process.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from trainer.config import OptimizerConfig
from trainer.distributed import rank, world_size
from trainer.layers import Linear
from trainer.model import GPT

# Coefficients of the quintic iteration x -> a x + b x^3 + c x^5 on singular values (Keller Jordan, 2024).
NS_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NS_EPS = 1e-7


def orthogonalise(gradient_NOI: Tensor, num_steps: int, dtype: torch.dtype) -> Tensor:
    """Matrices with the same singular vectors and all singular values near one (0.7 to 1.2 after five steps).

    Works in `dtype`, on the smaller side of the matrices; a zero matrix stays zero.
    """
    a, b, c = NS_COEFFICIENTS
    x_NOI = gradient_NOI.to(dtype)
    is_tall = x_NOI.size(1) > x_NOI.size(2)
    if is_tall:
        x_NOI = x_NOI.mT
    x_NOI = x_NOI / (x_NOI.norm(dim=(1, 2), keepdim=True) + NS_EPS)
    for _ in range(num_steps):
        gram_NOO = x_NOI @ x_NOI.mT
        polynomial_NOO = torch.baddbmm(gram_NOO, gram_NOO, gram_NOO, beta=b, alpha=c)
        x_NOI = torch.baddbmm(x_NOI, polynomial_NOO, x_NOI, beta=a)
    return x_NOI.mT if is_tall else x_NOI


def own_indices(num_matrices: int) -> list[int]:
    """Which matrices of a stack this process updates; the last is repeated where the stack does not divide evenly."""
    size = -(-num_matrices // world_size())
    return [min(rank() * size + i, num_matrices - 1) for i in range(size)]


class Muon(torch.optim.Optimizer):
    """Momentum, Nesterov, orthogonalisation, decoupled weight decay; one group per shape, sharded over processes.

    The learning rate is the size of an update in spectral norm, times sqrt(max(1, rows / columns)). Every process must
    call `step` with equal gradients on the same parameters. The state of this process is its share of each stack;
    `gather_state` collects the whole for a checkpoint.
    """

    def __init__(
        self, matrices: Iterable[Tensor], *, lr: float, momentum: float, weight_decay: float, ns_steps: int
    ) -> None:
        stacks: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for matrix in matrices:
            if matrix.ndim != 2:
                raise ValueError(f"Muon takes matrices only, not shape {tuple(matrix.shape)}")
            stacks[matrix.shape].append(matrix)
        groups = [{"params": stack} for stack in stacks.values()]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "ns_steps": ns_steps})
        self.ns_dtype = torch.bfloat16 if groups and groups[0]["params"][0].is_cuda else torch.float32

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all matrices."""
        for group in self.param_groups:
            update_NOI = self._gather(self._own_update(group), len(group["params"]))
            rows, columns = group["params"][0].shape
            step_size = group["lr"] * max(1.0, rows / columns) ** 0.5
            if group["weight_decay"]:
                torch._foreach_mul_(group["params"], 1.0 - group["lr"] * group["weight_decay"])
            updates = update_NOI.to(group["params"][0].dtype).unbind()
            torch._foreach_add_(group["params"], updates, alpha=-step_size)

    def _own_update(self, group: dict[str, Any]) -> Tensor:
        stack = group["params"]
        gradient_SOI = torch.stack([_gradient(stack[i]) for i in own_indices(len(stack))])
        momentum_SOI = self._momentum(group, gradient_SOI)
        momentum_SOI.mul_(group["momentum"]).add_(gradient_SOI)
        return orthogonalise(gradient_SOI.add_(momentum_SOI, alpha=group["momentum"]), group["ns_steps"], self.ns_dtype)

    def _momentum(self, group: dict[str, Any], like_SOI: Tensor) -> Tensor:
        state = self.state[group["params"][0]]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(like_SOI)
        return state["momentum_buffer"]

    @staticmethod
    def _gather(share_SOI: Tensor, num_matrices: int) -> Tensor:
        if world_size() == 1:
            return share_SOI
        parts = [torch.empty_like(share_SOI) for _ in range(world_size())]
        dist.all_gather(parts, share_SOI.contiguous())
        return torch.cat(parts)[:num_matrices]

    def gather_state(self) -> list[Tensor | None]:
        """The momentum of every stack in full, (N, O, I), on all processes; None before the first step."""
        states = [self.state.get(group["params"][0], {}).get("momentum_buffer") for group in self.param_groups]
        return [
            None if share is None else self._gather(share, len(group["params"]))
            for share, group in zip(states, self.param_groups, strict=True)
        ]

    def scatter_state(self, momentum: list[Tensor | None]) -> None:
        """Take this process's share of what `gather_state` returned, at any number of processes."""
        for group, whole_NOI in zip(self.param_groups, momentum, strict=True):
            self.state.pop(group["params"][0], None)
            if whole_NOI is not None:
                share_SOI = whole_NOI[own_indices(len(whole_NOI))]
                self.state[group["params"][0]]["momentum_buffer"] = share_SOI.to(group["params"][0].device)


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


class Optimizers:
    """The two optimizers of a run, their base learning rates, and their state for checkpoints."""

    def __init__(self, model: GPT, config: OptimizerConfig) -> None:
        matrices, groups = split_parameters(model, config)
        self.muon = Muon(
            matrices,
            lr=config.matrix_lr,
            momentum=config.muon_momentum,
            weight_decay=config.muon_weight_decay,
            ns_steps=config.muon_ns_steps,
        )
        if model.compute_dtype == torch.bfloat16:
            self.muon.ns_dtype = torch.bfloat16
        self.adam = torch.optim.AdamW(groups, betas=(config.beta1, config.beta2), eps=config.adam_eps, fused=True)
        self.parameters = [parameter for group in self.groups for parameter in group["params"]]
        self.clip_norm = config.grad_clip_norm
        for group in self.groups:
            group["base_lr"] = group["lr"]

    @property
    def groups(self) -> list[dict[str, Any]]:
        """All parameter groups."""
        return [*self.muon.param_groups, *self.adam.param_groups]

    def set_rates(self, *, scale: float, momentum: float) -> None:
        """Learning rates as a share of their base, and the momentum of Muon, for the next step."""
        for group in self.groups:
            group["lr"] = group["base_lr"] * scale
        for group in self.muon.param_groups:
            group["momentum"] = momentum

    def step(self) -> None:
        """Clip, update, and drop the gradients."""
        if self.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.muon.step()
        self.adam.step()
        self.muon.zero_grad(set_to_none=True)
        self.adam.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """All state, independent of the number of processes; every process must call this."""
        return {"momentum": self.muon.gather_state(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self.muon.scatter_state(state["momentum"])
        self.adam.load_state_dict(state["adam"])


def split_parameters(model: GPT, config: OptimizerConfig) -> tuple[list[Tensor], list[dict[str, Any]]]:
    """Matrices for Muon, and Adam's groups: embeddings, head, and everything else.

    By the kind of module, not by name: a linear map inside the model is a matrix, the head is not.
    """
    matrices = [m.weight for m in model.modules() if isinstance(m, Linear) and m is not model.lm_head]
    embeddings = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
    head = [] if model.lm_head is None else [model.lm_head.weight]
    taken = {id(parameter) for parameter in (*matrices, *embeddings, *head)}
    small = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    embed_lr = config.tied_embed_lr if model.lm_head is None else config.embed_lr
    groups = [
        {"params": embeddings, "lr": embed_lr, "weight_decay": config.adam_weight_decay},
        {"params": head, "lr": config.head_lr, "weight_decay": 0.0},
        {"params": small, "lr": config.scalar_lr, "weight_decay": config.adam_weight_decay},
    ]
    return matrices, [group for group in groups if group["params"]]
