"""What the syntax of a loop tells: the lists it goes through, its last turn, its counters, whether it may break off."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from auditor.source.parse import children, names_in, walk


def joined_lists(node: ast.expr) -> list[ast.expr]:
    """The lists of ``[*a, *b]`` and ``itertools.chain(a, b)``; of any other expression, itself."""
    match node:
        case ast.List(elts=parts) | ast.Tuple(elts=parts) if parts and all(isinstance(p, ast.Starred) for p in parts):
            return [part.value for part in parts if isinstance(part, ast.Starred)]
        case ast.Call(func=ast.Name(id="chain") | ast.Attribute(attr="chain"), args=parts) if parts:
            return [node] if any(isinstance(part, ast.Starred) for part in parts) else parts
        case _:
            return [node]


def last_value(node: ast.expr) -> str | None:
    """What the counter of ``range(n)`` or ``range(a, n)`` is in the last turn, as text; None for any other loop."""
    match node:
        case ast.Call(func=ast.Name(id="range"), args=[bound] | [_, bound]):
            return ast.unparse(ast.BinOp(bound, ast.Sub(), ast.Constant(1)))
        case _:
            return None


def counters(body: Sequence[ast.stmt]) -> set[str]:
    """The names that a loop's body advances."""
    return {
        node.target.id
        for statement in body
        for node in walk(statement)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
    }


def assigned(body: Sequence[ast.stmt]) -> set[str]:
    """The names that plain assignments in a block bind."""
    targets = [
        target
        for statement in body
        for node in walk(statement)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.For)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return set(names_in(*targets))


def breaks_off(body: Sequence[ast.stmt]) -> bool:
    """Does a ``break`` in this body end the loop that the body belongs to?"""
    return any(isinstance(node, ast.Break) or breaks_off(_of_same_loop(node)) for node in body)


def _of_same_loop(node: ast.stmt) -> list[ast.stmt]:
    """The statements inside one whose ``break`` is the outer loop's: of an inner loop, those after its end."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return []
    inside = node.orelse if isinstance(node, ast.For | ast.AsyncFor | ast.While) else children(node)
    blocks = [part for child in inside for part in ([child] if isinstance(child, ast.stmt) else children(child))]
    return [part for part in blocks if isinstance(part, ast.stmt)]
