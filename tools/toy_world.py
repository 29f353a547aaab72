"""A toy world in the challenge's layout: shards, and a SentencePiece tokenizer, small enough for a CPU.

``python -m tools.toy_world TARGET`` writes ``data/datasets/toy/fineweb_{train,val}_*.bin`` (256 little-endian int32
of header, then uint16 tokens) and ``data/tokenizers/toy.model`` below TARGET. Everything follows from fixed seeds, so
that runs can be compared. The text is nonsense with some order in it: words follow each other by habit, documents begin
with BOS, and now and then a character stands as its bytes. The tokenizer's file is written by hand, in SentencePiece's
own format; nothing is trained, so it decodes and tells pieces, but does not encode.
"""

from __future__ import annotations

import argparse
import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

MAGIC, VERSION, HEADER_INTS = 20240520, 1, 256
SPECIAL = (("<pad>", 3), ("<s>", 3), ("</s>", 3), ("<unk>", 2))  # SentencePiece's types: 2 unknown, 3 control
NORMAL, BYTE = 1, 6
BOS_ID = 1
SPACE = "\u2581"
_SYLLABLES = ("ka", "lo", "mi", "ren", "su", "ta", "vi", "no")
_ENDINGS = ("s", "ed", "ing", "ly", ".", ",")
_NUM_HABITS = 3  # words that usually follow a word
_BYTE_SHARE, _ENDING_SHARE = 0.02, 0.25


def pieces() -> list[tuple[str, int]]:
    """The vocabulary: specials, 256 bytes, words with a leading space, and endings without."""
    words = [SPACE + first + second for first in _SYLLABLES for second in _SYLLABLES]
    bytes_ = [(f"<0x{value:02X}>", BYTE) for value in range(256)]
    return [*SPECIAL, *bytes_, *((piece, NORMAL) for piece in (*words, *_ENDINGS))]


def document(generator: random.Random, num_words: int) -> Iterator[int]:
    """The tokens of one document, BOS first."""
    first_byte = len(SPECIAL)
    first_word = first_byte + 256
    num_kinds = len(_SYLLABLES) ** 2
    word = generator.randrange(num_kinds)
    yield BOS_ID
    for _ in range(num_words):
        yield first_word + word
        if generator.random() < _ENDING_SHARE:
            yield first_word + num_kinds + (word + generator.randrange(2)) % len(_ENDINGS)
        if generator.random() < _BYTE_SHARE:
            yield from (first_byte + value for value in "\u00e9".encode())
        word = (word * 5 + 7 * generator.randrange(_NUM_HABITS)) % num_kinds


def tokens(seed: int, num_documents: int) -> list[int]:
    """The tokens of so many documents."""
    generator = random.Random(seed)
    return [token for _ in range(num_documents) for token in document(generator, generator.randrange(8, 40))]


def shard(values: Sequence[int]) -> bytes:
    """A shard file's content."""
    header = [MAGIC, VERSION, len(values)] + [0] * (HEADER_INTS - 3)
    return struct.pack(f"<{HEADER_INTS}i", *header) + struct.pack(f"<{len(values)}H", *values)


def tokenizer_model(vocabulary: Iterable[tuple[str, int]]) -> bytes:
    """A SentencePiece model file (BPE, byte fallback) that holds the pieces."""
    held = b"".join(_field(1, _piece(piece, -float(index), kind)) for index, (piece, kind) in enumerate(vocabulary))
    trainer = _number(3, 2) + _number(35, 1) + _number(40, 3) + _number(41, 1) + _number(42, 2) + _number(43, 0)
    normalizer = _field(1, b"identity") + _number(3, 1) + _number(4, 0) + _number(5, 1)
    return held + _field(2, trainer) + _field(3, normalizer)


def _piece(piece: str, score: float, kind: int) -> bytes:
    return _field(1, piece.encode()) + b"\x15" + struct.pack("<f", score) + _number(3, kind)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def write_world(target: Path, num_train_documents: int = 240, num_val_documents: int = 40) -> None:
    """Write the shards (two for training, one for validation) and the tokenizer."""
    datasets, tokenizers = target / "data/datasets/toy", target / "data/tokenizers"
    datasets.mkdir(parents=True, exist_ok=True)
    tokenizers.mkdir(parents=True, exist_ok=True)
    for index in range(2):
        content = shard(tokens(seed=index + 1, num_documents=num_train_documents // 2))
        (datasets / f"fineweb_train_{index:06d}.bin").write_bytes(content)
    (datasets / "fineweb_val_000000.bin").write_bytes(shard(tokens(seed=0, num_documents=num_val_documents)))
    (tokenizers / "toy.model").write_bytes(tokenizer_model(pieces()))


def main(argv: Sequence[str] | None = None) -> int:
    """Write the toy world below a folder."""
    parser = argparse.ArgumentParser(description="Write toy shards and a toy tokenizer in the challenge's layout.")
    parser.add_argument("target", type=Path)
    write_world(parser.parse_args(argv).target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
