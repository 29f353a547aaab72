"""Tells where tokens come from, by their content: every run of `GRAM` tokens of the toy world occurs once.

A token's place is its position in the validation stream, or the stream's length plus its place in the training shards, or
-1. Tokens of rows that are shorter than a run, or that stand where two rows join, may stay without a place.
"""

from __future__ import annotations

import struct
from pathlib import Path

import torch

GRAM = 8  # as in auditor.run.world
NOWHERE = -1
_HEADER_INTS = 256
_FACTOR = 6364136223846793005  # of a multiplicative hash modulo 2^64


def read_shard(path) -> torch.Tensor:
    """The tokens of a shard, as int64."""
    content = Path(path).read_bytes()
    count = struct.unpack_from("<3i", content)[2]
    values = torch.frombuffer(bytearray(content), dtype=torch.uint16, offset=_HEADER_INTS * 4, count=count)
    return values.to(torch.int64)


class Locator:
    """Knows the runs of the validation and training streams."""

    def __init__(self, validation, training) -> None:
        streams = [torch.cat([read_shard(path) for path in paths]) for paths in (validation, training)]
        self.num_validation = len(streams[0])
        codes, places = [], []
        for start, stream in zip((0, self.num_validation), streams, strict=True):
            codes.append(_codes(stream))
            places.append(torch.arange(len(codes[-1])) + start)
        code, place = torch.cat(codes), torch.cat(places)
        _, inverse, counts = torch.unique(code, return_inverse=True, return_counts=True)
        once = counts[inverse] == 1
        self._codes, order = torch.sort(code[once])
        self._places = place[once][order]

    def locate(self, tokens: torch.Tensor) -> torch.Tensor | None:
        """The place of each token of an integer tensor, in its shape; None if none is known."""
        flat = tokens.reshape(-1).to(torch.int64)
        if len(flat) < GRAM:
            return None
        codes = _codes(flat)
        index = torch.searchsorted(self._codes, codes).clamp_(max=len(self._codes) - 1)
        found = torch.where(self._codes[index] == codes, self._places[index], NOWHERE)
        if not bool((found >= 0).any()):
            return None
        places = torch.full_like(flat, NOWHERE)
        for offset in range(GRAM):
            own = places[offset : offset + len(found)]
            own.copy_(torch.where(found >= 0, found + offset, own))
        return places.reshape(tokens.shape)


def _codes(stream: torch.Tensor) -> torch.Tensor:
    """A hash of the run that begins at each token."""
    count = max(len(stream) - GRAM + 1, 0)
    code = torch.zeros(count, dtype=torch.int64)
    for offset in range(GRAM):
        code = code * _FACTOR + stream[offset : offset + count] + 1
    return code
