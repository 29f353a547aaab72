"""One process or many: the few collectives that training needs, each of which does nothing at one process.

Started by torchrun (which sets RANK, WORLD_SIZE and LOCAL_RANK), over NCCL on GPUs and Gloo on CPUs. Gradients are
averaged by one all-reduce over a flat copy instead of DistributedDataParallel: the model stays unwrapped, so that the
same object is compiled, checkpointed and evaluated. The price is that communication does not overlap with the backward
pass; at 22 million parameters it is 90 MB per step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Is this the process that writes files and prints?"""
    return rank() == 0


@contextmanager
def process_group(device: str) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did, and give the device of this one.

    `device` is auto, cpu or cuda; cuda without a GPU is a ValueError.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("run.device='cuda': this machine has no CUDA device")
    use_cuda = torch.cuda.is_available() if device == "auto" else device == "cuda"
    local = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if use_cuda else torch.device("cpu")
    if use_cuda:
        torch.cuda.set_device(local)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield local
        return
    dist.init_process_group("nccl" if use_cuda else "gloo")
    try:
        yield local
        dist.barrier()  # a process that leaves while others still talk to it brings them down
    finally:
        dist.destroy_process_group()


@torch.no_grad()
def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if world_size() == 1 or not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    parts = flat.split([gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)])


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a tensor over the processes."""
    if world_size() == 1:
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / world_size()


def from_main(values: Sequence[float], device: torch.device) -> list[float]:
    """The main process's values, on all: clocks differ, and every process must take the same decisions."""
    if world_size() == 1:
        return list(values)
    shared = torch.tensor(values, dtype=torch.float64, device=device)
    dist.broadcast(shared, src=0)
    return shared.tolist()


def barrier() -> None:
    """Wait for all processes."""
    if world_size() > 1:
        dist.barrier()
