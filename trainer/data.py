"""Challenge shards: reading, writing, and the order in which training sees them.

A shard is 256 little-endian int32 (magic, version, number of tokens, zeros) followed by uint16 tokens. Shards are memory
mapped; nothing is read before it is used, and a rank reads only its own part of a batch.

Training and validation are two types that are opened by two functions. `TrainLoader` takes `TrainShards` only, and
`open_train_shards` refuses files of the validation split, so validation tokens cannot reach a training step by a wrong
path in a setting. The order of the batches is that of the contest's baseline script at equal settings: the shards,
sorted by name, are one endless stream; each micro-batch takes `world_size` spans of `tokens + 1` from it, one per rank.

What it does not cover: shuffling (the published shards are shuffled by document), and whether two shards hold the same
documents under different names; `pgolf data inspect` looks for that.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SHARD_MAGIC = 20240520
SHARD_VERSION = 1
HEADER_INTS = 256
HEADER_BYTES = HEADER_INTS * 4
MAX_SHARD_TOKENS = 2**31 - 1  # the count is an int32
TRAIN_GLOB = "fineweb_train_*.bin"
VAL_GLOB = "fineweb_val_*.bin"

Tokens = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard whose header and size were checked."""

    path: Path
    num_tokens: int

    def tokens(self) -> Tokens:
        """The tokens as a read-only memory map; ValueError if the file has gone since it was checked."""
        if self.num_tokens == 0:
            return np.empty(0, dtype="<u2")
        try:
            return np.memmap(self.path, dtype="<u2", mode="r", offset=HEADER_BYTES, shape=(self.num_tokens,))
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.path}: cannot be read any more: {error}") from error


def open_shard(path: Path) -> Shard:
    """Check header and size of a shard; ValueError says what is wrong with which file."""
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            header_bytes = file.read(HEADER_BYTES)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error
    if len(header_bytes) < HEADER_BYTES:
        raise ValueError(f"{path}: truncated: {size_bytes} bytes are less than the header of {HEADER_BYTES}")
    magic, version, num_tokens = (int(value) for value in np.frombuffer(header_bytes, dtype="<i4", count=3))
    if magic != SHARD_MAGIC:
        raise ValueError(f"{path}: not a shard: bad magic {magic}, expected {SHARD_MAGIC}")
    if version != SHARD_VERSION:
        raise ValueError(f"{path}: shard version {version}, only {SHARD_VERSION} can be read")
    expected_bytes = HEADER_BYTES + 2 * num_tokens
    if num_tokens < 0 or size_bytes != expected_bytes:
        problem = "truncated" if size_bytes < expected_bytes else "header and size disagree"
        raise ValueError(f"{path}: {problem}: {num_tokens} tokens need {expected_bytes} bytes, the file has {size_bytes}")
    return Shard(path, num_tokens)


def write_shard(path: Path, tokens: npt.NDArray[np.integer[Any]]) -> None:
    """Write a shard beside its place and move it there when it is complete on disk.

    ValueError if a token does not fit 16 bits or there are too many of them.
    """
    if len(tokens) > MAX_SHARD_TOKENS:
        raise ValueError(f"{path}: {len(tokens)} tokens are more than a shard can count ({MAX_SHARD_TOKENS})")
    if len(tokens) and not (int(tokens.min()) >= 0 and int(tokens.max()) < 2**16):
        raise ValueError(f"{path}: tokens {int(tokens.min())} to {int(tokens.max())} do not fit 16 bits")
    header = np.zeros(HEADER_INTS, dtype="<i4")
    header[:3] = SHARD_MAGIC, SHARD_VERSION, len(tokens)
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(header.tobytes())
        file.write(np.ascontiguousarray(tokens, dtype="<u2").tobytes())
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def train_pattern(folder: str | Path) -> str:
    """The glob of a folder's training shards."""
    return os.path.join(glob.escape(str(folder)), TRAIN_GLOB)


def val_pattern(folder: str | Path) -> str:
    """The glob of a folder's validation shards."""
    return os.path.join(glob.escape(str(folder)), VAL_GLOB)


def find_shards(pattern: str) -> tuple[Shard, ...]:
    """All shards that match a glob, sorted by name; ValueError for none, for a gap in their numbers, or a bad file."""
    paths = [Path(name) for name in sorted(glob.glob(pattern))]
    if not paths:
        raise ValueError(f"{pattern}: no shard matches")
    numbers = [int(match[1]) for path in paths if (match := re.search(r"(\d+)\.bin$", path.name))]
    if len(numbers) == len(paths):
        missing = sorted(set(range(min(numbers), max(numbers) + 1)) - set(numbers))
        if missing:
            raise ValueError(f"{pattern}: missing shard: number {missing[0]} is not there, {max(numbers)} is")
    shards = tuple(open_shard(path) for path in paths)
    if not any(shard.num_tokens for shard in shards):
        raise ValueError(f"{pattern}: {len(shards)} shards without a token")
    return shards


@dataclass(frozen=True)
class TrainShards:
    """The training stream: shards joined end to end, endlessly repeated. Made by `open_train_shards`."""

    shards: tuple[Shard, ...]

    @cached_property
    def ends(self) -> npt.NDArray[np.int64]:
        """Position behind the last token of each shard."""
        return np.cumsum([shard.num_tokens for shard in self.shards], dtype=np.int64)

    @property
    def num_tokens(self) -> int:
        """Tokens of one pass."""
        return int(self.ends[-1])

    @cached_property
    def _maps(self) -> dict[int, Tokens]:
        return {}

    def _tokens(self, index: int) -> Tokens:
        if index not in self._maps:
            self._maps[index] = self.shards[index].tokens()
        return self._maps[index]

    def read(self, position: int, num_tokens: int) -> Tokens:
        """Tokens from this position of the endless stream on; a copy."""
        parts: list[Tokens] = []
        while num_tokens > 0:
            within = position % self.num_tokens
            index = int(np.searchsorted(self.ends, within, side="right"))
            shard_start = int(self.ends[index]) - self.shards[index].num_tokens
            part = self._tokens(index)[within - shard_start :][:num_tokens]
            parts.append(part)
            position += len(part)
            num_tokens -= len(part)
        return np.concatenate(parts) if parts else np.empty(0, dtype="<u2")


def open_train_shards(pattern: str) -> TrainShards:
    """Open the training shards of a glob; ValueError also if a file of the validation split is among them."""
    shards = find_shards(pattern)
    for shard in shards:
        if re.search(r"(^|[_-])val(idation)?([_.-]|$)", shard.path.name):
            raise ValueError(f"{shard.path}: a shard of the validation split cannot be trained on")
    return TrainShards(shards)


@dataclass(frozen=True, eq=False)
class ValidationTokens:
    """The validation stream, complete and in order. It can be scored; nothing that trains accepts it."""

    tokens: Tokens

    def __post_init__(self) -> None:
        if len(self.tokens) < 2:
            raise ValueError(f"validation needs at least 2 tokens to score one, got {len(self.tokens)}")

    @property
    def num_targets(self) -> int:
        """Every token but the first is predicted."""
        return len(self.tokens) - 1

    def document_starts(self, bos_token_id: int) -> list[int]:
        """Positions of the tokens that start a document."""
        return [int(position) for position in np.flatnonzero(self.tokens == bos_token_id)]


def open_validation(pattern: str) -> ValidationTokens:
    """Open all validation shards of a glob; their numbers must start at 0, for a part of the split is not the split."""
    shards = find_shards(pattern)
    match = re.search(r"(\d+)\.bin$", shards[0].path.name)
    if match and int(match[1]) != 0:
        raise ValueError(f"{pattern}: missing shard: the validation split starts at number 0, not {int(match[1])}")
    if len(shards) == 1:
        return ValidationTokens(shards[0].tokens())
    return ValidationTokens(np.concatenate([shard.tokens() for shard in shards]))


def check_separate(train: TrainShards, validation_pattern: str) -> None:
    """ValueError if a file is both trained and validated on, under whatever name."""
    files = {(stat.st_dev, stat.st_ino): shard.path for shard in train.shards for stat in [shard.path.stat()]}
    for name in sorted(glob.glob(validation_pattern)):
        stat = Path(name).stat()
        if same := files.get((stat.st_dev, stat.st_ino)):
            raise ValueError(f"{same}: the same file as the validation shard {name}")


class TrainLoader:
    """Batches for one rank, in the reference's order; its whole state is one position in the stream.

    A micro-batch of one rank is `micro_batch_tokens` inputs and as many targets (`batch_tokens` of a step divided by all
    its forward passes over all ranks). ValueError if that is not a multiple of `seq_len`.
    """

    def __init__(
        self,
        shards: TrainShards,
        *,
        micro_batch_tokens: int,
        seq_len: int,
        vocab_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not isinstance(shards, TrainShards):
            raise TypeError(f"only TrainShards can be trained on, not {type(shards).__name__}")
        if micro_batch_tokens <= 0 or seq_len <= 0 or micro_batch_tokens % seq_len:
            raise ValueError(f"micro_batch_tokens={micro_batch_tokens}: must be a positive multiple of seq_len={seq_len}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank={rank}: must be below world_size={world_size}")
        self._shards = shards
        self._span_tokens = micro_batch_tokens + 1
        self._seq_len = seq_len
        self._vocab_size = vocab_size
        self._rank = rank
        self._world_size = world_size
        self._position = 0

    @property
    def num_epochs(self) -> float:
        """Passes over the training data so far, by all ranks."""
        return self._position / self._shards.num_tokens

    def next_batch(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """The next inputs and targets of this rank, x_BT and y_BT, int64. ValueError for a token outside the vocabulary."""
        tokens = self._shards.read(self._position + self._rank * self._span_tokens, self._span_tokens)
        largest = int(tokens.max())
        if largest >= self._vocab_size:
            raise ValueError(f"training token {largest} is outside the vocabulary of {self._vocab_size}: other tokenizer?")
        self._position += self._span_tokens * self._world_size
        on_cpu = torch.from_numpy(tokens.astype(np.int64))
        local = (on_cpu.pin_memory() if torch.device(device).type == "cuda" else on_cpu).to(device, non_blocking=True)
        return local[:-1].view(-1, self._seq_len), local[1:].view(-1, self._seq_len)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, and which stream that is."""
        return {"position_tokens": self._position, "shards": _describe(self._shards.shards)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken; ValueError if the shards are not the same any more."""
        shards = _describe(self._shards.shards)
        if [list(item) for item in state["shards"]] != shards:
            raise ValueError(f"training shards changed since the checkpoint: {_first_difference(state['shards'], shards)}")
        self._position = int(state["position_tokens"])


def _describe(shards: Sequence[Shard]) -> list[list[Any]]:
    return [[shard.path.name, shard.num_tokens] for shard in shards]


def _first_difference(before: Sequence[Sequence[Any]], now: Sequence[Sequence[Any]]) -> str:
    for old, new in zip(before, now, strict=False):
        if list(old) != list(new):
            return f"{old[0]} with {old[1]} tokens is now {new[0]} with {new[1]}"
    return f"{len(before)} shards are now {len(now)}"
