"""The string and bytes methods that packed scripts prepare their payload with, bounded in what they make.

A closed table: a method that is not in it is not called. What a call would make is estimated before it is made, since a few
characters (``x.replace("", x)``) can ask for any amount of memory, and some codecs for any amount of time.
"""

from __future__ import annotations

from collections.abc import Sequence

from auditor.submission.decoders import MAX_DECODED_BYTES

Text = str | bytes
_MAX_SPLIT_CHARACTERS = 4 * 1024 * 1024  # ours: as much source as is parsed; a list of pieces takes many times its text
_SHRINKING = frozenset({"strip", "lstrip", "rstrip", "removeprefix", "removesuffix", "lower", "upper", "hex"})
_CODECS = frozenset({"utf8", "ascii", "usascii", "latin1", "iso88591", "cp1252", "utf16", "utf16le", "utf16be", "utf8sig"})
_ESCAPES = frozenset({"unicodeescape", "rawunicodeescape"})


def apply_method(text: Text, method: str, arguments: Sequence[object]) -> object:
    """What ``text.method(*arguments)`` gives. ValueError, TypeError, LookupError or AttributeError if it gives nothing."""
    match method, arguments:
        case "join", [list(items)] if all(isinstance(item, str | bytes) for item in items):
            _check(sum(len(item) for item in items) + len(text) * len(items))
        case "join", [str(items)]:  # a string in parentheses, meant as a tuple: its characters are joined
            _check(len(items) * (len(text) + 1))
        case "replace", [str() | bytes() as old, str() | bytes() as new, *_]:
            _check(len(text) + (len(text) + 1 if not old else len(text) // len(old)) * len(new))
        case (("split" | "splitlines"), _):
            if len(text) > _MAX_SPLIT_CHARACTERS:
                raise ValueError(f"{len(text):,} characters are too many to split")
        case (("encode" | "decode"), _):
            _check_codec(arguments)
        case _:
            if method not in _SHRINKING:
                raise ValueError(f"the method {method!r} is not followed")
    return getattr(text, method)(*arguments)


def _check(length: int) -> None:
    if length > MAX_DECODED_BYTES:
        raise ValueError(f"it may make {length:,} characters, more than {MAX_DECODED_BYTES:,}")


def _check_codec(arguments: Sequence[object]) -> None:
    codec = arguments[0] if arguments else "utf-8"
    if not isinstance(codec, str) or codec.lower().replace("-", "").replace("_", "") not in _CODECS | _ESCAPES:
        raise ValueError(f"the codec {codec!r} is not followed")
