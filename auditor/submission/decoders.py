"""Decoders that packed scripts use, bounded in size and ratio. Every failure is a `DecodeError` with its reason."""

from __future__ import annotations

import base64
import binascii
import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping, Sequence

MAX_DECODED_BYTES = 16 * 1024 * 1024  # ours: a hundred times the largest real script
MAX_RATIO = 2000  # ours: real scripts shrink four to ten times

Filters = Sequence[Mapping[str, object]]


class DecodeError(Exception):
    """A payload could not be decoded; the message says why."""


def decompress_lzma(data: bytes, container: int = lzma.FORMAT_AUTO, filters: Filters | None = None) -> bytes:
    """xz, alone and raw LZMA streams."""
    try:
        chain = [dict(item) for item in filters] if filters is not None else None
        stream = lzma.LZMADecompressor(format=container, filters=chain)
        decoded = stream.decompress(data, MAX_DECODED_BYTES + 1)
    except (lzma.LZMAError, EOFError, ValueError, TypeError, OverflowError) as error:
        raise DecodeError(f"lzma data that cannot be decoded: {error}") from error
    return _checked("lzma", data, decoded, stream.eof or container == lzma.FORMAT_RAW)


def decompress_zlib(data: bytes, wbits: int = zlib.MAX_WBITS) -> bytes:
    """zlib, raw deflate and gzip streams, by `wbits`."""
    try:
        stream = zlib.decompressobj(wbits)
        decoded = stream.decompress(data, MAX_DECODED_BYTES + 1)
    except (zlib.error, ValueError, TypeError, OverflowError) as error:
        raise DecodeError(f"zlib data that cannot be decoded: {error}") from error
    return _checked("zlib", data, decoded, stream.eof)


def decompress_gzip(data: bytes) -> bytes:
    """gzip streams."""
    return decompress_zlib(data, 16 + zlib.MAX_WBITS)


def decompress_bz2(data: bytes) -> bytes:
    """bzip2 streams."""
    try:
        stream = bz2.BZ2Decompressor()
        decoded = stream.decompress(data, MAX_DECODED_BYTES + 1)
    except (OSError, ValueError) as error:
        raise DecodeError(f"bz2 data that cannot be decoded: {error}") from error
    return _checked("bz2", data, decoded, stream.eof)


def decompress_brotli(data: bytes) -> bytes:
    """Brotli streams."""
    import brotli

    try:
        stream = brotli.Decompressor()
        decoded = stream.process(data, output_buffer_limit=MAX_DECODED_BYTES + 1)
    except brotli.error as error:
        raise DecodeError(f"brotli data that cannot be decoded: {error}") from error
    return _checked("brotli", data, decoded, stream.is_finished())


def decompress_zstd(data: bytes) -> bytes:
    """Zstandard frames, with or without a declared size."""
    import zstandard

    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as stream:
            decoded = stream.read(MAX_DECODED_BYTES + 1)
    except (zstandard.ZstdError, ValueError) as error:
        raise DecodeError(f"zstd data that cannot be decoded: {error}") from error
    return _checked("zstd", data, decoded, bool(decoded))


def _checked(name: str, data: bytes, decoded: bytes, finished: bool) -> bytes:
    if len(decoded) > MAX_DECODED_BYTES or len(decoded) > MAX_RATIO * max(len(data), 1024):
        raise DecodeError(
            f"{name} data that grows from {len(data):,} to {len(decoded):,} bytes or more: not decoded further"
        )
    if not finished:
        raise DecodeError(f"{name} data that is truncated: it ends after {len(decoded):,} decoded bytes")
    return decoded


def _text_decoder(name: str, decode: Callable[[bytes], bytes]) -> Callable[[bytes | str], bytes]:
    def decode_text(data: bytes | str) -> bytes:
        try:
            return decode(data.encode("ascii") if isinstance(data, str) else data)
        except (ValueError, binascii.Error, UnicodeError) as error:
            raise DecodeError(f"{name} text that cannot be decoded: {error}") from error

    return decode_text


decode_b64 = _text_decoder("base64", base64.b64decode)
decode_urlsafe_b64 = _text_decoder("base64", base64.urlsafe_b64decode)
decode_b85 = _text_decoder("base85", base64.b85decode)
decode_a85 = _text_decoder("ascii85", base64.a85decode)
decode_b32 = _text_decoder("base32", base64.b32decode)
decode_hex = _text_decoder("hex", binascii.unhexlify)
