"""What the caller of an audit may hold a submission against instead of the contest's own: a validation split, a row.

Scores on other data are no scores of the contest, so by default every number is held against the FineWeb validation split
and a submission on anything else fails. Whoever runs an audit may name another split: a file that the preparation of data
writes beside its shards. It is never read from a submission and never found by itself, and every report says which split
was used. Not covered: whether the file is true; it belongs to the caller.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSplit:
    """A validation split: its tokens, and the UTF-8 bytes that they decode to.

    `tokenizer_sha256` and `vocab_size` tell which tokenizer cut it, `source` where its text is from.
    """

    name: str
    num_tokens: int
    num_bytes: int
    tokenizer_sha256: str
    vocab_size: int
    source: str


def read_split(path: Path) -> ReferenceSplit:
    """The split that a file describes; ValueError with the path and what is wrong with it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: describes no validation split: not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"{path}: describes no validation split: schema_version is not {SCHEMA_VERSION}")
    tokenizer = data.get("tokenizer")
    tokenizer = tokenizer if isinstance(tokenizer, dict) else {}
    return ReferenceSplit(
        name=_text(path, data, "name"),
        num_tokens=_count(path, data, "num_tokens"),
        num_bytes=_count(path, data, "num_bytes"),
        tokenizer_sha256=_text(path, tokenizer, "sha256"),
        vocab_size=_count(path, tokenizer, "vocab_size"),
        source=_text(path, data, "source"),
    )


def _text(path: Path, data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{path}: describes no validation split: {key} is {value!r}, not a text")
    return value


def _count(path: Path, data: dict[str, Any], key: str) -> int:
    value = data.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{path}: describes no validation split: {key} is {value!r}, not a positive integer")
    return value
