"""From documents to a tokenizer, training shards and validation shards, in the layout that the contest's scripts read.

Which side a document falls on is decided by a hash of its text, after Unicode compatibility forms and runs of white
space are made alike: copies of a document, also those that a tokenizer would make alike, land on one side. The
tokenizer is trained on training documents only. Everything is written into a hidden folder beside the result; what was
there before is replaced, file by file, when all of it is complete, and the manifest comes last.

The default tokenizer keeps text as it is, so that tokens decode to the very bytes of their document. `published`
normalises as the contest's published tokenizers do, and loses what that loses. Not covered: shuffling, filtering,
documents that are almost copies, and several processes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sentencepiece
import torch

from trainer.data import TRAIN_GLOB, VAL_GLOB, Tokens, write_shard
from trainer.tokens import ByteTable, byte_table, load_tokenizer

MANIFEST = "manifest.json"
SPLIT = "split.json"  # what an audit needs to know of the validation split: `pgolf audit --split`
TOKENIZER = "tokenizer.model"
SCHEMA_VERSION = 1
PARTIAL_PREFIX = ".partial-"
BATCH_DOCUMENTS = 256
TOKENIZER_TEXT_BYTES = 64_000_000
PROGRESS_SECONDS = 2.0

Log = Callable[[str], None]
NORMALIZATION: dict[str, dict[str, Any]] = {
    "none": {"normalization_rule_name": "identity", "remove_extra_whitespaces": False},
    "published": {"normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True},
}


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """How documents become shards."""

    vocab_size: int = 1024
    tokenizer: Path | None = None
    normalization: Literal["none", "published"] = "none"
    val_fraction: float = 0.01
    shard_tokens: int = 100_000_000

    def __post_init__(self) -> None:
        if not 0 < self.val_fraction < 1:
            raise ValueError(f"val_fraction={self.val_fraction}: must be between 0 and 1")
        if not 0 < self.vocab_size <= 2**16:
            raise ValueError(f"vocab_size={self.vocab_size}: shards hold 16-bit tokens, so it must be 1 to 65536")
        if self.shard_tokens <= 0:
            raise ValueError(f"shard_tokens={self.shard_tokens}: must be positive")


def prepare(
    documents: Iterable[str],
    output: Path,
    settings: PrepareSettings,
    *,
    name: str | None = None,
    source: str = "documents of the user",
    force: bool = False,
    log: Log = lambda line: None,
) -> dict[str, Any]:
    """Write tokenizer, shards, split.json and manifest into a folder, and return the manifest.

    `name` (the folder's by default) and `source` tell an audit which data these are. `documents` is iterated twice if a
    tokenizer is trained. ValueError if the folder has anything in it and `force` is
    off, if a split stays empty, or if the text does not make such a tokenizer.
    """
    _refuse_occupied(output, force)
    output.mkdir(parents=True, exist_ok=True)
    for leftover in output.glob(f"{PARTIAL_PREFIX}*"):
        shutil.rmtree(leftover)
    partial = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=output))
    try:
        processor = _make_tokenizer(documents, settings, log)
        (partial / TOKENIZER).write_bytes(processor.serialized_model_proto())
        splits = _write_splits(documents, processor, settings, partial, log)
        manifest = _describe(processor, settings, splits, partial)
        split = _describe_validation(manifest, splits["val"], name or output.absolute().name, source)
        (partial / SPLIT).write_text(json.dumps(split, indent=2) + "\n", encoding="utf-8")
        _install(partial, output, manifest)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def document_key(text: str) -> bytes:
    """The same 32 bytes for documents that are the same to a reader: SHA-256 after NFKC and one space for many."""
    return hashlib.sha256(" ".join(unicodedata.normalize("NFKC", text).split()).encode()).digest()


def is_validation(text: str, val_fraction: float) -> bool:
    """Does this document belong to the validation split? Depends on its text alone."""
    return int.from_bytes(document_key(text)[:8], "big") < val_fraction * 2**64


def _refuse_occupied(output: Path, force: bool) -> None:
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: is a file, not a folder")
    if force or not output.exists():
        return
    occupied = [path.name for path in sorted(output.iterdir()) if not path.name.startswith(PARTIAL_PREFIX)]
    if occupied:
        raise ValueError(f"{output}: not empty, has {occupied[0]}; --force replaces shards, tokenizer and manifest")


def _make_tokenizer(documents: Iterable[str], settings: PrepareSettings, log: Log) -> sentencepiece.SentencePieceProcessor:
    if settings.tokenizer is not None:
        processor = load_tokenizer(settings.tokenizer)
        if processor.bos_id() < 0:
            raise ValueError(f"{settings.tokenizer}: has no token that starts a document")
        if processor.vocab_size() > 2**16:
            raise ValueError(f"{settings.tokenizer}: {processor.vocab_size()} tokens do not fit the 16 bits of a shard")
        return processor
    log(f"tokenizer: training {settings.vocab_size} pieces")
    training_texts = (text for text in documents if not is_validation(text, settings.val_fraction))
    return train_tokenizer(training_texts, settings.vocab_size, settings.normalization)


def train_tokenizer(texts: Iterable[str], vocab_size: int, normalization: str) -> sentencepiece.SentencePieceProcessor:
    """A byte-pair tokenizer with byte fallback, from the first 64 MB of lines; ValueError if the text is too small."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_tokenizer_lines(texts),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=0.999,
            byte_fallback=True,
            split_digits=True,
            add_dummy_prefix=False,
            pad_id=0,
            bos_id=1,
            eos_id=2,
            unk_id=3,
            hard_vocab_limit=False,
            max_sentence_length=2**30,
            num_threads=1,
            minloglevel=2,
            **NORMALIZATION[normalization],
        )
    except RuntimeError as error:
        reason = str(error).rpartition("] ")[2] or "no text to learn from"
        raise ValueError(f"no tokenizer with vocab_size={vocab_size} from this text: {reason}") from error
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    if processor.vocab_size() < vocab_size:
        raise ValueError(f"vocab_size={vocab_size}: this text makes no more than {processor.vocab_size()} pieces")
    return processor


def _tokenizer_lines(texts: Iterable[str]) -> Iterator[str]:
    """Lines, since SentencePiece learns within lines, and no zero bytes, at which it would stop."""
    num_bytes = 0
    for text in texts:
        for line in text.replace("\0", " ").splitlines():
            if num_bytes > TOKENIZER_TEXT_BYTES:
                return
            num_bytes += len(line.encode())
            yield line


@dataclass(kw_only=True)
class _Split:
    """One split while it is written: full shards go to disk, the rest waits."""

    folder: Path
    pattern: str
    shard_tokens: int
    num_documents: int = 0
    num_tokens: int = 0
    text_bytes: int = 0
    counted_bytes: int = 0
    is_exact: bool = True
    decoded_bytes: int = 0  # of the validation split only
    shards: list[dict[str, Any]] = field(default_factory=list)
    _waiting: list[Tokens] = field(default_factory=list)
    _num_waiting: int = 0

    def add(self, text: str, tokens: Tokens, table: ByteTable) -> None:
        self.num_documents += 1
        self.num_tokens += len(tokens)
        self.text_bytes += len(text.encode())
        previous, target = (torch.from_numpy(part.astype(np.int64)) for part in (tokens[:-1], tokens[1:]))
        self.counted_bytes += int(table.count(previous, target).sum())
        self._waiting.append(tokens)
        self._num_waiting += len(tokens)
        while self._num_waiting >= self.shard_tokens:
            self._write(self.shard_tokens)

    def finish(self) -> None:
        if self._num_waiting:
            self._write(self._num_waiting)

    def _write(self, num_tokens: int) -> None:
        tokens = np.concatenate(self._waiting)
        path = self.folder / self.pattern.replace("*", f"{len(self.shards):06d}")
        write_shard(path, tokens[:num_tokens])
        self._waiting, self._num_waiting = [tokens[num_tokens:]], len(tokens) - num_tokens
        self.shards.append({"file": path.name, "num_tokens": num_tokens, "sha256": file_sha256(path)})


def _write_splits(
    documents: Iterable[str],
    processor: sentencepiece.SentencePieceProcessor,
    settings: PrepareSettings,
    folder: Path,
    log: Log,
) -> dict[str, _Split]:
    splits = {
        name: _Split(folder=folder, pattern=pattern, shard_tokens=settings.shard_tokens)
        for name, pattern in (("train", TRAIN_GLOB), ("val", VAL_GLOB))
    }
    table = byte_table(processor)
    bos = np.array([processor.bos_id()], dtype=np.uint16)
    remaining, last_log = iter(documents), time.monotonic()
    while batch := list(islice(remaining, BATCH_DOCUMENTS)):
        for text, tokens in zip(batch, processor.encode(batch, num_threads=os.cpu_count() or 1), strict=True):
            split = splits["val" if is_validation(text, settings.val_fraction) else "train"]
            split.add(text, np.concatenate((bos, np.array(tokens, dtype=np.uint16))), table)
            if split is splits["val"]:
                decoded = processor.decode(tokens)
                split.is_exact &= decoded == text
                split.decoded_bytes += len(decoded.encode())
        if time.monotonic() - last_log > PROGRESS_SECONDS:
            last_log = time.monotonic()
            log(_progress(splits))
    for name, split in splits.items():
        split.finish()
        if split.num_documents == 0:
            raise ValueError(f"the {name} split has no document; more documents, or another val_fraction, are needed")
    log(_progress(splits))
    return splits


def _progress(splits: dict[str, _Split]) -> str:
    return ", ".join(f"{name}: {s.num_documents:,} documents, {s.num_tokens:,} tokens" for name, s in splits.items())


def _describe(
    processor: sentencepiece.SentencePieceProcessor,
    settings: PrepareSettings,
    splits: dict[str, _Split],
    folder: Path,
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "tokenizer": {
            "file": TOKENIZER,
            "sha256": file_sha256(folder / TOKENIZER),
            "vocab_size": processor.vocab_size(),
            "bos_token_id": processor.bos_id(),
            "trained_with": None if settings.tokenizer else {"normalization": settings.normalization, "split": "train"},
        },
        "split_by": {"method": "sha256 of the text after NFKC and white space", "val_fraction": settings.val_fraction},
        "decodes_exactly": splits["val"].is_exact,
        "splits": {
            name: {
                "num_documents": split.num_documents,
                "num_tokens": split.num_tokens,
                "text_bytes": split.text_bytes,
                "counted_bytes": split.counted_bytes,
                "shards": split.shards,
            }
            for name, split in splits.items()
        },
    }


def _describe_validation(manifest: dict[str, Any], split: _Split, name: str, source: str) -> dict[str, Any]:
    """The validation split as an audit is told of it. Its bytes are those of the decoded text, not of the byte table."""
    tokenizer = {key: manifest["tokenizer"][key] for key in ("sha256", "vocab_size")}
    return {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "num_documents": split.num_documents,
        "num_tokens": split.num_tokens,
        "num_bytes": split.decoded_bytes,
        "tokenizer": tokenizer,
        "source": source,
    }


def _install(partial: Path, output: Path, manifest: dict[str, Any]) -> None:
    """Move complete files into place. Without its manifest, the folder is known to be in between."""
    (output / MANIFEST).unlink(missing_ok=True)
    new = {path.name for path in partial.iterdir()}
    for name in sorted(new):
        os.replace(partial / name, output / name)
    for pattern in (TRAIN_GLOB, VAL_GLOB):
        for stale in output.glob(pattern):
            if stale.name not in new:
                stale.unlink()
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    os.replace(partial / MANIFEST, output / MANIFEST)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
