"""What statements define, and what they refer to: names of their module, and names of attributes."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator, Sequence

from trainer.pack.comments import MARK
from trainer.pack.kinds import KindedTransformer, Kinds
from trainer.pack.walk import walk


class References(KindedTransformer):
    """What a piece of code refers to: names of the module, and names of attributes.

    An attribute of an object whose class is known is in `typed`, under that class; any other in `attributes`.
    """

    def __init__(self, modules: Container[str] = (), kinds: Kinds | None = None) -> None:
        super().__init__(kinds or Kinds(ast.Module([], [])))
        self.modules = modules  # names that are modules of the package
        self.typed: set[tuple[str, str]] = set()
        self.members: set[tuple[str, str]] = set()  # of these: module and name
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.in_annotations: set[str] = set()

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A name of the module."""
        if self.is_global(node.id) and not node.id.startswith(MARK):
            self.names.add(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """An attribute, read or deleted or set; what is only set is found elsewhere."""
        if isinstance(node.value, ast.Name) and node.value.id in self.modules and self.is_global(node.value.id):
            self.members.add((node.value.id, node.attr))
        elif not isinstance(node.ctx, ast.Store):
            kind = self.kind_of(node.value)
            if kind is None:
                self.attributes.add(node.attr)
            else:
                self.typed.add((kind, node.attr))
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """`getattr` with a literal name is an attribute."""
        match node:
            case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(value=str() as name), *_]):
                self.attributes.add(name)
        self.generic_visit(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """An annotation is for readers."""
        self._annotation(node.annotation)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """An annotation is for readers."""
        self._annotation(node.annotation)
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """An annotation is for readers."""
        self._annotation(node.returns)
        returns, node.returns = node.returns, None
        super().visit_FunctionDef(node)
        node.returns = returns
        return node

    def _annotation(self, node: ast.expr | None) -> None:
        if node is not None:
            self.in_annotations |= {each.id for each in walk(node) if isinstance(each, ast.Name)}


def is_definition(statement: ast.stmt) -> bool:
    """Has a statement at the top of a module no effect but to bind names? Assignments there are taken to have none."""
    return isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom)


def top_level_names(tree: ast.Module) -> Iterator[str]:
    """What the statements of a module bind, imports left out; in order, repeated where bound again."""
    for statement in tree.body:
        yield from bound_names(statement)


def bound_names(statement: ast.stmt) -> Iterator[str]:
    """What one top-level statement binds."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
        return
    if isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (each.asname or each.name.partition(".")[0] for each in statement.names)
        return
    for node in walk(statement):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            raise ValueError(f"line {node.lineno}: {node.name} is defined under a condition, which cannot be packed")
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def begins_with_docstring(body: Sequence[ast.stmt]) -> bool:
    """Does a block begin with a string of its own?"""
    match body[:1]:
        case [ast.Expr(value=ast.Constant(value=str()))]:
            return True
    return False
