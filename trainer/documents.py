"""Documents from text, JSON-lines and parquet files, one after the other.

A text file is one document, or one per block between blank lines. A JSON line or a parquet row is one document, in the
named field. Nothing is changed in a document; those without a visible character are left out. Files are read in order
and one document at a time, so that any amount of text fits. Parquet needs pyarrow, which is asked for when it is needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TEXT_SUFFIXES = (".txt", ".md")
JSONL_SUFFIXES = (".jsonl", ".ndjson")
PARQUET_SUFFIXES = (".parquet",)
KNOWN_SUFFIXES = TEXT_SUFFIXES + JSONL_SUFFIXES + PARQUET_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class DocumentFiles:
    """Files of documents; iterating reads them, as often as wanted. ValueError names the file, line and reason."""

    paths: tuple[Path, ...]
    field: str = "text"
    split_text: Literal["file", "blank-line"] = "file"

    def __iter__(self) -> Iterator[str]:
        for path in self.paths:
            for place, text in self._read(path):
                _check_encodable(text, path, place)
                if text.strip():
                    yield text

    def _read(self, path: Path) -> Iterator[tuple[str, str]]:
        if path.suffix in JSONL_SUFFIXES:
            return _read_json_lines(path, self.field)
        if path.suffix in PARQUET_SUFFIXES:
            return _read_parquet(path, self.field)
        return _read_text(path, self.split_text)


def find_files(inputs: Iterable[Path]) -> tuple[Path, ...]:
    """The files named, and in folders all files of a known kind, sorted; ValueError if there is nothing to read."""
    found: list[Path] = []
    for path in inputs:
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder")
        inside = sorted(p for p in path.rglob("*") if p.suffix in KNOWN_SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"{path}: holds no file that ends in {', '.join(KNOWN_SUFFIXES)}")
        for file in inside:
            if file.suffix not in KNOWN_SUFFIXES:
                raise ValueError(f"{file}: cannot tell what it is; known are {', '.join(KNOWN_SUFFIXES)}")
        found += inside
    return tuple(found)


def _check_encodable(text: str, path: Path, place: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{path}{place}: not Unicode text: {error.reason} at character {error.start}") from None


def _read_lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8: byte {error.object[error.start]:#04x}, {error.reason}") from None


def _read_text(path: Path, split_text: str) -> Iterator[tuple[str, str]]:
    block: list[str] = []
    for line in _read_lines(path):
        if split_text == "blank-line" and not line.strip():
            yield "", "".join(block)
            block = []
        else:
            block.append(line)
    yield "", "".join(block)


def _read_json_lines(path: Path, field: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_read_lines(path), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}:{number}: not JSON: {error.msg} at column {error.colno}") from None
        text = record.get(field) if isinstance(record, dict) else None
        if not isinstance(text, str):
            raise ValueError(f"{path}:{number}: no text in field {field!r}")
        yield f":{number}", text


def _read_parquet(path: Path, field: str) -> Iterator[tuple[str, str]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ValueError(f"{path}: reading parquet needs pyarrow: pip install pyarrow") from None
    try:
        with parquet.ParquetFile(path) as file:
            if field not in file.schema_arrow.names:
                raise ValueError(f"{path}: no column {field!r}, there are {', '.join(file.schema_arrow.names)}")
            row = 0
            for batch in file.iter_batches(batch_size=1024, columns=[field]):
                for text in batch.column(0).to_pylist():
                    row += 1
                    if not isinstance(text, str):
                        raise ValueError(f"{path}: row {row}: no text in column {field!r}")
                    yield f": row {row}", text
    except pyarrow.ArrowException as error:
        raise ValueError(f"{path}: not a readable parquet file: {error}") from None
