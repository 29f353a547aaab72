"""In which order a loop goes through its list, where that is not the order in which the list was made.

Told are ``reversed``, ``sorted`` and ``sort`` with a key or backwards, a step of minus one, shuffles and random
permutations, and one stride of a list after another. A plain sort, and one stride alone (a rank's share), keep the order.
Not covered: an order that is computed position by position, or read from a file.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from auditor.source.flow import values as v

_SHUFFLES = frozenset({"randperm", "permutation", "argsort", "shuffle"})
_KEEPS = frozenset({"list", "tuple", "iter", "enumerate", "zip"})


def of(value: v.Value) -> str | None:
    """How the items of `value` were put out of their order; None if nothing tells that they were."""
    return value.order if isinstance(value, v.Data | v.Sequence) else None


def copied(name: str, given: Sequence[v.Value], keywords: Mapping[str, v.Value], result: v.Value, node: ast.AST) -> v.Value:
    """The result of a function of Python's own, with the order of its items."""
    order = None
    if name in _KEEPS:
        order = next((known for value in given if (known := of(value))), None)
    elif name == "reversed" or (name == "sorted" and _is_by_something(keywords)):
        order = _text(node)
    return marked(result, order)


def of_range(given: Sequence[v.Value], node: ast.AST) -> str | None:
    """The order of ``range(...)``: backwards under a negative step."""
    step = given[2] if len(given) > 2 else v.NONE
    backwards = isinstance(step, v.Const) and isinstance(step.value, int) and step.value < 0
    return _text(node) if backwards else None


def marked(value: v.Value, order: str | None) -> v.Value:
    """The value with an order, as a copy where it is not its own already."""
    if order is None or not isinstance(value, v.Data | v.Sequence) or value.order == order:
        return value
    if isinstance(value, v.Sequence):
        return v.Sequence(list(value.items), value.exact, value.is_tuple, value.turns, order=order)
    result = v.derived(value)
    result.index, result.shift, result.span, result.order = value.index, value.shift, value.span, order
    return result


def sorted_in_place(items: v.Sequence | v.Data, name: str, keywords: Mapping[str, v.Value], node: ast.AST) -> None:
    """``items.sort(...)`` and ``items.reverse()``."""
    if name in ("sort", "reverse"):
        items.order = _text(node) if name == "reverse" or _is_by_something(keywords) else None


def shuffled(name: str, given: Sequence[v.Value], result: v.Data, node: ast.AST) -> None:
    """A random permutation, or a list that is shuffled in place."""
    if name not in _SHUFFLES:
        return
    result.order = _text(node)
    if name == "shuffle" and given and isinstance(given[0], v.Data | v.Sequence):
        given[0].order = result.order


def of_slice(value: v.Value, node: ast.expr) -> str | None:
    """The order of ``value[node]``."""
    step = node.step if isinstance(node, ast.Slice) else None
    backwards = isinstance(step, ast.UnaryOp) and isinstance(step.op, ast.USub)
    return f"[{_text(node)}]" if backwards else of(value)


def of_strides(parts: Sequence[ast.expr], node: ast.expr) -> str | None:
    """The order of lists that follow each other, where each is one stride of a list."""
    strides = [p for p in parts if isinstance(p, ast.Subscript) and isinstance(p.slice, ast.Slice) and p.slice.step]
    return _text(node) if len(parts) > 1 and len(strides) == len(parts) else None


def _is_by_something(keywords: Mapping[str, v.Value]) -> bool:
    return any(name in keywords and keywords[name] not in (v.NONE, v.Const(False)) for name in ("key", "reverse"))


def _text(node: ast.AST) -> str:
    return ast.unparse(node)[:80]
