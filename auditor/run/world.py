"""A toy world in the challenge's layout: shards, tokenizers and byte side-cars, small enough for a CPU.

Everything follows from fixed seeds, nothing is downloaded and no text of the machine is used: documents are nonsense with
some order in it (words follow each other by habit), begin with BOS, and now and then hold a character as its bytes. Every
run of `GRAM` tokens within the validation stream occurs there once and in no training shard, so that whoever sees some
tokens can tell where they come from. The tokenizer's file is written by hand, in SentencePiece's own format; for the
vocabulary of plain bytes (260) it is the challenge's JSON, and the documents' words are spelled.

Not covered: the case transform of CaseOps layouts (their side-car counts plain bytes).
"""

from __future__ import annotations

import json
import os
import random
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MAGIC, VERSION, HEADER_INTS = 20240520, 1, 256  # the challenge's shard format
SPECIAL = (("<pad>", 3), ("<s>", 3), ("</s>", 3), ("<unk>", 2))  # SentencePiece's types: 2 unknown, 3 control
NORMAL, BYTE = 1, 6
BOS_ID = 1
SPACE = "\u2581"
GRAM = 8  # tokens; see the module's docstring
VOCABULARIES = (1024, 4096, 8192)
NUM_TRAIN_SHARDS, TRAIN_SHARD_DOCUMENTS, VAL_DOCUMENTS = 2, 260, 40
_REVISION = 4  # of what is generated; part of the cache's name
_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_TRAINING_SEED, _OTHER_SEED = 1, 101
_NUM_ENDINGS = 24
_NUM_HABITS = 3  # words that usually follow a word
_BYTE_SHARE, _ENDING_SHARE = 0.02, 0.2
_FIRST_BYTE = len(SPECIAL)
_FIRST_WORD = _FIRST_BYTE + 256
BYTE_VOCABULARY = _FIRST_WORD  # has no words
_SPELLED_VOCABULARY = 1024  # whose documents are spelled as bytes
_DOCUMENT_WORDS, _SPELLED_WORDS = (40, 280), (10, 70)


@dataclass(frozen=True, slots=True)
class World:
    """Where the toy world of one vocabulary lies; `folder` holds ``data/``."""

    folder: Path
    vocab_size: int
    has_sidecar: bool

    @property
    def dataset(self) -> str:
        """The folder of the shards, relative to the work folder."""
        kind = "byte" if self.vocab_size == BYTE_VOCABULARY else "sp"
        return f"data/datasets/fineweb10B_{kind}{self.vocab_size}"

    @property
    def tokenizer(self) -> str:
        """The tokenizer's file, relative to the work folder."""
        if self.vocab_size == BYTE_VOCABULARY:
            return f"data/tokenizers/fineweb_pure_byte_{self.vocab_size}.json"
        return f"data/tokenizers/fineweb_{self.vocab_size}_bpe.model"

    def validation(self) -> list[int]:
        """The validation stream."""
        return read_shard((self.folder / self.dataset / "fineweb_val_000000.bin").read_bytes())

    def other_training(self) -> list[list[int]]:
        """Training shards with other documents, which share no run of tokens with the validation stream either."""
        validation = self.validation()
        taken = {tuple(validation[at : at + GRAM]) for at in range(len(validation) - GRAM + 1)}
        return _training(self.vocab_size, _OTHER_SEED, taken)

    def unlike(self, token: int) -> range:
        """Tokens that differ from one in kind (begins a word or does not) and lie in the other half of the vocabulary.

        What depends on a token's class then moves when the token is replaced, not only what depends on the very token.
        """
        endings, middle = self.vocab_size - _NUM_ENDINGS, self.vocab_size // 2
        if self.vocab_size == BYTE_VOCABULARY:
            return range(middle, self.vocab_size) if token < middle else range(_FIRST_BYTE, middle)
        if _FIRST_WORD <= token < endings:
            return range(_FIRST_BYTE, _FIRST_WORD) if token >= middle else range(endings, self.vocab_size)
        return (
            range(max(middle, _FIRST_WORD), endings) if token < middle else range(_FIRST_WORD, max(middle, _FIRST_WORD + 1))
        )

    def spell(self, tokens: Sequence[int]) -> list[bytes]:
        """The bytes that each token of a stream stands for."""
        return spell(tokens, pieces(self.vocab_size))

    def count_bytes(self, tokens: Sequence[int]) -> list[int]:
        """Bytes that each token of a stream stands for."""
        return count_bytes(tokens, pieces(self.vocab_size))


def pieces(vocab_size: int) -> list[tuple[str, int]]:
    """The vocabulary: specials, 256 bytes, words with a leading space, and endings without; `vocab_size` in all."""
    held = [*SPECIAL, *((f"<0x{value:02X}>", BYTE) for value in range(256))]
    if vocab_size == BYTE_VOCABULARY:
        return held
    syllables = [first + second for first in _CONSONANTS for second in _VOWELS]
    num_words = vocab_size - _FIRST_WORD - _NUM_ENDINGS
    words = [SPACE, *(SPACE + first + second for first in syllables for second in ["", *syllables])]
    words += [SPACE + first + second + last for last in "xw" for first in syllables for second in syllables]
    if num_words < 1 or num_words > len(words):
        most = _FIRST_WORD + _NUM_ENDINGS + len(words)
        raise ValueError(f"vocabulary of {vocab_size}: the toy world makes {BYTE_VOCABULARY}, or 285 to {most} pieces")
    endings = [consonant + vowel + "q" for consonant in _CONSONANTS for vowel in _VOWELS][:_NUM_ENDINGS]
    return [*held, *((piece, NORMAL) for piece in (*words[:num_words], *endings))]


def spell(tokens: Sequence[int], vocabulary: Sequence[tuple[str, int]]) -> list[bytes]:
    """The bytes of each token of a stream, as the challenge counts: a leading space only after what is no control token."""
    own = [_bytes_of(piece, kind) for piece, kind in vocabulary]
    spaced = [kind == NORMAL and piece.startswith(SPACE) for piece, kind in vocabulary]
    is_text = [kind in (NORMAL, BYTE) for _, kind in vocabulary]
    before = [BOS_ID, *tokens]
    return [b" " * (spaced[token] and is_text[last]) + own[token] for last, token in zip(before, tokens, strict=False)]


def _bytes_of(piece: str, kind: int) -> bytes:
    if kind == BYTE:
        return bytes([int(piece[1:-1], 16)])
    return piece.removeprefix(SPACE).encode() if kind == NORMAL else b""


def count_bytes(tokens: Sequence[int], vocabulary: Sequence[tuple[str, int]]) -> list[int]:
    """How many bytes each token of a stream stands for."""
    return [len(each) for each in spell(tokens, vocabulary)]


class _Writer:
    """Writes documents none of whose runs of `GRAM` tokens is among `taken`."""

    num_words_of_a_document = _DOCUMENT_WORDS

    def __init__(self, seed: int, vocab_size: int, taken: set[tuple[int, ...]]) -> None:
        self.random = random.Random(seed)
        self.num_words = vocab_size - _FIRST_WORD - _NUM_ENDINGS
        self.taken = taken
        self.stream: list[int] = []

    def document(self) -> None:
        """Add one document, BOS first."""
        num_words = self.random.randrange(*self.num_words_of_a_document)
        self._add(BOS_ID)
        word = self.random.randrange(self.num_words)
        for _ in range(num_words):
            self._add(_FIRST_WORD + word)
            if self.random.random() < _ENDING_SHARE:
                self._add(_FIRST_WORD + self.num_words + (word + self.random.randrange(2)) % _NUM_ENDINGS)
            if self.random.random() < _BYTE_SHARE:
                for value in "\u00e9".encode():
                    self._add(_FIRST_BYTE + value)
            word = (word * 5 + 7 * self.random.randrange(_NUM_HABITS) + self.random.randrange(2)) % self.num_words

    def _add(self, token: int) -> None:
        self.stream.append(token)
        while (gram := tuple(self.stream[-GRAM:])) in self.taken:
            self.stream[-1] = self._another()
        if len(gram) == GRAM:
            self.taken.add(gram)

    def _another(self) -> int:
        return _FIRST_WORD + self.random.randrange(self.num_words)


class _Speller(_Writer):
    """Writes documents of words as their bytes."""

    num_words_of_a_document = _SPELLED_WORDS

    def __init__(self, seed: int, taken: set[tuple[int, ...]]) -> None:
        super().__init__(seed, _SPELLED_VOCABULARY, taken)
        self._pieces = pieces(_SPELLED_VOCABULARY)

    def _add(self, token: int) -> None:
        piece, kind = self._pieces[token]
        if kind != NORMAL:  # a byte or BOS has the same number in both
            super()._add(token)
        for value in piece.replace(SPACE, " ").encode() * (kind == NORMAL):
            super()._add(_FIRST_BYTE + value)

    def _another(self) -> int:
        return _FIRST_BYTE + self.random.randrange(256)


def _writer(seed: int, vocab_size: int, taken: set[tuple[int, ...]]) -> _Writer:
    return _Speller(seed, taken) if vocab_size == BYTE_VOCABULARY else _Writer(seed, vocab_size, taken)


def _training(vocab_size: int, seed: int, taken: set[tuple[int, ...]]) -> list[list[int]]:
    shards = []
    for index in range(NUM_TRAIN_SHARDS):
        writer = _writer(index + seed, vocab_size, taken)
        for _ in range(TRAIN_SHARD_DOCUMENTS):
            writer.document()
        shards.append(writer.stream)
    return shards


def streams(vocab_size: int, num_documents: int = VAL_DOCUMENTS) -> tuple[list[list[int]], list[int]]:
    """The token streams of the training shards, and of the validation split of so many documents."""
    taken: set[tuple[int, ...]] = set()
    shards = _training(vocab_size, _TRAINING_SEED, taken)
    writer = _writer(0, vocab_size, taken)
    for _ in range(num_documents):
        writer.document()
    return shards, writer.stream


def shard(values: Sequence[int]) -> bytes:
    """A shard file's content: 256 little-endian int32 of header, then uint16 values."""
    header = [MAGIC, VERSION, len(values)] + [0] * (HEADER_INTS - 3)
    return struct.pack(f"<{HEADER_INTS}i", *header) + struct.pack(f"<{len(values)}H", *values)


def write_shards(dataset: Path, split: str, streams: Iterable[Sequence[int]]) -> None:
    """Write streams below a folder as the shards of a split (`train`, `val`, or with `_bytes` their side-cars)."""
    for index, values in enumerate(streams):
        (dataset / f"fineweb_{split}_{index:06d}.bin").write_bytes(shard(values))


def read_shard(content: bytes) -> list[int]:
    """The values of a shard file. ValueError if it is none."""
    magic, _, count = struct.unpack_from("<3i", content)
    if magic != MAGIC:
        raise ValueError(f"no shard: begins with {magic}, not {MAGIC}")
    return list(struct.unpack_from(f"<{count}H", content, HEADER_INTS * 4))


def toy_world(vocab_size: int, has_sidecar: bool, cache: Path, num_documents: int = VAL_DOCUMENTS) -> World:
    """The toy world of a vocabulary below `cache`, generated on first use. ValueError for a size that cannot be made.

    A validation split of more documents begins as a shorter one does.
    """
    vocabulary = pieces(vocab_size)
    long = f"-{num_documents}" if num_documents != VAL_DOCUMENTS else ""
    name = f"world-{_REVISION}-{vocab_size}{'-bytes' * has_sidecar}{long}"
    world = World(cache / name, vocab_size, has_sidecar)
    if world.folder.is_dir():
        return world
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=f".{name}.") as made:
        target = Path(made) / "world"
        _write(World(target, vocab_size, has_sidecar), vocabulary, num_documents)
        try:
            os.rename(target, world.folder)
        except OSError:  # another process was faster, with the same content
            if not world.folder.is_dir():
                raise
    return world


def _write(world: World, vocabulary: Sequence[tuple[str, int]], num_documents: int) -> None:
    dataset, tokenizer = world.folder / world.dataset, world.folder / world.tokenizer
    dataset.mkdir(parents=True)
    tokenizer.parent.mkdir(parents=True)
    train, validation = streams(world.vocab_size, num_documents)
    write_shards(dataset, "train", train)
    write_shards(dataset, "val", [validation])
    if world.has_sidecar:
        write_shards(dataset, "train_bytes", (count_bytes(values, vocabulary) for values in train))
        write_shards(dataset, "val_bytes", [count_bytes(validation, vocabulary)])
    is_bytes = world.vocab_size == BYTE_VOCABULARY
    tokenizer.write_bytes(_byte_tokenizer() if is_bytes else tokenizer_model(vocabulary))


def _byte_tokenizer() -> bytes:
    """The file that describes the vocabulary of plain bytes."""
    config = {"pad_id": 0, "bos_id": BOS_ID, "eos_id": 2, "unk_id": 3, "byte_offset": _FIRST_BYTE, "byte_count": 256}
    return json.dumps({"tokenizer_type": "pure_byte", "config": config, "vocab_size": BYTE_VOCABULARY}).encode()


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
    return b"".join(_varint_bytes(value))


def _varint_bytes(value: int) -> Iterator[bytes]:
    while value > 0x7F:
        yield bytes([value & 0x7F | 0x80])
        value >>= 7
    yield bytes([value])
