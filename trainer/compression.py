"""The three compressors of the artifact, each at its strongest, behind one pair of functions.

Decompression is for files that may be hostile: it never produces more than the number of bytes that the caller allows, and
anything but exactly one complete stream of exactly that many bytes is a ValueError.

Not covered: streaming. A model of the contest fits into memory many times.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable
from dataclasses import dataclass

import brotli
import zstandard

ZSTD_LEVEL = 22
ZSTD_WINDOW_LOG = 27  # what level 22 uses at most; a frame that asks for more is not ours
BROTLI_QUALITY = 11
BROTLI_WINDOW_LOG = 24
# A raw stream: the .xz container would add some sixty bytes and its own checksum.
LZMA_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]


@dataclass(frozen=True, slots=True)
class Compressor:
    """A compressor. `decompress(data, num_bytes)` gives exactly `num_bytes` or raises ValueError."""

    number: int  # in the artifact's prefix
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes, int], bytes]


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data)


def _unzstd(data: bytes, num_bytes: int) -> bytes:
    try:
        announced_bytes = zstandard.get_frame_parameters(data).content_size
        if announced_bytes != num_bytes:  # the library allocates what the frame announces, so look first
            raise ValueError(f"zstd frame of {announced_bytes} bytes, expected {num_bytes}")
        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << ZSTD_WINDOW_LOG)
        return decompressor.decompress(data, max_output_size=num_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"broken zstd stream: {error}") from error


def _brotli(data: bytes) -> bytes:
    compressed: bytes = brotli.compress(data, quality=BROTLI_QUALITY, lgwin=BROTLI_WINDOW_LOG)
    return compressed


def _unbrotli(data: bytes, num_bytes: int) -> bytes:
    decompressor = brotli.Decompressor()
    try:
        raw = decompressor.process(data, output_buffer_limit=num_bytes + 1)
    except brotli.error as error:
        raise ValueError("broken brotli stream") from error
    return _complete("brotli", raw, num_bytes, decompressor.is_finished())


def _lzma(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=LZMA_FILTERS)


def _unlzma(data: bytes, num_bytes: int) -> bytes:
    decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=LZMA_FILTERS)
    try:
        raw = decompressor.decompress(data, max_length=num_bytes + 1)
        if not decompressor.eof:  # the end marker may still be to read after the last byte came out
            raw += decompressor.decompress(b"", max_length=1)
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(f"broken lzma stream: {error}") from error
    return _complete("lzma", raw, num_bytes, decompressor.eof and not decompressor.unused_data)


def _complete(name: str, raw: bytes, num_bytes: int, is_finished: bool) -> bytes:
    if len(raw) != num_bytes or not is_finished:
        raise ValueError(f"{name} stream does not end after the expected {num_bytes} bytes")
    return raw


COMPRESSORS = {
    "zstd": Compressor(1, _zstd, _unzstd),
    "brotli": Compressor(2, _brotli, _unbrotli),
    "lzma": Compressor(3, _lzma, _unlzma),
}
