"""The self-extracting form: a loader of two lines and the compressed script as text.

Every compressor is tried, each with the parameters that suit text; the shortest file wins, but one that only needs the
standard library is taken unless another saves more than 64 bytes, since brotli and zstandard are not on every machine.
Base85 keeps the file plain ASCII, so that it passes through git, mail and diffs. The loader does what it says: one import,
one decoder, one `exec` of the very text that `source` is, so that a reader and an auditor can undo it without running it.

Not covered: encodings denser than base85, which would not be text any more.
"""

from __future__ import annotations

import base64
import lzma
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

STANDARD_LIBRARY = ("lzma", "zlib")
WORTH_A_PACKAGE_BYTES = 64
_DICTIONARY_BYTES = 1 << 20  # more than any script has; what the loader's decoder allows by itself is more again
_LITERAL_CONTEXT_BITS = range(5)  # text has no alignment, so the position bits are zero


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A self-extracting file, and the module that it needs to unpack itself."""

    code: bytes
    needs: str


def wrap(source: bytes) -> dict[str, Wrapped]:
    """The shortest file of each compressor that is installed, by the name of its module."""
    found: dict[str, Wrapped] = {}
    for wrapped in _candidates(source):
        if wrapped.needs not in found or len(wrapped.code) < len(found[wrapped.needs].code):
            found[wrapped.needs] = wrapped
    return found


def choose(forms: Mapping[str, Wrapped]) -> Wrapped:
    """The shortest file; one of the standard library, if that is nearly as short."""
    shortest = min(forms.values(), key=lambda form: len(form.code))
    standard = min((forms[name] for name in STANDARD_LIBRARY), key=lambda form: len(form.code))
    return standard if len(standard.code) - len(shortest.code) <= WORTH_A_PACKAGE_BYTES else shortest


def _candidates(source: bytes) -> Iterator[Wrapped]:
    for bits in _LITERAL_CONTEXT_BITS:
        options = {"preset": 9 | lzma.PRESET_EXTREME, "dict_size": _DICTIONARY_BYTES, "lc": bits, "lp": 0, "pb": 0}
        filters = [{"id": lzma.FILTER_LZMA2, **options}]
        data = lzma.compress(source, format=lzma.FORMAT_RAW, filters=filters)
        yield _file("lzma", "lzma.decompress({},3,None,[{{'id':33}}])", data)
    yield _file("zlib", "zlib.decompress({})", zlib.compress(source, 9))
    try:
        import brotli
    except ImportError:
        pass
    else:
        data = brotli.compress(source, mode=brotli.MODE_TEXT, quality=11, lgwin=24)
        yield _file("brotli", "brotli.decompress({})", data)
    try:
        import zstandard
    except ImportError:
        pass
    else:
        data = zstandard.ZstdCompressor(level=22).compress(source)
        yield _file("zstandard", "zstandard.decompress({})", data)


def _file(module: str, decompress: str, data: bytes) -> Wrapped:
    text = base64.b85encode(data).decode()
    unpacked = decompress.format(f'base64.b85decode("{text}")')
    return Wrapped(f"import base64,{module}\nexec({unpacked})\n".encode(), module)
