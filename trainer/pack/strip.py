"""Leaves out what Python does not need to run a program: docstrings, annotations, and the spaces between its tokens.

Fields of dataclasses and named tuples need some annotation; theirs becomes a builtin type, so that what it named need not
be there. Layout goes last, on the tokens of the text: one space per level, none where none is needed, short statements on
one line. Names, messages and the order of everything stay, so that what the stripped script does is what the source says.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from trainer.pack.prune import is_class_variable
from trainer.pack.references import begins_with_docstring
from trainer.pack.walk import Transformer

_BUILTIN_TYPES = ("int", "float", "str", "bool", "bytes", "object")


class Stripper(Transformer):
    """Drops docstrings and annotations from a module."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        """No docstring."""
        node.body = _without_docstring(node.body)
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """No docstring, no annotations."""
        node.returns = None
        node.body = _without_docstring(node.body)
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """A parameter is a name."""
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """No docstring; fields keep an annotation where they are fields."""
        node.body = _without_docstring(node.body)
        fields = _has_fields(node)
        body = (_field(each) if fields and isinstance(each, ast.AnnAssign) else self.visit(each) for each in node.body)
        node.body = [each for each in body if each is not None] or [ast.Pass()]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        """A declaration is nothing, an annotated assignment an assignment."""
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], node.value), node)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    return body[1:] if begins_with_docstring(body) else body


def _has_fields(node: ast.ClassDef) -> bool:
    decorators = " ".join(ast.unparse(each) for each in node.decorator_list)
    return "dataclass" in decorators or any(ast.unparse(base).endswith("NamedTuple") for base in node.bases)


def _field(node: ast.AnnAssign) -> ast.stmt:
    if is_class_variable(node.annotation):
        assert node.value is not None
        return ast.Assign([node.target], node.value)
    if not (isinstance(node.annotation, ast.Name) and node.annotation.id in _BUILTIN_TYPES):
        node.annotation = ast.Name("object", ast.Load())
    return node


def squeeze(source: str) -> str:
    """The same tokens with as little space between them as Python allows, short blocks behind their heads."""
    lines: list[_Line] = []
    for line in _lines(source):
        if lines and lines[-1].depth == line.depth and lines[-1].is_simple and line.is_simple:
            lines[-1].text += f";{line.text}"
        else:
            lines.append(line)
    kept: list[_Line] = []
    for index, line in enumerate(lines):
        after = lines[index + 1].depth if index + 1 < len(lines) else 0
        head = kept[-1] if kept else None
        if head is not None and head.is_head and line.is_simple and head.depth < line.depth > after:
            head.text += line.text
            head.is_head = False
        else:
            kept.append(line)
    return "".join(f"{' ' * line.depth}{line.text}\n" for line in kept)


@dataclass(slots=True)
class _Line:
    """A logical line. `is_head` begins a block; a simple line is one of simple statements."""

    depth: int
    text: str
    is_head: bool

    @property
    def is_simple(self) -> bool:
        return not self.is_head and not self.text.startswith("@")


def _lines(source: str) -> Iterator[_Line]:
    depth, text, before = 0, "", tokenize.NL
    for kind, word in _tokens(source):
        if kind in (tokenize.INDENT, tokenize.DEDENT):
            depth += 1 if kind == tokenize.INDENT else -1
        elif kind == tokenize.NEWLINE:
            yield _Line(depth, text, text.endswith(":"))
            text = ""
        elif kind not in (tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER):
            touching = text[-1:] + word[:1]
            needs_space = len(touching) == 2 and (touching.replace("_", "a").isalnum() or before == tokenize.NUMBER)
            is_word = word[:1].isalnum() or word[:1] == "_"
            text += f" {word}" if needs_space and is_word else word
            before = kind


def _tokens(source: str) -> Iterator[tuple[int, str]]:
    """Kinds and texts; an f-string is one token, as it was before Python 3.12."""
    rows = source.splitlines(keepends=True)
    open_at: list[tuple[int, int]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == getattr(tokenize, "FSTRING_START", -1):
            open_at.append(token.start)
        elif token.type == getattr(tokenize, "FSTRING_END", -1):
            first = open_at.pop()
            if not open_at:
                yield tokenize.STRING, _between(rows, first, token.end)
        elif not open_at:
            yield token.type, token.string


def _between(rows: list[str], first: tuple[int, int], last: tuple[int, int]) -> str:
    if first[0] != last[0]:
        raise ValueError(f"line {first[0]}: an f-string over several lines cannot be packed")
    return rows[first[0] - 1][first[1] : last[1]]
