"""Questions about the syntax of loops: what they go through, what they count, and what a condition only bounds."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from auditor.source.parse import walk


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
    """The names that augmented assignments in a block change."""
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
    return {node.id for target in targets for node in walk(target) if isinstance(node, ast.Name)}


def is_bound(node: ast.If) -> bool:
    """``if x < low: x = low``, which keeps a number within bounds and chooses nothing."""
    match node:
        case ast.If(
            test=ast.Compare(left=tested, ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE()], comparators=[bound]),
            body=[ast.Assign(targets=[target], value=value)],
            orelse=[],
        ):
            return ast.unparse(target) == ast.unparse(tested) and ast.unparse(value) == ast.unparse(bound)
        case _:
            return False
