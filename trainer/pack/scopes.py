"""Which names of a piece of code are the module's: a walk that knows the scopes around each name.

Python's rules as far as the trainer uses them: functions, lambdas and comprehensions hide the names that they bind; the
body of a class sees its own names, functions inside it do not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from trainer.pack.walk import Transformer, children, walk

Function = ast.FunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def parameters(arguments: ast.arguments) -> list[ast.arg]:
    """All parameters, in order; `*args` and `**kwargs` last."""
    extra = [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]


def bindings(nodes: list[ast.stmt] | list[ast.expr] | list[ast.comprehension]) -> Iterator[str]:
    """Names that these nodes bind in their own scope, those of scopes inside them left out."""
    pending: list[ast.AST] = list(nodes)
    while pending:
        node = pending.pop()
        match node:
            case None:  # a missing key or default
                continue
            case ast.FunctionDef() | ast.ClassDef():
                yield node.name
                pending += node.decorator_list
                continue
            case ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                pending += [inner for inner in walk(node) if isinstance(inner, ast.NamedExpr)]
                continue
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.ExceptHandler(name=str() as name):
                yield name
            case ast.Global():
                raise ValueError(f"global {', '.join(node.names)}: a function that sets a global name cannot be packed")
            case ast.alias():
                yield node.asname or node.name.partition(".")[0]
        pending += children(node)


class ScopedTransformer(Transformer):
    """A transformer that can tell whether a name is the module's. Subclasses override `visit_Name` and what they need."""

    def __init__(self) -> None:
        self._scopes: list[tuple[set[str], bool]] = []  # names, and whether it is a class

    def is_global(self, name: str) -> bool:
        """Is this name, used here, looked up in the module?"""
        innermost = len(self._scopes) - 1
        return not any(
            name in names for depth, (names, is_class) in enumerate(self._scopes) if not is_class or depth == innermost
        )

    def _within(self, names: set[str], is_class: bool, node: ast.AST, fields: tuple[str, ...]) -> None:
        self._scopes.append((names, is_class))
        self._visit_fields(node, fields)
        self._scopes.pop()

    def _visit_fields(self, node: ast.AST, fields: tuple[str, ...]) -> None:
        for name in fields:
            value = getattr(node, name)
            if isinstance(value, list):
                setattr(node, name, self.visited(value))
            elif value is not None:
                setattr(node, name, self.visit(value))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        """Decorators, defaults and annotations outside; the body inside."""
        self._visit_fields(node, ("decorator_list", "args", "returns"))
        names = {parameter.arg for parameter in parameters(node.args)} | set(bindings(node.body))
        self._within(names, False, node, ("body",))
        return node

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        """Defaults outside, the body inside."""
        self._visit_fields(node, ("args",))
        self._within({parameter.arg for parameter in parameters(node.args)}, False, node, ("body",))
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        """Decorators and bases outside; the body is a scope that functions inside it do not see."""
        self._visit_fields(node, ("decorator_list", "bases", "keywords"))
        self._within(set(bindings(node.body)), True, node, ("body",))
        return node

    def _comprehension(self, node: Comprehension, fields: tuple[str, ...]) -> Any:
        node.generators[0].iter = self.visit(node.generators[0].iter)
        names = {name for generator in node.generators for name in bindings([generator.target])}
        self._scopes.append((names, False))
        self._visit_fields(node, fields)
        for index, generator in enumerate(node.generators):
            self._visit_fields(generator, ("target", "ifs") if index == 0 else ("target", "iter", "ifs"))
        self._scopes.pop()
        return node

    def visit_ListComp(self, node: ast.ListComp) -> Any:
        """A scope of its own, but for its first iterable."""
        return self._comprehension(node, ("elt",))

    def visit_SetComp(self, node: ast.SetComp) -> Any:
        """A scope of its own, but for its first iterable."""
        return self._comprehension(node, ("elt",))

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> Any:
        """A scope of its own, but for its first iterable."""
        return self._comprehension(node, ("elt",))

    def visit_DictComp(self, node: ast.DictComp) -> Any:
        """A scope of its own, but for its first iterable."""
        return self._comprehension(node, ("key", "value"))
