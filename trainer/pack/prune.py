"""Leaves out what a program cannot reach.

A definition is reached if a name that is reached leads to it. A method is reached if its class is, and if an attribute of its
name is used anywhere in reached code; special methods and those that torch calls are always. Names, not objects: two methods
of one name stay or go together. Definitions at the top of a module are taken to have no effect beyond what they define.

Attributes that are set and never read, and names of functions that are bound to a literal or a name and never read, go too.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from trainer.pack.constants import is_pure, stores
from trainer.pack.facts import CALLED_BY_TORCH
from trainer.pack.references import References, bound_names, is_definition
from trainer.pack.walk import Transformer, walk


def prune(tree: ast.Module, *, for_readers: bool) -> set[str]:
    """Leave out what cannot be reached, in place; the names of the attributes that what is left reads.
    
    `for_readers` keeps what only annotations name."""
    reached = _Reached(tree, for_readers=for_readers)
    kept = []
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            statement.names = [each for each in statement.names if (each.asname or each.name.partition(".")[0]) in reached.names]
            kept += [statement] if statement.names else []
        elif reached.has(statement):
            kept.append(statement)
        if isinstance(statement, ast.ClassDef):
            statement.body = [each for each in statement.body if reached.has_member(each)]
    tree.body = kept
    _UnreadStores(reached.attributes).visit(tree)
    return reached.attributes


class _Reached:
    """The names and attributes that are reached from the statements of a module that define nothing."""

    def __init__(self, tree: ast.Module, *, for_readers: bool) -> None:
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self._for_readers = for_readers
        pending = [part for statement in tree.body for part in _parts(statement)]
        while True:
            ready = [part for part in pending if self._is_ready(part)]
            if not ready:
                return
            for part in ready:
                self._read(part.node)
            pending = [part for part in pending if part not in ready]

    def has(self, statement: ast.stmt) -> bool:
        """Is a statement at the top reached? One that defines nothing always is."""
        return not is_definition(statement) or any(name in self.names for name in bound_names(statement))

    def has_member(self, member: ast.stmt) -> bool:
        """Is this member of a reached class reached? Constants of a class go when nothing reads them; fields stay."""
        match member:
            case ast.FunctionDef(name=name):
                return name.startswith("__") or name in CALLED_BY_TORCH or name in self.attributes
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if is_class_variable(annotation):
                return name in self.attributes
        return True

    def _is_ready(self, part: _Part) -> bool:
        if part.owner is not None:
            return part.owner in self.names and self.has_member(part.node)
        return self.has(part.node)

    def _read(self, node: ast.stmt) -> None:
        references = References()
        references.visit(node)
        self.names |= references.names
        self.attributes |= references.attributes
        if self._for_readers:
            self.names |= references.in_annotations


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A statement at the top, a class without its methods, or a method and its class."""

    owner: str | None
    node: ast.stmt


def _parts(statement: ast.stmt) -> Iterator[_Part]:
    if not isinstance(statement, ast.ClassDef):
        yield _Part(None, statement)
        return
    methods = [member for member in statement.body if isinstance(member, ast.FunctionDef)]
    rest = [member for member in statement.body if member not in methods]
    shell = ast.ClassDef(statement.name, statement.bases, statement.keywords, rest, statement.decorator_list)
    yield _Part(None, shell)
    yield from (_Part(statement.name, method) for method in methods)


def is_class_variable(annotation: ast.expr) -> bool:
    """Is an annotation `ClassVar` or `ClassVar[...]`?"""
    return ast.unparse(annotation).partition("[")[0].endswith("ClassVar")


class _UnreadStores(Transformer):
    """Drops `self.x = y` where nothing reads an attribute x, and names of functions that nothing reads."""

    def __init__(self, read: set[str]) -> None:
        self.read = read
        self.locals: list[set[str]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Find the names that are bound once and never read."""
        counts = Counter(stores(*node.body))
        loads = {each.id for each in walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
        self.locals.append({name for name, count in counts.items() if count == 1 and name not in loads})
        self.generic_visit(node)
        self.locals.pop()
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | None:
        """An assignment of something without effects."""
        if len(node.targets) > 1 or not is_pure(node.value):
            return node
        match node.targets[0]:
            case ast.Attribute(value=ast.Name(id="self"), attr=attr) if attr not in self.read:
                return None
            case ast.Name(id=name) if self.locals and name in self.locals[-1]:
                return None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        """A declaration of an attribute, or an assignment of something without effects."""
        if node.value is not None and not is_pure(node.value):
            return node
        is_own = isinstance(node.target, ast.Attribute) and ast.unparse(node.target.value) == "self"
        return None if is_own and isinstance(node.target, ast.Attribute) and node.target.attr not in self.read else node
