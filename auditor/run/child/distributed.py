"""`torch.distributed`: a collective is an exchange of contents, and each rank computes from them for itself what it means.

Contents come with what the recorder knows about them (`ranks`), and the computing is done with ordinary operations, in the
order of ranks: so it is followed as any other operation is, works for every type of number, and repeats itself bit by bit.
Alone in the world, a process exchanges nothing.

Not covered: sending and receiving between two ranks, functional collectives, sharded models and optimizers of torch itself;
they reach the transport below, where nothing is followed. Collectives that are to go on meanwhile are done at once.
"""

from __future__ import annotations

import contextlib
import functools

import torch
import torch.distributed as dist
from torch.autograd import Variable

_OPERATIONS = {
    dist.ReduceOp.SUM: torch.add,
    dist.ReduceOp.AVG: torch.add,
    dist.ReduceOp.PRODUCT: torch.mul,
    dist.ReduceOp.MIN: torch.minimum,
    dist.ReduceOp.MAX: torch.maximum,
    dist.ReduceOp.BAND: torch.bitwise_and,
    dist.ReduceOp.BOR: torch.bitwise_or,
    dist.ReduceOp.BXOR: torch.bitwise_xor,
}


class Alone:
    """A world of one process; `asked` is the collective that a script asks for."""

    rank, size, first_number = 0, 1, 0

    def __init__(self) -> None:
        self.recorder = None
        self.asked = ""
        self._started = False

    def start(self, *_arguments, **_options) -> None:
        """`init_process_group`."""
        self._started = True

    def stop(self, *_arguments, **_options) -> None:
        """`destroy_process_group`."""
        self._started = False

    def is_started(self) -> bool:
        """`is_initialized`."""
        return self._started

    def group(self, *_arguments, **_options) -> None:
        """`new_group`."""

    def place(self, group=None) -> tuple[int, int]:
        """This process's rank in a group, and the group's size; (-1, -1) where it is no part of it."""
        return 0, 1

    def index(self, rank, group=None) -> int:
        """The rank in a group of a rank in the world."""
        return 0

    def gather(self, tensors, group=None):
        """The tensors (or None) that each rank gives, in the order of ranks; its own are the very tensors."""
        return [tensors]

    def gather_objects(self, value, group=None):
        """The object that each rank gives, in the order of ranks."""
        return [value]


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


def _collective(function, world):
    """Give a collective its usual options: done at once whenever asked, never differentiated."""

    @functools.wraps(function)
    def done(*arguments, async_op=False, **options):
        world.asked = function.__name__
        with torch.no_grad():
            function(*arguments, **options)
        return _Work() if async_op else None

    return done


def _put(target, source) -> None:
    if source is not target:
        target.copy_(source.reshape(target.shape))


def _reduced(parts, op):
    """One tensor from one of each rank."""
    whole = functools.reduce(_OPERATIONS[op], parts)
    return whole / len(parts) if op == dist.ReduceOp.AVG and len(parts) > 1 else whole


class Collectives:
    """The functions of `torch.distributed` that exchange something, over a world."""

    def __init__(self, world) -> None:
        self.world = world

    def functions(self):
        """(name in `torch.distributed`, function)."""
        tensors = (
            "all_reduce",
            "reduce",
            "broadcast",
            "all_gather",
            "gather",
            "scatter",
            "reduce_scatter",
            "all_gather_into_tensor",
            "reduce_scatter_tensor",
            "all_to_all_single",
            "barrier",
            "all_reduce_coalesced",
        )
        yield from ((name, _collective(getattr(self, name), self.world)) for name in tensors)
        yield "_all_gather_base", _collective(self.all_gather_into_tensor, self.world)
        yield "_reduce_scatter_base", _collective(self.reduce_scatter_tensor, self.world)
        yield "monitored_barrier", _collective(self.barrier, self.world)
        objects = ("broadcast_object_list", "all_gather_object", "gather_object", "scatter_object_list")
        yield from ((name, _collective(getattr(self, name), self.world)) for name in objects)

    def _parts(self, tensor, group):
        """The tensor of each rank, and this process's rank among them; none where it is no part of the group."""
        rank, _ = self.world.place(group)
        return ([tensors[0] for tensors in self.world.gather([tensor], group)], rank) if rank >= 0 else ([], rank)

    def all_reduce(self, tensor, op=dist.ReduceOp.SUM, group=None):
        parts, _ = self._parts(tensor, group)
        if parts:
            _put(tensor, _reduced(parts, op))

    def all_reduce_coalesced(self, tensors, op=dist.ReduceOp.SUM, group=None):
        for tensor in tensors:
            self.all_reduce(tensor, op, group)

    def reduce(self, tensor, dst=0, op=dist.ReduceOp.SUM, group=None):
        parts, rank = self._parts(tensor, group)
        if parts and rank == self.world.index(dst, group):
            _put(tensor, _reduced(parts, op))

    def broadcast(self, tensor, src=0, group=None):
        parts, _ = self._parts(tensor, group)
        if parts:
            _put(tensor, parts[self.world.index(src, group)])

    def all_gather(self, outputs, tensor, group=None):
        parts, _ = self._parts(tensor, group)
        for output, part in zip(outputs, parts, strict=False):
            _put(output, part)

    def gather(self, tensor, gather_list=None, dst=0, group=None):
        parts, _ = self._parts(tensor, group)
        for output, part in zip(gather_list or (), parts, strict=False):
            _put(output, part)

    def scatter(self, tensor, scatter_list=None, src=0, group=None):
        rank, _ = self.world.place(group)
        if rank >= 0:
            given = self.world.gather(list(scatter_list or ()), group)
            _put(tensor, given[self.world.index(src, group)][rank])

    def reduce_scatter(self, output, inputs, op=dist.ReduceOp.SUM, group=None):
        rank, _ = self.world.place(group)
        if rank >= 0:
            _put(output, _reduced([given[rank] for given in self.world.gather(list(inputs), group)], op))

    def all_gather_into_tensor(self, output, tensor, group=None):
        parts, _ = self._parts(tensor, group)
        if parts:
            _put(output, torch.cat([part.reshape(-1) for part in parts]))

    def reduce_scatter_tensor(self, output, tensor, op=dist.ReduceOp.SUM, group=None):
        parts, rank = self._parts(tensor, group)
        if parts:
            _put(output, _reduced(parts, op).reshape(len(parts), -1)[rank])

    def all_to_all_single(self, output, tensor, output_split_sizes=None, input_split_sizes=None, group=None):
        if output_split_sizes or input_split_sizes:
            raise NotImplementedError("this exchange stands in for parts of equal size only")
        parts, rank = self._parts(tensor, group)
        if parts:
            _put(output, torch.cat([part.reshape(len(parts), -1)[rank] for part in parts]))

    def barrier(self, group=None, *_arguments, **_options):
        if self.world.place(group)[0] >= 0:
            self.world.gather([], group)

    def broadcast_object_list(self, values, src=0, group=None, *_arguments, **_options):
        if self.world.place(group)[0] >= 0:
            values[:] = self.world.gather_objects(list(values), group)[self.world.index(src, group)]

    def all_gather_object(self, outputs, value, group=None):
        if self.world.place(group)[0] >= 0:
            outputs[:] = self.world.gather_objects(value, group)

    def gather_object(self, value, object_gather_list=None, dst=0, group=None):
        if self.world.place(group)[0] >= 0:
            given = self.world.gather_objects(value, group)
            if object_gather_list is not None:
                object_gather_list[:] = given

    def scatter_object_list(self, outputs, inputs=None, src=0, group=None):
        rank, _ = self.world.place(group)
        if rank >= 0:
            outputs[0] = self.world.gather_objects(inputs, group)[self.world.index(src, group)][rank]


class DistributedDataParallel(torch.nn.Module):
    """Starts from rank 0's numbers, and averages gradients once they are all there; alone, it only forwards."""

    world = Alone()

    def __init__(self, module, *_arguments, broadcast_buffers=True, **_options):
        super().__init__()
        self.module = module
        self.require_backward_grad_sync = True
        self._broadcasts, self._syncs, self._queued = broadcast_buffers, False, False
        if self.world.size == 1:
            return
        self._take([*module.parameters(), *module.buffers()])
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(self._ready)

    def forward(self, *arguments, **options):
        self._syncs = torch.is_grad_enabled() and self.require_backward_grad_sync
        if self._broadcasts and self._syncs and self.world.size > 1:
            self._take(list(self.module.buffers()))
        return self.module(*arguments, **options)

    @contextlib.contextmanager
    def no_sync(self):
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    @torch.no_grad()
    def _take(self, tensors):
        if tensors:
            self.world.asked = "a wrapper's start"
            for own, given in zip(tensors, self.world.gather(tensors)[0], strict=True):
                _put(own, given)

    def _ready(self, _parameter):
        if self._syncs and not self._queued:
            self._queued = True
            Variable._execution_engine.queue_callback(self._average)

    @torch.no_grad()
    def _average(self):
        self._queued = False
        parameters = [each for each in self.module.parameters() if each.requires_grad]
        self.world.asked = "a wrapper's mean of gradients"
        given = self.world.gather([each.grad for each in parameters])
        for parameter, parts in zip(parameters, zip(*given, strict=True), strict=True):
            there = [part for part in parts if part is not None]
            if there:
                parameter.grad = functools.reduce(torch.add, there) / self.world.size


def install(world) -> None:
    """Replace the functions of `torch.distributed` by those of a world."""
    dist.init_process_group, dist.destroy_process_group = world.start, world.stop
    dist.is_available = lambda: True
    dist.is_initialized = world.is_started
    dist.get_rank = lambda group=None: world.place(group)[0]
    dist.get_node_local_rank = lambda *_arguments, **_options: world.rank
    dist.get_world_size = lambda group=None: world.place(group)[1]
    dist.get_backend = lambda *_arguments, **_options: "nccl"
    dist.new_group = world.group
    for name, function in Collectives(world).functions():
        setattr(dist, name, function)
    DistributedDataParallel.world = world
    torch.nn.parallel.DistributedDataParallel = DistributedDataParallel
