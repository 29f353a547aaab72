"""Questions to the syntax of functions and decorators that need no evaluation."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from auditor.source.parse import children, walk

_MAX_CONFIGURING_NODES = 4_000
_CHANGING = frozenset(["append", "extend", "insert", "update", "add", "setdefault", "pop", "remove", "clear", "sort"])
_CONFIGURING_WORDS = frozenset(["environ", "getenv", "ArgumentParser", "parse_args", "parse_known_args", "setattr"])


def kind_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Whether a method is a property, a class method or a static method; empty for neither."""
    names = [ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list]
    known = ("property", "classmethod", "staticmethod")
    if "cached_property" in names:
        return "property"
    return next((name for name in names if name in known), "")


def is_dataclass(decorator: ast.expr) -> bool:
    """Does the decorator make a dataclass?"""
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator).rpartition(".")[2] == "dataclass"


def is_generator(node: ast.AST) -> bool:
    """Does the function yield or await?"""
    return any(isinstance(inner, ast.Yield | ast.YieldFrom | ast.Await) for inner in own_nodes(node))


def mentions_configuration(node: ast.AST) -> bool:
    """Does the function read the environment or arguments, or set attributes of objects other than its own?"""
    for count, inner in enumerate(walk(node)):
        if count > _MAX_CONFIGURING_NODES:
            return False
        if isinstance(inner, ast.Attribute):
            stored = isinstance(inner.ctx, ast.Store) and isinstance(inner.value, ast.Name | ast.Attribute)
            if inner.attr in _CONFIGURING_WORDS or (stored and not _is_of_self(inner)):
                return True
        elif isinstance(inner, ast.Name) and inner.id in _CONFIGURING_WORDS:
            return True
    return False


def _is_of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what it holds, without the insides of functions and classes defined in it."""
    pending = [node]
    while pending:
        inner = pending.pop()
        yield inner
        if inner is node or not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            pending.extend(children(inner))


def as_read(target: ast.Name | ast.Attribute) -> ast.expr:
    """An assignment's target as an expression that reads it."""
    if isinstance(target, ast.Name):
        return ast.Name(id=target.id, ctx=ast.Load())
    return ast.Attribute(value=target.value, attr=target.attr, ctx=ast.Load())


def changed_container(node: ast.AST) -> str | None:
    """The name of a list, set or dictionary that a node changes in place; None if it changes none."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
        return node.value.id
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        return node.func.value.id if node.func.attr in _CHANGING else None
    return None
