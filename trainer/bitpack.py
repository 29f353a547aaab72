"""Integer codes of k bits (k = 2 to 8), densely packed into bytes and back, for whole arrays at once.

Eight codes of k bits fill k bytes exactly and fit into one 64-bit word, so packing is eight shifts over an eighth of the
codes. Dense packing is the least that a store without an entropy coder needs; under a general compressor it is worse than a
byte per code, since it smears each code over two bytes and hides their distribution (figures in docs/artifact.md).

Not covered: entropy coding (entropy.py), and unsigned codes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_BITS, MAX_BITS = 2, 8
_LANES = 8

Codes = NDArray[np.int8]


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
    low = require_range(codes, bits)
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


def require_range(codes: Codes, bits: int) -> int:
    """The least code of `bits` bits; ValueError if a code is out of their range."""
    low, high = code_range(bits)
    if codes.size and (int(codes.min()) < low or int(codes.max()) > high):
        raise ValueError(f"codes from {codes.min()} to {codes.max()} do not fit into {bits} bits ({low} to {high})")
    return low
