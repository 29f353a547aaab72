"""What a piece of text can look like: literal parts and holes, and a matcher that stays linear.

A `Template` is what the source says about a string before it runs: `f"{label} val_bpb:{x:.8f}"` is a hole for the label,
the literal `` val_bpb:``, and a hole that holds a number with eight decimals. Matching walks the parts and keeps the set of
positions that each can end at, so that no template and no line can make it backtrack (regular expressions built from a
stranger's script could). Not covered: text inside a hole is never looked at beyond its type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

_MAX_LINE_CHARACTERS = 4000  # ours: longer lines are data (tables, embedded source), never a metric

_MAX_NUMBER_CHARACTERS = 48  # ours: with padding; keeps the search for the ends of a number constant

_FORMAT_SPEC = re.compile(
    r"(?:(?P<fill>.)?(?P<align>[<>=^]))?[-+ ]?z?#?(?P<zero>0)?(?P<width>\d+)?(?P<group>[,_])?"
    r"(?:\.(?P<precision>\d+))?(?P<type>[bcdeEfFgGnosxX%])?"
)
_PERCENT_SPEC = re.compile(
    r"%(?:\((?P<name>[^)]*)\))?(?P<flags>[-+ #0]*)(?P<width>\d+|\*)?(?:\.(?P<precision>\d+|\*))?[hlL]?(?P<type>[a-zA-Z%])"
)
_SPECIAL = r"0*(?:nan|inf)"  # zero padding pads these too
_GENERAL = r"\d[\d,_]*(?:\.\d+)?(?:e[-+]\d+)?"


@dataclass(frozen=True, slots=True)
class Hole:
    """A place in a text that is filled at run time.

    `source` is the expression that fills it, `pattern` a regular expression for what it can hold (None: anything), and
    `parameter` the name of the function parameter that it stands for while no caller has been chosen.
    """

    source: str = ""
    pattern: str | None = None
    parameter: str | None = None


Part = str | Hole
Template = tuple[Part, ...]
ANYTHING = Hole()
_ONE_WORD = Hole(pattern=r"\S*")
PADDING = Hole(pattern=r" *")


def hole_of_format(source: str, spec: str) -> Hole:
    """The hole that ``{source:spec}`` leaves."""
    parsed = _FORMAT_SPEC.fullmatch(spec)
    if parsed is None:  # a date format, or an object's own
        return Hole(source)
    pattern = _number_pattern(parsed["type"] or "", parsed["precision"], parsed["group"] or "")
    return Hole(source, _padded(pattern, parsed["fill"] or " ", bool(parsed["width"])) if pattern else None)


def pads_text(spec: str) -> bool:
    """Does the format spec only align a text within a width?"""
    parsed = _FORMAT_SPEC.fullmatch(spec)
    return bool(parsed and parsed["width"] and (parsed["fill"] or " ") == " " and parsed["type"] in (None, "s"))


def split_percent_format(text: str) -> list[tuple[str, Hole | None, bool]]:
    """Split a ``%`` format into (literal before, hole or None at the end, whether the hole takes plain text)."""
    pieces: list[tuple[str, Hole | None, bool]] = []
    literal, position = "", 0
    for found in _PERCENT_SPEC.finditer(text):
        literal += text[position : found.start()]
        position = found.end()
        if found["type"] == "%":
            literal += "%"
            continue
        pieces.append((literal, _percent_hole(found), found["type"] in "sr" and not found["width"]))
        literal = ""
    pieces.append((literal + text[position:], None, False))
    return pieces


def _percent_hole(found: re.Match[str]) -> Hole:
    precision = found["precision"]
    if found["type"] in "srac" or precision == "*":
        return ANYTHING
    pattern = _number_pattern({"i": "d", "u": "d"}.get(found["type"], found["type"]), precision, "")
    return Hole("", _padded(pattern, " ", bool(found["width"])) if pattern else None)


def _number_pattern(kind: str, precision: str | None, grouped: str) -> str | None:
    digits = rf"\d{{1,3}}(?:{grouped}\d{{3}})*" if grouped else r"\d+"
    decimals = int(precision) if precision is not None else 6
    fraction = rf"\.\d{{{decimals}}}" if decimals else ""
    if kind in ("f", "F"):
        return rf"[-+]?(?:{digits}{fraction}|{_SPECIAL})"
    if kind in ("e", "E"):
        return rf"[-+]?(?:\d{fraction}[eE][-+]\d+|{_SPECIAL})"
    if kind == "%":
        return rf"[-+]?(?:{digits}{fraction}|{_SPECIAL})%"
    if kind == "d":
        return rf"[-+]?{digits}"
    if kind in ("g", "G", "n") or (not kind and grouped):
        return rf"[-+]?(?:{_GENERAL}|{_SPECIAL})"
    if kind in ("x", "X", "b", "o"):
        return r"[-+]?[0-9a-fA-FxX]+"
    return None


def _padded(pattern: str, fill: str, has_width: bool) -> str:
    pad = rf"{re.escape(fill)}*" if has_width else ""
    return f"{pad}{pattern}{pad}"


def joined(parts: Iterable[Part]) -> Template:
    """The same text with neighbouring literals merged, empty ones dropped and neighbouring free holes made one."""
    merged: list[Part] = []
    for part in parts:
        if part == "":
            continue
        if merged and isinstance(part, str) and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)


def split_lines(template: Template) -> list[Template]:
    """One template per line of text: a print of several lines leaves several log lines."""
    lines: list[list[Part]] = [[]]
    for part in template:
        if isinstance(part, Hole):
            lines[-1].append(part)
            continue
        first, *rest = part.split("\n")
        lines[-1].append(first)
        lines.extend([piece] for piece in rest)
    return [joined(line) for line in lines]


def stripped(template: Template) -> Template:
    """The template without white space at its ends, to be held against a line without it."""
    if template and isinstance(template[0], str):
        template = joined((template[0].lstrip(), *template[1:]))
    if template and isinstance(template[-1], str):
        template = joined((*template[:-1], template[-1].rstrip()))
    return template


def count_letters(template: Template) -> int:
    """How many letters the literal parts hold: the weight of the template as evidence."""
    return sum(character.isalpha() for part in template if isinstance(part, str) for character in part)


def is_opaque(template: Template) -> bool:
    """Does the template match nearly everything? Then that it matches a line proves nothing."""
    free = any(isinstance(part, Hole) and part.pattern is None for part in template)
    return free and count_letters(template) < 2


def matches(template: Template, line: str) -> bool:
    """Can the template's text be exactly `line`? Linear in the line for each part."""
    if len(line) > _MAX_LINE_CHARACTERS:
        return False
    ends: Iterable[int] = (0,)
    for part in template:
        if isinstance(part, str):
            ends = _literal_ends(part, line, ends)
        elif part.pattern is None:
            ends = range(min(ends), len(line) + 1)
        else:
            ends = _typed_ends(_compiled(part.pattern), line, ends)
        if not ends:
            return False
    return len(line) in ends


def matches_cut_off(template: Template, line: str) -> bool:
    """Is `line` the beginning of a text of the template, cut off before a space? Curated logs hold such lines."""
    return any(count_letters(cut) > 1 and matches(cut, line) for cut in _cuts(template))


def _cuts(template: Template) -> Iterator[Template]:
    words = tuple(_ONE_WORD if isinstance(part, Hole) and part.pattern is None else part for part in template)
    for index, part in enumerate(words):
        if isinstance(part, str):
            spaces = (position for position, character in enumerate(part) if character == " ")
            yield from (joined((*words[:index], part[:space])) for space in spaces)


def _literal_ends(literal: str, line: str, starts: Iterable[int]) -> list[int]:
    if not isinstance(starts, range):
        return [start + len(literal) for start in starts if line.startswith(literal, start)]
    ends, found = [], line.find(literal, starts.start)
    while found >= 0:
        ends.append(found + len(literal))
        found = line.find(literal, found + 1)
    return ends


def _typed_ends(pattern: re.Pattern[str], line: str, starts: Iterable[int]) -> list[int]:
    ends: set[int] = set()
    for start in starts:
        longest = pattern.match(line, start, start + _MAX_NUMBER_CHARACTERS)
        if longest is not None:
            ends.update(end for end in range(start, longest.end() + 1) if pattern.fullmatch(line, start, end))
    return sorted(ends)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
