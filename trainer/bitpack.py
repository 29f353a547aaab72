"""Integer codes of k bits (k = 2 to 8) as bytes, in the layouts that the artifact chooses from.

``PACKED`` stores k bits per code: the least that a store without an entropy coder needs. ``ROWS`` and ``COLUMNS`` spend a
whole byte per code and leave the shortening to the compressor: its entropy coder then sees one code per symbol, whereas
dense packing smears each code over two bytes and hides the distribution. Which one wins depends on k and on the
weights, so `artifact` measures; the figures are in docs/artifact.md. Split planes of bits were measured too and lost to
whole bytes, so they are not here.

Not covered: entropy coding itself (the compressors do that), and unsigned codes.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

MIN_BITS, MAX_BITS = 2, 8
_LANES = 8  # that many codes of k bits fill k bytes exactly, and fit into one 64-bit word

Codes = NDArray[np.int8]


class Layout(StrEnum):
    """How the codes of one matrix are laid out as bytes."""

    ROWS = "rows"  # one byte per code, row after row
    COLUMNS = "columns"  # one byte per code, column after column
    PACKED = "packed"  # k bits per code, row after row


def code_range(bits: int) -> tuple[int, int]:
    """Least and greatest signed code of `bits` bits; ValueError for a width that is not covered."""
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError(f"codes of {bits} bits: from {MIN_BITS} to {MAX_BITS} are covered")
    half = 1 << (bits - 1)
    return -half, half - 1


def num_packed_bytes(num_codes: int, bits: int) -> int:
    """Bytes that `num_codes` codes take, densely packed."""
    return (num_codes * bits + 7) // 8


def pack(codes: Codes, bits: int) -> bytes:
    """Codes of any shape, row after row, k bits each, lowest bits first; ValueError if one needs more than `bits` bits."""
    low = _checked(codes, bits)
    words = np.zeros(-(-codes.size // _LANES), dtype="<u8")
    unsigned = (codes.reshape(-1).astype(np.int16) - low).astype(np.uint8)
    for lane in range(_LANES):
        in_lane = unsigned[lane::_LANES]
        words[: in_lane.size] |= in_lane.astype("<u8") << np.uint64(bits * lane)
    packed = words.view(np.uint8).reshape(-1, 8)[:, :bits]
    return packed.tobytes()[: num_packed_bytes(codes.size, bits)]


def unpack(data: bytes, num_codes: int, bits: int) -> Codes:
    """The inverse of `pack`, as a flat array; ValueError if `data` is not as long as `num_codes` codes are."""
    low, _ = code_range(bits)
    if len(data) != num_packed_bytes(num_codes, bits):
        raise ValueError(f"{len(data)} bytes for {num_codes} codes of {bits} bits")
    num_words = -(-num_codes // _LANES)
    octets = np.zeros((num_words, 8), dtype=np.uint8)
    padded = data.ljust(num_words * bits, b"\0")
    octets[:, :bits] = np.frombuffer(padded, dtype=np.uint8).reshape(-1, bits)
    words = octets.view("<u8").reshape(-1)
    codes = np.empty((num_words, _LANES), dtype=np.int8)
    mask = np.uint64((1 << bits) - 1)
    for lane in range(_LANES):
        codes[:, lane] = ((words >> np.uint64(bits * lane)) & mask).astype(np.int16) + low
    return codes.reshape(-1)[:num_codes]


def encode(codes_OI: Codes, bits: int, layout: Layout) -> bytes:
    """A matrix of codes as bytes in `layout`; ValueError if a code does not fit into `bits` bits."""
    if layout is Layout.PACKED:
        return pack(codes_OI, bits)
    _checked(codes_OI, bits)
    return codes_OI.tobytes(order="F" if layout is Layout.COLUMNS else "C")


def decode(data: bytes, shape: tuple[int, int], bits: int, layout: Layout) -> Codes:
    """The inverse of `encode`; ValueError if `data` has another length than `shape` asks, or holds codes out of range."""
    num_rows, num_columns = shape
    if layout is Layout.PACKED:
        return unpack(data, num_rows * num_columns, bits).reshape(shape)
    if len(data) != num_rows * num_columns:
        raise ValueError(f"{len(data)} bytes for a matrix of {num_rows} x {num_columns} codes, one byte each")
    flat = np.frombuffer(data, dtype=np.int8)
    codes = flat.reshape(num_columns, num_rows).T if layout is Layout.COLUMNS else flat.reshape(shape)
    _checked(codes, bits)
    return np.array(codes, order="C")  # a copy that may be written to


def num_encoded_bytes(num_codes: int, bits: int, layout: Layout) -> int:
    """Bytes that `encode` makes of so many codes."""
    return num_packed_bytes(num_codes, bits) if layout is Layout.PACKED else num_codes


def _checked(codes: Codes, bits: int) -> int:
    """The least code of `bits` bits, once every code is known to be in range."""
    low, high = code_range(bits)
    if codes.size and (int(codes.min()) < low or int(codes.max()) > high):
        raise ValueError(f"codes from {codes.min()} to {codes.max()} do not fit into {bits} bits ({low} to {high})")
    return low
