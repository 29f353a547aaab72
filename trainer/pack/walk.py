"""Walking syntax trees, fast: a run waits for its script, and Python's own walkers take most of that time.

What has no parts of interest (contexts, operators) is not visited. Otherwise these do what `ast.walk` and
`ast.NodeTransformer` do.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

_OPERATORS = (ast.expr_context, ast.operator, ast.cmpop, ast.unaryop, ast.boolop)
_LEAVES = frozenset(
    [*(kind for base in _OPERATORS for kind in base.__subclasses__()), *map(type, (0, 0.0, 0j, "", b"", True, None, ...))]
)


def children(node: ast.AST) -> list[Any]:
    """The parts of a node, those that are operators or no syntax left out."""
    found: list[Any] = []
    for value in node.__dict__.values():
        if type(value) is list:
            found += [item for item in value if type(item) not in _LEAVES]
        elif type(value) not in _LEAVES:
            found.append(value)
    return found


def walk(*nodes: ast.AST) -> Iterator[ast.AST]:
    """Nodes and everything inside them, in no particular order."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield node
        pending += children(node)


class Transformer(ast.NodeTransformer):
    """`ast.NodeTransformer`, which leaves out contexts and operators."""

    def generic_visit(self, node: ast.AST) -> Any:
        """Visit the parts; None and lists take the place of items of lists."""
        for name in node._fields:
            value = getattr(node, name, None)
            if type(value) is list:
                value[:] = self.visited(value)
            elif type(value) not in _LEAVES:
                setattr(node, name, self.visit(value))
        return node

    def visited(self, items: list[Any]) -> list[Any]:
        """What a list becomes."""
        found: list[Any] = []
        for item in items:
            if type(item) in _LEAVES:
                found.append(item)
                continue
            new = self.visit(item)
            if isinstance(new, list):
                found += new
            elif new is not None:
                found.append(new)
        return found
