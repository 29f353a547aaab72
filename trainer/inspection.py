"""What a folder of shards holds, and what is wrong with it.

Documents are cut from the shards themselves, at the tokens that start one, and compared by hash, so an overlap between
training and validation is found however the folder was made. Files are held to the manifest where there is one. It
finds documents that are the same tokens; documents that merely resemble each other it does not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trainer.data import Shard, Tokens, ValidationTokens, find_shards, open_validation, train_pattern, val_pattern
from trainer.prepare import MANIFEST, TOKENIZER, file_sha256
from trainer.tokens import ByteTable, byte_table, load_tokenizer

COUNT_CHUNK_TOKENS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Facts for people, and problems; a folder without a problem can be used."""

    facts: tuple[str, ...]
    problems: tuple[str, ...]


def inspect_folder(folder: Path, tokenizer_path: Path | None = None) -> Inspection:
    """Look at all shards of a folder. ValueError if a shard, a split or the tokenizer cannot be read."""
    tokenizer_path = tokenizer_path or folder / TOKENIZER
    processor = load_tokenizer(tokenizer_path)
    table = byte_table(processor)
    train, validation = find_shards(train_pattern(folder)), open_validation(val_pattern(folder))
    table.check(validation.tokens)
    num_bytes = _count_bytes(validation, table)
    seen = set(document_digests([validation.tokens], processor.bos_id()))
    num_documents, num_shared = 0, 0
    for digest in document_digests((shard.tokens() for shard in train), processor.bos_id()):
        num_documents += 1
        num_shared += digest in seen
    facts = (
        f"tokenizer: {tokenizer_path}, {table.vocab_size} tokens",
        f"train: {len(train)} shards, {num_documents:,} documents, {sum(shard.num_tokens for shard in train):,} tokens",
        f"val: {len(seen):,} different documents, {len(validation.tokens):,} tokens, {num_bytes:,} bytes to predict, "
        f"{num_bytes / validation.num_targets:.4f} bytes per token",
    )
    problems = _check_manifest(folder) + _check_vocabulary(train, table.vocab_size)
    if num_shared:
        problems.append(f"{num_shared:,} training documents are in the validation split too")
    return Inspection(facts=facts, problems=tuple(problems))


def document_digests(parts: Sequence[Tokens] | Iterator[Tokens], bos_token_id: int) -> Iterator[bytes]:
    """SHA-256 of the tokens of each document of a stream that comes in parts; a document may span several."""
    begun: list[Tokens] = []
    for tokens in parts:
        *complete, rest = np.split(tokens, np.flatnonzero(tokens == bos_token_id))
        for piece in complete:
            begun.append(piece)
            yield from _digest(begun)
            begun = []
        begun.append(rest)
    yield from _digest(begun)


def _digest(pieces: list[Tokens]) -> Iterator[bytes]:
    tokens = np.concatenate(pieces)
    if len(tokens):
        yield hashlib.sha256(tokens.tobytes()).digest()


def _count_bytes(validation: ValidationTokens, table: ByteTable) -> int:
    num_bytes = 0
    for first in range(0, validation.num_targets, COUNT_CHUNK_TOKENS):
        tokens = torch.from_numpy(validation.tokens[first : first + COUNT_CHUNK_TOKENS + 1].astype(np.int64))
        num_bytes += int(table.count(tokens[:-1], tokens[1:]).sum())
    return num_bytes


def _check_vocabulary(shards: Sequence[Shard], vocab_size: int) -> list[str]:
    for shard in shards:
        largest = int(shard.tokens().max(initial=0))
        if largest >= vocab_size:
            return [f"{shard.path}: token {largest} is outside the vocabulary of {vocab_size}: other tokenizer?"]
    return []


def _check_manifest(folder: Path) -> list[str]:
    path = folder / MANIFEST
    if not path.exists():
        return []
    manifest = json.loads(path.read_text(encoding="utf-8"))
    named = [shard for split in manifest["splits"].values() for shard in split["shards"]]
    expected = {shard["file"]: shard["sha256"] for shard in named} | {TOKENIZER: manifest["tokenizer"]["sha256"]}
    problems = []
    for name, digest in expected.items():
        if not (folder / name).is_file():
            problems.append(f"{folder / name}: missing, the manifest has it")
        elif file_sha256(folder / name) != digest:
            problems.append(f"{folder / name}: is not the file that the manifest describes")
    return problems
