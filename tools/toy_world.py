"""The toy world of the fixtures: shards and a SentencePiece tokenizer, smaller than what submissions are run on.

``python -m tools.toy_world TARGET`` writes ``data/datasets/toy/fineweb_{train,val}_*.bin`` and
``data/tokenizers/toy.model`` below TARGET. Formats are those of `auditor.run.world`; what differs is a vocabulary of 330
pieces and documents of a few words, so that a fixture's script runs in seconds. Everything follows from fixed seeds. The
text is nonsense with some order in it: words follow each other by habit, documents begin with BOS, and now and then a
character stands as its bytes.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from auditor.run.world import BOS_ID, BYTE, NORMAL, SPACE, SPECIAL, shard, tokenizer_model

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
