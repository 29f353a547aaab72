"""Makes text of a submission harmless before it is shown: names, log lines and code are written by whoever is audited.

Every string of a report goes through `clean` before a format for people lays it out, so that no format can forget one.
After that a string is one line of printable characters: escape sequences, line breaks, bidirectional overrides and bytes
that are no text stand there in their escaped spelling. Each format then escapes what is special in its own syntax.
`disarm_commands` covers the output as a whole: a CI runner takes lines of any program's output as commands.
"""

from __future__ import annotations

import operator
import re
import unicodedata
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TypeVar, cast

_MAX_CHARACTERS = 4_000  # ours: a name of a megabyte must not flood a report
_SEVERAL_LINES = frozenset({"snippet", "crash"})  # fields of a report that may hold several lines
_COMMAND_AT_LINE_START = re.compile(r"^([^\S\n]*):(?=:)", re.MULTILINE)

T = TypeVar("T")


def plain(text: str) -> str:
    """`text` as one line of printable characters."""
    text = text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}..."
    return text if text.isprintable() else "".join(map(_printable, text))


def plain_lines(text: str) -> str:
    """`text` line by line, each of printable characters."""
    if text.isprintable() and len(text) <= _MAX_CHARACTERS:
        return text
    return "\n".join(plain(line.expandtabs(4)) for line in text.replace("\r\n", "\n").split("\n"))


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    if character == "\t" or unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode("ascii")


def clean(value: T) -> T:
    """`value`, a part of a report, with every string in it made plain; enums, numbers and dates stay as they are."""
    if isinstance(value, str):
        return value if isinstance(value, Enum) else cast(T, plain(value))
    if isinstance(value, tuple):
        cleaned = tuple(map(clean, value))
        return value if all(map(operator.is_, cleaned, value)) else cast(T, cleaned)
    if is_dataclass(value) and not isinstance(value, type):
        pairs = [(item.name, getattr(value, item.name)) for item in fields(value)]
        changed = {name: new for name, old in pairs if (new := _clean_field(name, old)) is not old}
        return replace(value, **changed) if changed else value
    return value


def _clean_field(name: str, value: object) -> object:
    return plain_lines(value) if name in _SEVERAL_LINES and isinstance(value, str) else clean(value)


def disarm_commands(text: str) -> str:
    """`text` without anything that a GitHub runner would take as a command: ``::`` at a line's start, ``##[`` anywhere."""
    return _COMMAND_AT_LINE_START.sub(r"\1\\:", text.replace("##[", "#\\#["))
