"""Python source to a syntax tree, whatever Python pgolf itself runs on.

Submissions target Python 3.12 and later, where an f-string may reuse its own quotes and hold backslashes in its expressions
(PEP 701). The `ast` of 3.11 rejects such text, so it is rewritten into an equivalent that 3.11 accepts (`requote`), each
token staying on its line, and parsed again. Not covered: newer statements than 3.11 knows
(``type X = ...``), which are an error with the line they stand on.
"""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeVar, cast

from auditor.source.requote import requote

MAX_SOURCE_BYTES = 4 * 1024 * 1024  # ours: twenty times the largest real script
_WIDTH = 160  # ours: characters of a line that are quoted
MAX_DEPTH = 150  # ours: real scripts reach 30 levels; walks over the tree that recurse fail at several hundred

_Node = TypeVar("_Node", bound=ast.AST)
_Answer = TypeVar("_Answer")


def parse_source(source: str) -> tuple[ast.Module | None, str | None]:
    """The syntax tree of `source`, or None and the reason why there is none."""
    if len(source) > MAX_SOURCE_BYTES:
        return None, f"{len(source):,} characters of source; more than {MAX_SOURCE_BYTES:,} are not parsed"
    source = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    tree, reason = _parse(source)
    if tree is not None or not _may_be_newer(source):
        return tree, reason
    rewritten = requote(source)
    if rewritten is None or rewritten.count("\n") != source.count("\n"):
        return None, reason
    tree, _ = _parse(rewritten)
    return tree, None if tree is not None else reason


def decode_source(data: bytes) -> str:
    """The text of a Python file by its coding cookie or byte-order mark; undecodable bytes are kept as escapes.

    A cookie that names no text encoding (``rot13``, ``zlib``) is passed over.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data[:4096]).readline)
    except SyntaxError:
        encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        return data.decode(encoding, "backslashreplace")
    except (LookupError, UnicodeError):
        return data.decode("utf-8", "backslashreplace")


def _parse(source: str) -> tuple[ast.Module | None, str | None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stranger's invalid escape sequences are not our news
            tree = ast.parse(source)
    except SyntaxError as error:
        return None, f"no Python: {error.msg}" + (f" (line {error.lineno})" if error.lineno else "")
    except (ValueError, RecursionError, MemoryError) as error:
        return None, f"no Python that can be parsed: {error or type(error).__name__}"
    if _is_deep(tree):
        return None, f"Python that is nested more than {MAX_DEPTH} levels deep and is not read"
    return tree, None


@lru_cache(maxsize=32)
def lines_of(source: str) -> tuple[str, ...]:
    """The lines of a source as a syntax tree counts them."""
    return tuple(source.split("\n"))


def snippet_at(source: str, line: int | None) -> str | None:
    """The start of a line as a location quotes it; None if the source has no such line."""
    lines = lines_of(source) if line else ()
    return lines[line - 1].strip()[:_WIDTH] if line and line <= len(lines) else None


def _is_deep(tree: ast.Module) -> bool:
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in children(node)]
        if not level:
            return False
    return True


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes right below, in source order; faster than `ast.iter_child_nodes`, and run over every tree."""
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            found.append(value)
        elif value and isinstance(value, list):
            found += [each for each in value if isinstance(each, ast.AST)]
    return found


def walk(node: ast.AST) -> list[ast.AST]:
    """The node and all below it, level by level as `ast.walk` gives them, in a fraction of the time."""
    found = [node]
    for above in found:  # the list grows while it is gone through
        found += children(above)
    return found


def names_in(*nodes: ast.AST) -> list[str]:
    """The variables that syntax names, as `walk` comes to them."""
    return [inner.id for node in nodes for inner in walk(node) if isinstance(inner, ast.Name)]


@lru_cache(maxsize=4)
def nodes_of(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All nodes of a module as `walk` gives them, which many questions are put to."""
    return tuple(walk(tree))


@lru_cache(maxsize=4)
def parents(tree: ast.Module) -> Mapping[ast.AST, ast.AST]:
    """The node right above each node of a module."""
    return {child: parent for parent in nodes_of(tree) for child in children(parent)}


class Answers:
    """What was asked of the syntax of functions, each worked out once: a function is called many times."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ast.AST], object] = {}

    def of(self, question: Callable[[_Node], _Answer], node: _Node) -> _Answer:
        """The answer to `question(node)`."""
        key = (question, node)
        if key not in self._known:
            self._known[key] = question(node)
        return cast("_Answer", self._known[key])


def last_name(node: ast.expr) -> str:
    """The last part of a dotted name; empty for any other expression."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _may_be_newer(source: str) -> bool:
    lowered = source.lower()
    return "f'" in lowered or 'f"' in lowered
