"""How many bytes of text each token stands for: the denominator of bits per byte.

A SentencePiece piece writes a space as U+2581. Three kinds of models differ in what becomes of the first space of a
document: a model that strips it when decoding (dummy prefix, or removal of extra whitespace, as in the published
tokenizers) counts a piece's leading space only if the token before is not a boundary, once, when tokens are counted in
their order; a model that keeps it counts the space with the piece. Which kind it is, the model is asked by decoding one
space. A byte piece is one byte. Control, unknown and unused tokens are boundaries and stand for no text.

The counts of a document's tokens add up to the bytes of their decoded text; the tests hold this for several kinds of
models. A vocabulary without a piece for a single space is refused: it spells a space as three bytes of U+2581, which
makes every text longer than it is. Not covered: text that itself contains U+2581 at the start of a document, which
SentencePiece cannot tell from a space; transforms that need a separate count of bytes beside the tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sentencepiece
import torch
from torch import Tensor

SPACE = "\u2581"


@dataclass(frozen=True, eq=False, kw_only=True)
class ByteTable:
    """Bytes per token of one vocabulary; three tensors of length V on one device."""

    base_bytes: Tensor  # int64: bytes without a leading space that may be stripped
    has_leading_space: Tensor  # bool: one byte more unless the token before is a boundary
    is_boundary: Tensor  # bool: stands for no text
    bos_token_id: int  # starts a document

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return len(self.base_bytes)

    def to(self, device: torch.device | str) -> ByteTable:
        """The same table on another device."""
        return ByteTable(
            base_bytes=self.base_bytes.to(device),
            has_leading_space=self.has_leading_space.to(device),
            is_boundary=self.is_boundary.to(device),
            bos_token_id=self.bos_token_id,
        )

    def count(self, previous: Tensor, target: Tensor) -> Tensor:
        """Bytes of each target token, given the token before it; int64, the shape of both."""
        return self.base_bytes[target] + (self.has_leading_space[target] & ~self.is_boundary[previous])

    def check(self, tokens: npt.NDArray[np.uint16]) -> None:
        """ValueError if these tokens are not of this vocabulary, or some of them stand for text that was lost."""
        counts = np.bincount(tokens, minlength=self.vocab_size)
        if len(counts) > self.vocab_size:
            raise ValueError(f"token {len(counts) - 1} is outside the vocabulary of {self.vocab_size}: other tokenizer?")
        lost = np.flatnonzero(counts * self.is_boundary.cpu().numpy())
        for token in lost:
            if token != self.bos_token_id:
                raise ValueError(
                    f"token {token} stands for no text and occurs {counts[token]} times: the bytes of these tokens "
                    "cannot be counted (unknown or control token)"
                )


def load_tokenizer(path: Path | str, vocab_size: int | None = None) -> sentencepiece.SentencePieceProcessor:
    """A SentencePiece model from a file; ValueError if it is none or its vocabulary has another size."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such tokenizer file")
    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(path.read_bytes())
    except RuntimeError as error:
        raise ValueError(f"{path}: not a SentencePiece model: {error}") from error
    if vocab_size is not None and processor.vocab_size() != vocab_size:
        raise ValueError(f"{path}: has {processor.vocab_size()} tokens, the settings say model.vocab_size={vocab_size}")
    return processor


def byte_table(processor: sentencepiece.SentencePieceProcessor) -> ByteTable:
    """The byte counts of a vocabulary; ValueError if it cannot spell a single space."""
    space_id = processor.piece_to_id(SPACE)
    if processor.is_unknown(space_id):
        raise ValueError("tokenizer has no piece for a single space: it would be counted as the three bytes of U+2581")
    strips_first_space = processor.decode([space_id]) == ""
    num_tokens = processor.vocab_size()
    base_bytes = torch.zeros(num_tokens, dtype=torch.int64)
    has_leading_space = torch.zeros(num_tokens, dtype=torch.bool)
    is_boundary = torch.zeros(num_tokens, dtype=torch.bool)
    for token in range(num_tokens):
        if processor.is_control(token) or processor.is_unknown(token) or processor.is_unused(token):
            is_boundary[token] = True
        elif processor.is_byte(token):
            base_bytes[token] = 1
        else:
            text = processor.id_to_piece(token).replace(SPACE, " ")
            has_leading_space[token] = strips_first_space and text.startswith(" ")
            base_bytes[token] = len(text.encode()) - int(has_leading_space[token])
    return ByteTable(
        base_bytes=base_bytes,
        has_leading_space=has_leading_space,
        is_boundary=is_boundary,
        bos_token_id=processor.bos_id(),
    )
