"""An entropy coder for quantised weights: what general compressors lose on them, about one to three per cent, is kept.

A code's distribution is nearly a bell around zero whose width depends on its row (how far the row's largest weight stands
out) and on its column (how much that input is used). General compressors see one stream of bytes and spend whole bits per
symbol. Here every row and every column gets a class, a quarter octave of its width; the sum of both is the context of a
code, and each context has its own table of frequencies, counted over all matrices of one width. With its table each code is
written by rANS (Duda, arXiv 1311.2540), which spends fractions of bits.

Classes and tables are small and go to the general compressor; the coded words are noise and are stored as they are. Many
lanes, each a coder of its own, advance together, so that numpy does one step for a thousand codes.

Decoding trusts nothing: tables that do not add up, classes without a table and words that are missing or left over are a
ValueError. Not covered: adapting while coding; it would save the classes and cost a loop over single codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.bitpack import Codes, code_range

PROBABILITY_BITS = 14  # frequencies of a table add up to this power of two
_WORD_BITS = 16
_LEAST_STATE = 1 << _WORD_BITS  # a lane's state stays in [2^16, 2^32)
_MAX_LANES = 1024
_CODES_PER_LANE = 4096  # at least: a lane costs four bytes of final state
CLASSES_PER_OCTAVE = 4
NUM_CONTEXTS = 48
_CENTRE = 16  # context of a row of width 1 in a column like the others

Octets = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CodedGroup:
    """Matrices of one width, coded. `side` is for a compressor: classes and tables; `words` is noise."""

    side: bytes
    words: bytes


def num_lanes(num_codes: int) -> int:
    """How many coders run side by side."""
    return max(1, min(_MAX_LANES, num_codes // _CODES_PER_LANE))


def encode_group(matrices: Sequence[Codes], bits: int) -> CodedGroup:
    """Code matrices of shape (O, I) each, all of one width."""
    low, high = code_range(bits)
    classes = [_classes(matrix_OI) for matrix_OI in matrices]
    symbols = np.concatenate([(matrix.astype(np.int16) - low).astype(np.uint8).reshape(-1) for matrix in matrices])
    contexts = np.concatenate([_contexts(rows, columns) for rows, columns in classes])
    num_symbols = high - low + 1
    counts = np.bincount(contexts.astype(np.int32) * num_symbols + symbols, minlength=NUM_CONTEXTS * num_symbols)
    tables = np.stack([_to_frequencies(row) for row in counts.reshape(NUM_CONTEXTS, num_symbols)])
    side = b"".join(part.tobytes() for pair in classes for part in pair) + _planes(tables)
    return CodedGroup(side, _encode(symbols, contexts, tables))


def num_side_bytes(shapes: Sequence[tuple[int, int]], bits: int) -> int:
    """Length of the side information of matrices of these shapes."""
    return sum(rows + columns for rows, columns in shapes) + NUM_CONTEXTS * (1 << bits) * 2


def decode_group(coded: CodedGroup, shapes: Sequence[tuple[int, int]], bits: int) -> list[Codes]:
    """The inverse of `encode_group`; ValueError for anything that it cannot have made."""
    if len(coded.side) != num_side_bytes(shapes, bits):
        raise ValueError(f"{len(coded.side)} bytes of classes and tables, expected {num_side_bytes(shapes, bits)}")
    octets = np.frombuffer(coded.side, dtype=np.uint8)
    ends = np.cumsum([size for shape in shapes for size in shape])
    *classes, planes = np.split(octets, ends)
    tables = planes.reshape(2, -1).T.copy().view("<u2").reshape(NUM_CONTEXTS, 1 << bits)
    sums = tables.sum(axis=1, dtype=np.int64)
    if not np.isin(sums, (0, 1 << PROBABILITY_BITS)).all():
        raise ValueError("a table of frequencies that do not add up")
    contexts = [_contexts(rows, columns) for rows, columns in zip(classes[::2], classes[1::2], strict=True)]
    flat = np.concatenate(contexts)
    if not sums[np.unique(flat)].all():
        raise ValueError("a class of rows and columns that has no table")
    low, _ = code_range(bits)
    codes = (_decode(coded.words, flat, tables).astype(np.int16) + low).astype(np.int8)
    parts = np.split(codes, np.cumsum([rows * columns for rows, columns in shapes])[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


# ---- the model: which context a code is in ----


def _classes(codes_OI: Codes) -> tuple[Octets, Octets]:
    """Class of each row (its width) and of each column (its width relative to the rows'), as octets."""
    squares_OI = codes_OI.astype(np.float32) ** 2
    row_squares_O = squares_OI.mean(axis=1) if codes_OI.size else np.zeros(len(codes_OI), np.float32)
    relative_OI = squares_OI / np.maximum(row_squares_O, 1e-12)[:, None]
    column_squares_I = relative_OI.mean(axis=0) if codes_OI.size else np.zeros(codes_OI.shape[1], np.float32)
    return _to_class(row_squares_O), _to_class(column_squares_I)


def _to_class(mean_squares: NDArray[np.float32]) -> Octets:
    octaves = 0.5 * np.log2(np.maximum(mean_squares, 1e-6))
    return (np.clip(np.rint(CLASSES_PER_OCTAVE * octaves), -_CENTRE, NUM_CONTEXTS) + _CENTRE).astype(np.uint8)


def _contexts(rows_O: Octets, columns_I: Octets) -> Octets:
    """Context of each code of a matrix, flat."""
    sums = rows_O[:, None].astype(np.int16) + columns_I[None, :] - _CENTRE
    contexts: Octets = np.clip(sums, 0, NUM_CONTEXTS - 1).astype(np.uint8).reshape(-1)
    return contexts


def _to_frequencies(counts: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Counts scaled to a sum of 2^14, at least 1 for whatever occurs; zeros if nothing does."""
    total = int(counts.sum())
    if total == 0:
        return np.zeros(len(counts), dtype="<u2")
    occurs = counts > 0
    spare = (1 << PROBABILITY_BITS) - int(occurs.sum())
    frequencies = counts * spare // total + occurs
    frequencies[np.argmax(counts)] += (1 << PROBABILITY_BITS) - int(frequencies.sum())
    return frequencies.astype("<u2")


def _planes(tables: NDArray[np.uint16]) -> bytes:
    return tables.astype("<u2").reshape(-1, 1).view(np.uint8).tobytes(order="F")


# ---- the coder ----


def _starts(tables: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """Where each symbol's interval of its table begins."""
    wide = tables.astype(np.uint64)
    return np.cumsum(wide, axis=1) - wide


def _encode(symbols: Octets, contexts: Octets, tables: NDArray[np.uint16]) -> bytes:
    """Final states (4 bytes per lane), then words of 2 bytes, in the order in which `_decode` takes them."""
    lanes = num_lanes(len(symbols))
    frequencies, starts = tables.astype(np.uint64), _starts(tables)
    states = np.full(lanes, _LEAST_STATE, dtype=np.uint64)
    chunks = []
    for first in range((len(symbols) - 1) // lanes * lanes, -1, -lanes):
        symbol, context = symbols[first : first + lanes], contexts[first : first + lanes]
        f, c = frequencies[context, symbol], starts[context, symbol]
        x = states[: len(symbol)]
        is_full = x >= f << np.uint64(32 - PROBABILITY_BITS)
        chunks.append((x[is_full] & np.uint64(0xFFFF)).astype("<u2"))
        x = np.where(is_full, x >> np.uint64(_WORD_BITS), x)
        states[: len(symbol)] = ((x // f) << np.uint64(PROBABILITY_BITS)) + x % f + c
    return states.astype("<u4").tobytes() + b"".join(chunk.tobytes() for chunk in reversed(chunks))


def _decode(data: bytes, contexts: Octets, tables: NDArray[np.uint16]) -> Octets:
    """The symbols, flat; ValueError unless every word is used and every lane ends where the coder began."""
    lanes = num_lanes(len(contexts))
    if len(data) < 4 * lanes or len(data) % 2:
        raise ValueError(f"{len(data)} bytes of coded words, in {lanes} lanes")
    states = np.frombuffer(data, dtype="<u4", count=lanes).astype(np.uint64)
    words = np.frombuffer(data, dtype="<u2", offset=4 * lanes).astype(np.uint64)
    symbol_at = _symbols_by_slot(tables)
    frequencies, starts = tables.astype(np.uint64), _starts(tables)
    symbols = np.empty(len(contexts), dtype=np.uint8)
    used = 0
    for first in range(0, len(contexts), lanes):
        context = contexts[first : first + lanes]
        x = states[: len(context)]
        slot = x & np.uint64((1 << PROBABILITY_BITS) - 1)
        symbol = symbol_at[context, slot]
        x = frequencies[context, symbol] * (x >> np.uint64(PROBABILITY_BITS)) + slot - starts[context, symbol]
        is_short = x < _LEAST_STATE
        num_short = int(np.count_nonzero(is_short))
        if used + num_short > len(words):
            raise ValueError("coded words are missing")
        x[is_short] = (x[is_short] << np.uint64(_WORD_BITS)) | words[used : used + num_short]
        used += num_short
        states[: len(context)] = x
        symbols[first : first + lanes] = symbol
    if used != len(words) or not (states == _LEAST_STATE).all():
        raise ValueError("coded words that do not end where they should")
    return symbols


def _symbols_by_slot(tables: NDArray[np.uint16]) -> Octets:
    """(context, slot) to symbol; rows of contexts without a table are zero and never looked up."""
    by_slot = np.zeros((len(tables), 1 << PROBABILITY_BITS), dtype=np.uint8)
    all_symbols = np.arange(tables.shape[1], dtype=np.uint8)
    for context, frequencies in enumerate(tables):
        if frequencies.any():
            by_slot[context] = np.repeat(all_symbols, frequencies)
    return by_slot
