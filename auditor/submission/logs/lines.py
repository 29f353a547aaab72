"""From a log's bytes to numbered, clean lines.

A line's number is what an editor shows for the file: lines end at LF (or CRLF); a carriage return inside a line (a progress
bar that redraws itself) separates texts that share one number. Only a file without any LF counts CR as line ends.

Cleaning takes away what the surroundings put around a program's text: colour codes, NULs, the tags of launchers
(``[rank0]:``), time stamps, logger levels. What follows the tags keeps its indentation, which dumps and source need.

Not covered: tags that are indistinguishable from text (a bare ``0: `` of some launchers), and UTF-32.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINE_CHARS = 4_000  # ours: longer texts are packed code or data; facts are read from their beginning only

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d+)?"
_PREFIX = re.compile(
    rf"""(?:
        \[(?:rank|default|local_rank|gpu|worker)?[ _:=]?\d+\]:?\ ?          # [rank0]: [default3]:
      | \[?\d{{4}}-\d\d-\d\d[T ]{_CLOCK}(?:Z|[+-]\d\d:?\d\d)?\]?(?:\ -)?[: ]?\ ?   # 2026-04-26 12:00:00,123
      | \[{_CLOCK}\]:?\ ? | {_CLOCK}\ (?:-\ )?
      | [IWEFD]\d{{4}}\ {_CLOCK}(?:\ +\d+\ [^\s\]]+:\d+\])?\ ?               # I0426 12:00:00.000 123 file.py:1]
      | \[?(?:INFO|DEBUG|WARNING|ERROR)\]?(?::\w*:|:|\ -)?[ ]
      | \d{{10}}\.\d{{3,6}}[ ]                                                   # seconds since the epoch
      | wandb:[ ]
      | \([\w.-]+\ pid=\d+(?:,\ ip=[\d.]+)?\)\ ?                             # (worker pid=123)
    )""",
    re.VERBOSE,
)
_MAX_PREFIXES = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One text of a log with the number of the line it stands on."""

    number: int
    text: str


def decode(data: bytes) -> tuple[str, str]:
    """A log's text and the name of its encoding. Never fails: bytes that are no UTF are read as Latin-1."""
    if data[:3] == b"\xef\xbb\xbf":
        return data[3:].decode("utf-8", "replace"), "utf-8-sig"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace"), "utf-16"
    if wide := _wide_encoding(data[:4096]):
        return data.decode(wide, "replace"), wide
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return _decode_damaged(data)


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 without a mark: almost every second byte of English text is zero."""
    half = len(head) // 2
    if half < 8:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > 0.7 * half and even < 0.1 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.7 * half and odd < 0.1 * half else None


def _decode_damaged(data: bytes) -> tuple[str, str]:
    """Text that is not valid UTF-8: a log cut inside a character stays UTF-8, anything else is Latin-1."""
    text = data.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    if damaged * 100 <= sum(byte >= 0x80 for byte in data):
        return text, "utf-8 (damaged)"
    return data.decode("latin-1"), "latin-1"


def split_lines(text: str) -> tuple[str, ...]:
    """The lines as an editor numbers them, without their endings."""
    if "\n" not in text and "\r" in text:
        text = text.replace("\r", "\n")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return tuple(line[:-1] if line.endswith("\r") else line for line in lines)


def clean_lines(raw: tuple[str, ...]) -> Iterator[Line]:
    """Every text of a log without colours, NULs and tags; redrawn texts of one line share its number."""
    for number, line in enumerate(raw, 1):
        if "\r" not in line:
            yield Line(number, clean(line))
            continue
        for piece in line.split("\r"):
            if piece:
                yield Line(number, clean(piece))


def clean(text: str) -> str:
    """One text without colours, NULs and the tags put before it."""
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if "\0" in text:
        text = text.replace("\0", "")
    for _ in range(_MAX_PREFIXES):
        match = _PREFIX.match(text)
        if match is None:
            break
        text = text[match.end() :]
    return text
