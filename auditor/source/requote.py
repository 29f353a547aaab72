"""Rewrites f-strings of Python 3.12 (PEP 701) so that the `ast` of 3.11 reads them; every token stays on its line.

Delimiters are changed to ones that do not occur inside, and a backslash inside an expression is spelled out as characters.
A small scanner of our own, because libcst, which knows the newer grammar, rejects minified code that Python accepts
(a string right before a keyword, ``'x'for``), and real submissions are minified. It knows strings, comments and brackets,
and nothing else of the language.
"""

from __future__ import annotations

import ast
import re

_STRING_START = re.compile(r"(?P<prefix>[rRbBuUfF]{0,2})(?P<quote>\"\"\"|'''|\"|')")
_WORD = re.compile(r"\w+")
_NAMED_CHARACTER = re.compile(r"\\N\{[^}]*\}")
_QUOTES = ('"""', "'''", '"', "'")
_MAX_DEPTH = 40


class _NotReadableError(ValueError):
    """The scanner lost its way: a string or bracket that does not end."""


def requote(source: str) -> str | None:
    """`source` with f-strings that Python 3.11 can read; None if its strings do not even end."""
    try:
        text, _ = _code(source, 0, "", 0)
    except (_NotReadableError, IndexError):
        return None
    return text


def _code(source: str, position: int, stops: str, depth: int) -> tuple[str, int]:
    """Copy code from `position` up to one of `stops` outside brackets; strings are rewritten on the way."""
    if depth > _MAX_DEPTH:
        raise _NotReadableError
    pieces: list[str] = []
    brackets = 0
    while position < len(source):
        character = source[position]
        if string := _STRING_START.match(source, position):
            text, position = _string(source, string, depth)
            pieces.append(text)
            continue
        if word := _WORD.match(source, position):
            piece = word.group()
        elif character == "#":
            end = source.find("\n", position)
            piece = source[position : end if end >= 0 else len(source)]
        elif brackets == 0 and character in stops and source[position : position + 2] != "!=":
            return "".join(pieces), position
        else:
            brackets += (character in "([{") - (character in ")]}")
            piece = character
        pieces.append(piece)
        position += len(piece)
    if stops:
        raise _NotReadableError
    return "".join(pieces), position


def _string(source: str, start: re.Match[str], depth: int) -> tuple[str, int]:
    """Copy one string literal; an f-string gets delimiters that fit what it holds."""
    prefix, quote = start["prefix"], start["quote"]
    if "f" in prefix.lower():
        return _formatted(source, start, depth)
    position = start.end()
    while not source.startswith(quote, position):
        if len(quote) == 1 and source[position] == "\n":
            raise _NotReadableError
        position += 2 if source[position] == "\\" else 1
    literal = source[start.start() : position + len(quote)]
    if depth and "\\" in literal and "b" not in prefix.lower():
        codes = "".join(f"{ord(character)}," for character in ast.literal_eval(literal))
        literal = f'("".join(map(chr,({codes}))))'
    return literal, position + len(quote)


def _formatted(source: str, start: re.Match[str], depth: int) -> tuple[str, int]:
    quote = start["quote"]
    raw = "r" in start["prefix"].lower()
    body: list[str] = []
    expressions: list[str] = []
    position = start.end()
    while not source.startswith(quote, position):
        if source[position] == "{" and source[position + 1] != "{":
            text, position = _replacement(source, position, depth)
            expressions.append(text)
        else:
            text = _literal_piece(source, position, raw)
            position += len(text)
        body.append(text)
    whole = "".join(body)
    fitting = next((choice for choice in (quote, *_QUOTES) if _fits(choice, quote, whole, expressions)), quote)
    return start["prefix"] + fitting + whole + fitting, position + len(quote)


def _literal_piece(source: str, position: int, raw: bool) -> str:
    if named := _NAMED_CHARACTER.match(source, position):
        return named.group()
    takes_two = source[position : position + 2] in ("{{", "}}") or (source[position] == "\\" and not raw)
    return source[position : position + (2 if takes_two else 1)]


def _replacement(source: str, position: int, depth: int) -> tuple[str, int]:
    """Copy a replacement field from its opening to its closing brace: expression, conversion, nested format spec."""
    text, position = _code(source, position + 1, "}!:", depth + 1)
    pieces = ["{", text]
    while source[position] not in "}:":
        pieces.append(source[position])
        position += 1
    while source[position] != "}":
        if source[position] == "{":
            piece, position = _replacement(source, position, depth)
        else:
            piece, position = source[position], position + 1
        pieces.append(piece)
    return "".join([*pieces, "}"]), position + 1


def _fits(choice: str, old: str, body: str, expressions: list[str]) -> bool:
    """Can an f-string that was delimited by `old` be delimited by `choice` in Python 3.11?"""
    if any(choice in expression for expression in expressions) or (len(choice) == 1 and "\n" in body):
        return False
    if choice == old:
        return True
    unescaped = body.replace("\\" + choice[0], "")
    return choice not in unescaped and not (len(choice) == 3 and unescaped.endswith(choice[0]))
