"""Values as syntax and back: numbers, strings, booleans, None, and tuples of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from trainer.pack.walk import walk

_NEVER_RAISES = (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)


class NotConstantError(Exception):
    """A piece of syntax is no constant."""


def to_node(value: object) -> ast.expr:
    """The literal of a value."""
    if isinstance(value, tuple):
        return ast.Tuple([to_node(item) for item in value], ast.Load())
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)  # type: ignore[arg-type]


def to_value(node: ast.expr) -> object:
    """The value of a literal; NotConstantError if it is none."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=items):
            return tuple(to_value(item) for item in items)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
    raise NotConstantError


def is_constant(node: ast.expr) -> bool:
    """Is this a literal?"""
    try:
        to_value(node)
    except NotConstantError:
        return False
    return True


def is_pure(node: ast.expr) -> bool:
    """Can this be left out, if nobody asks for its value? Literals, names, attributes and equality of these can."""
    match node:
        case ast.Name():
            return True
        case ast.Attribute(value=value) | ast.UnaryOp(op=ast.Not(), operand=value):
            return is_pure(value)
        case ast.Compare(left=left, ops=ops, comparators=rest):
            return all(isinstance(op, _NEVER_RAISES) for op in ops) and all(is_pure(value) for value in (left, *rest))
        case ast.BoolOp(values=values):
            return all(is_pure(value) for value in values)
    return is_constant(node)


def stores(*nodes: ast.AST) -> Iterator[str]:
    """Names that anything inside binds or deletes, scopes inside included; repeated where bound again."""
    for inner in walk(*nodes):
        match inner:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name) | ast.ExceptHandler(name=str() as name):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield from (*names, *names)  # bound elsewhere too
            case ast.alias():
                yield inner.asname or inner.name.partition(".")[0]
