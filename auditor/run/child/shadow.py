"""What is known about the content of tensors, kept beside each storage: the shadow memory of the recorder.

Views share a storage, so slices, reshapes and transposes need no rule. An entry lives as long as its storage; the weak
reference keeps the address from being used again before the entry is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef

TOKENS, LOSSES = "tokens", "losses"
_SWEEP_EVERY = 4096  # new entries between removals of dead ones


@dataclass(slots=True)
class Entry:
    """What one storage holds.

    `kind` and `values`: for each element a token's place or a loss's number, -1 for neither. `sums`: numbers of the sums of
    losses that went into it. `influence`: the validation positions whose gradients went into it, one bit each; above those,
    once more, the positions that came by parameters of a model.
    """

    reference: StorageWeakRef
    itemsize: int
    kind: str | None = None
    values: torch.Tensor | None = None
    sums: frozenset = field(default_factory=frozenset)
    influence: int = 0


class Shadow:
    """Entries by storage."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._added = 0

    def get(self, tensor: torch.Tensor) -> Entry | None:
        """The entry of a tensor's storage."""
        return self._entries.get(tensor.untyped_storage()._cdata)

    def at(self, tensor: torch.Tensor) -> Entry:
        """The entry of a tensor's storage, a new one if there is none."""
        storage = tensor.untyped_storage()
        entry = self._entries.get(storage._cdata)
        if entry is None:
            entry = self._entries[storage._cdata] = Entry(StorageWeakRef(storage), tensor.itemsize)
            self._added += 1
            if self._added % _SWEEP_EVERY == 0:
                self._entries = {key: each for key, each in self._entries.items() if not each.reference.expired()}
        return entry

    def influence_of(self, tensors) -> int:
        """The influence on any of some tensors."""
        influence = 0
        for each in tensors:
            entry = self.get(each)
            influence |= entry.influence if entry is not None else 0
        return influence

    def keep(self, parameters, size: int) -> None:
        """Note that what influences some tensors, of so many positions, is in parameters of a model now."""
        for each in parameters:
            entry = self.get(each)
            if entry is not None:
                entry.influence |= (entry.influence & ((1 << size) - 1)) << size

    def view(self, tensor: torch.Tensor, kind: str | None = None) -> torch.Tensor | None:
        """The values behind a tensor, in its shape; None if it holds none (of the kind)."""
        entry = self.get(tensor)
        if entry is None or entry.values is None or (kind is not None and entry.kind != kind):
            return None
        if entry.itemsize != tensor.itemsize:  # the bytes are read as another type
            return None
        return torch.as_strided(entry.values, tensor.shape, tensor.stride(), tensor.storage_offset())

    def writable(self, tensor: torch.Tensor, kind: str) -> torch.Tensor:
        """As `view`, with values of the kind made (all -1) where there are none."""
        entry = self.at(tensor)
        if entry.values is None or entry.kind != kind or entry.itemsize != tensor.itemsize:
            count = tensor.untyped_storage().nbytes() // tensor.itemsize
            entry.kind, entry.itemsize = kind, tensor.itemsize
            entry.values = torch.full((count,), -1, dtype=torch.int64)
        return torch.as_strided(entry.values, tensor.shape, tensor.stride(), tensor.storage_offset())

    def put(self, tensor: torch.Tensor, kind: str, values: torch.Tensor) -> None:
        """Note the values behind a tensor."""
        if tensor.numel():
            self.writable(tensor, kind).copy_(values.reshape(tensor.shape))


def is_whole(tensor: torch.Tensor) -> bool:
    """Does the tensor cover its storage?"""
    return tensor.numel() * tensor.itemsize == tensor.untyped_storage().nbytes()


def bits(positions: torch.Tensor, size: int) -> int:
    """A set of positions as the bits of a number."""
    mask = np.zeros(size, dtype=bool)
    mask[positions.numpy()] = True
    return int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")


def mask_of(influence: int, size: int) -> torch.Tensor:
    """The positions of a set, as a mask."""
    held = np.frombuffer(influence.to_bytes((size + 7) // 8, "little"), dtype=np.uint8)
    return torch.from_numpy(np.unpackbits(held, count=size, bitorder="little").astype(bool))
