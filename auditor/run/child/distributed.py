"""`torch.distributed` for a single process: every collective is what it means for a world of one."""

from __future__ import annotations

import types

import torch
import torch.distributed as dist


class _Work:
    """A collective that is already done."""

    def wait(self, *_arguments, **_options):
        return True

    def is_completed(self):
        return True

    def get_future(self):
        future = torch.futures.Future()
        future.set_result(None)
        return future


def _done(*_arguments, **options):
    return _Work() if options.get("async_op") else None


def _copied(output, source, *_arguments, **options):
    output.copy_(source.reshape(output.shape))
    return _done(**options)


def _gathered(outputs, source, *_arguments, **options):
    for output in outputs or ():
        output.copy_(source)
    return _done(**options)


def _gather_to_root(source, outputs=None, *_arguments, **options):
    return _gathered(outputs, source, **options)


def _scattered(output, sources=None, *_arguments, **options):
    if sources:
        output.copy_(sources[0])
    return _done(**options)


def _gathered_objects(outputs, value, *_arguments, **_options):
    outputs[0] = value


class DistributedDataParallel(torch.nn.Module):
    """A wrapper that only forwards: a world of one has nothing to average."""

    def __init__(self, module, *_arguments, **_options):
        super().__init__()
        self.module = module

    def forward(self, *arguments, **options):
        return self.module(*arguments, **options)

    def no_sync(self):
        return torch.enable_grad()


def install() -> None:
    """Replace the functions of `torch.distributed`."""
    state = types.SimpleNamespace(started=False)

    def start(*_arguments, **_options):
        state.started = True

    def stop(*_arguments, **_options):
        state.started = False

    dist.init_process_group, dist.destroy_process_group = start, stop
    dist.is_available = lambda: True
    dist.is_initialized = lambda: state.started
    dist.get_rank = dist.get_node_local_rank = lambda *_arguments, **_options: 0
    dist.get_world_size = lambda *_arguments, **_options: 1
    dist.get_backend = lambda *_arguments, **_options: "nccl"
    dist.new_group = lambda *_arguments, **_options: None
    for name in (
        "all_reduce",
        "broadcast",
        "barrier",
        "reduce",
        "broadcast_object_list",
        "monitored_barrier",
        "all_reduce_coalesced",
    ):
        setattr(dist, name, _done)
    dist.all_gather = _gathered
    dist.gather = _gather_to_root
    dist.scatter = dist.reduce_scatter = _scattered
    dist.all_gather_into_tensor = dist._all_gather_base = _copied
    dist.reduce_scatter_tensor = dist._reduce_scatter_base = dist.all_to_all_single = _copied
    dist.all_gather_object = _gathered_objects
    torch.nn.parallel.DistributedDataParallel = DistributedDataParallel
