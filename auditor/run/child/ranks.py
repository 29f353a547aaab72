"""A world of several ranks: real processes that exchange contents over gloo, with what the recorder knows about them.

Every exchange in which all ranks take part steps a clock that they share: what a rank told before one happened before what
any rank tells after it, and in between nobody can say. Each rank numbers its losses and sums from a base of its own.
"""

from __future__ import annotations

import threading

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d as c10d

from .borders import pause
from .carried import content_of, tensors_below

_NUMBERS = 1 << 32  # of losses and of sums, for each rank
_GRACE_SECONDS = 5.0  # another rank is gone: it told why, and whoever started us ends us meanwhile


class Ranks:
    """This process among its like; they find each other by files in the folder `meeting`."""

    def __init__(self, rank: int, size: int, meeting: str, emit) -> None:
        self.rank, self.size = rank, size
        self.recorder = None
        self.asked = ""
        self.first_number = rank * _NUMBERS
        self._meeting, self._num_starts = meeting, 0
        self._emit = emit

    def start(self, *_arguments, **_options) -> None:
        """`init_process_group`, over gloo whatever is asked for."""
        store = dist.FileStore(f"{self._meeting}/{self._num_starts}", self.size)
        self._num_starts += 1
        c10d.init_process_group("gloo", store=store, rank=self.rank, world_size=self.size)

    def stop(self, group=None) -> None:
        """`destroy_process_group`."""
        c10d.destroy_process_group(group)

    def is_started(self) -> bool:
        """`is_initialized`."""
        return c10d.is_initialized()

    def group(self, ranks=None, *_arguments, **_options):
        """`new_group`."""
        return c10d.new_group(ranks, backend="gloo")

    def place(self, group=None) -> tuple[int, int]:
        """This process's rank in a group, and the group's size; (-1, -1) where it is no part of it."""
        return c10d.get_rank(group), c10d.get_world_size(group)

    def index(self, rank, group=None) -> int:
        """The rank in a group of a rank in the world."""
        return rank if group is None else c10d.get_group_rank(group, rank)

    def gather(self, tensors, group=None):
        """The tensors (or None) that each rank gives, in the order of ranks; its own are the very tensors."""
        with pause():
            given = self._exchange([None if each is None else self._pack(each) for each in tensors], group)
            own = c10d.get_rank(group)
            return [
                tensors if rank == own else [None if each is None else self._unpack(each) for each in packed]
                for rank, packed in enumerate(given)
            ]

    def gather_objects(self, value, group=None):
        """The object that each rank gives, in the order of ranks; tensors in it are recognised by their content."""
        with pause():
            if self.recorder is not None:
                for each in tensors_below(value):
                    self.recorder.carried.leaves(each)
            given = self._exchange(value, group)
            if self.recorder is not None:
                for each in tensors_below(given):
                    self.recorder.root(each)
        return given

    def _exchange(self, value, group):
        parts = [None] * c10d.get_world_size(group)
        news = self.recorder.carried.news() if self.recorder is not None else {}
        try:
            c10d.all_gather_object(parts, (self.asked, news, value), group=group)
        except RuntimeError:  # what torch.distributed raises
            threading.Event().wait(_GRACE_SECONDS)
            raise
        if len({asked for asked, _, _ in parts}) > 1:
            each = " and ".join(f"rank {rank} in {asked}" for rank, (asked, _, _) in enumerate(parts))
            raise RuntimeError(f"ranks met in different collectives: {each}")
        if len(parts) == self.size:
            self._emit({"t": "collective"})
        for _, learned, _ in parts:
            if learned:
                self.recorder.carried.learn(learned)
        return [part for _, _, part in parts]

    def _pack(self, tensor):
        known = None
        entry = self.recorder.shadow.get(tensor) if self.recorder is not None else None
        if entry is not None:
            values = self.recorder.shadow.view(tensor)
            known = entry.kind, None if values is None else values.tolist(), entry.sums, entry.influence
        return str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), content_of(tensor), known

    def _unpack(self, packed):
        name, shape, content, known = packed
        dtype = getattr(torch, name)
        if not content:
            return torch.empty(shape, dtype=dtype)
        tensor = torch.frombuffer(bytearray(content), dtype=dtype).reshape(shape)
        if known is not None and self.recorder is not None:
            kind, values, sums, influence = known
            if values is not None:
                self.recorder.shadow.put(tensor, kind, torch.tensor(values, dtype=torch.int64))
            entry = self.recorder.shadow.at(tensor)
            entry.sums |= sums
            entry.influence |= influence
        return tensor
