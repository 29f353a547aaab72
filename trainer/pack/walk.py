"""Walking syntax trees, fast: a run waits for its script, and Python's own walkers take most of that time.

What has no parts of interest (contexts, operators) is not visited. Otherwise these do what `ast.walk` and
`ast.NodeTransformer` do.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

_NO_PARTS = frozenset({"id", "attr", "arg", "name", "ctx", "op", "ops", "kind", "module", "level", "asname"}) | frozenset(
    {"conversion", "simple", "is_async", "type_comment", "type_ignores"}
)
_LEAVES = (ast.Constant, ast.Name, ast.Global, ast.Nonlocal)


class _Parts(dict[type[ast.AST], tuple[str, ...]]):
    """The fields of each kind of node that hold syntax."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        names = () if issubclass(kind, _LEAVES) else tuple(name for name in kind._fields if name not in _NO_PARTS)
        self[kind] = names
        return names


_PARTS = _Parts()


def children(node: ast.AST) -> list[Any]:
    """The parts of a node, operators and contexts left out."""
    found: list[Any] = []
    for name in _PARTS[type(node)]:
        value = getattr(node, name, None)
        if type(value) is list:
            found += value
        elif value is not None:
            found.append(value)
    return found


def walk(*nodes: ast.AST) -> Iterator[ast.AST]:
    """Nodes and everything inside them, in no particular order."""
    pending: list[Any] = list(nodes)
    while pending:
        node = pending.pop()
        if node is None:  # a missing key or default
            continue
        yield node
        pending += children(node)


class Transformer(ast.NodeTransformer):
    """`ast.NodeTransformer`, which leaves out contexts and operators."""

    def visit(self, node: ast.AST) -> Any:
        """Call the visitor of a node's kind, looked up once."""
        visitors: dict[type[ast.AST], Callable[[Any], Any]] = self.__dict__.setdefault("_visitors", {})
        kind = type(node)
        if kind not in visitors:
            visitors[kind] = getattr(self, f"visit_{kind.__name__}", self.generic_visit)
        return visitors[kind](node)

    def generic_visit(self, node: ast.AST) -> Any:
        """Visit the parts; None and lists take the place of items of lists."""
        for name in _PARTS[type(node)]:
            value = getattr(node, name, None)
            if type(value) is list:
                value[:] = self.visited(value)
            elif value is not None:
                setattr(node, name, self.visit(value))
        return node

    def visited(self, items: list[Any]) -> list[Any]:
        """What a list becomes."""
        found: list[Any] = []
        for item in items:
            new = None if item is None else self.visit(item)
            if type(new) is list:
                found += new
            elif new is not None or item is None:
                found.append(new)  # a missing key or default has its place
        return found
