"""Influence that leaves torch and comes back: through a file, a compressed artifact, a numpy array.

Bytes cannot be followed, but content can be recognised: what an influenced tensor held when it left is kept as a digest,
and a tensor that comes in with the same content has the same influence. Tensors of one repeated value are left out; they
say nothing about where they come from. Not covered: content that is changed outside of torch (packed bits, shuffled bytes).
"""

from __future__ import annotations

import hashlib

import torch

_MIN_ELEMENTS = 8


class Carried:
    """The influence of contents that left."""

    def __init__(self, shadow) -> None:
        self.shadow = shadow
        self._influence: dict[bytes, int] = {}
        self._untold: dict[bytes, int] = {}

    def leaves(self, tensor) -> None:
        """Note a tensor that is written or handed out."""
        entry = self.shadow.get(tensor)
        if entry is not None and entry.influence and (digest := _digest(tensor)) is not None:
            self._influence[digest] = self._influence.get(digest, 0) | entry.influence
            self._untold[digest] = self._influence[digest]

    def news(self) -> dict:
        """What was noted since the last time, for another process."""
        fresh, self._untold = self._untold, {}
        return fresh

    def learn(self, influence) -> None:
        """Take what another process noted."""
        for digest, positions in influence.items():
            self._influence[digest] = self._influence.get(digest, 0) | positions

    def comes(self, tensor) -> None:
        """Recognise a tensor that was read or made from outside."""
        if self._influence and (digest := _digest(tensor)) is not None and digest in self._influence:
            self.shadow.at(tensor).influence |= self._influence[digest]


def tensors_below(obj, depth=6):
    """The tensors in nested dictionaries and sequences."""
    if isinstance(obj, torch.Tensor):
        yield obj
    elif depth and isinstance(obj, dict):
        for value in obj.values():
            yield from tensors_below(value, depth - 1)
    elif depth and isinstance(obj, list | tuple):
        for value in obj:
            yield from tensors_below(value, depth - 1)
    elif depth and isinstance(obj, torch.nn.Module):
        yield from tensors_below(dict(obj.state_dict()), depth - 1)


def _digest(tensor):
    if tensor.numel() < _MIN_ELEMENTS or tensor.layout is not torch.strided:
        return None
    flat = tensor.detach().reshape(-1)
    if bool((flat == flat[0]).all()):
        return None
    return hashlib.blake2b(content_of(flat), digest_size=16).digest()


def content_of(tensor) -> bytes:
    """What a tensor holds, element by element."""
    return tensor.detach().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
