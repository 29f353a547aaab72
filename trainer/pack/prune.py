"""Leaves out what a program cannot reach.

A definition is reached if a name that is reached leads to it. A method is reached if its class is, and if an attribute of
its name is used anywhere in reached code; special methods and those that torch calls are always. Names, not objects: two
methods of one name stay or go together. Definitions at the top of a module are taken to have no effect beyond what they
define.

Attributes that are set and never read, and names of functions that are bound to a literal or a name and never read, go too.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from trainer.pack.constants import is_pure, stores
from trainer.pack.facts import CALLED_BY_TORCH
from trainer.pack.kinds import Kinds
from trainer.pack.references import References, bound_names, is_definition
from trainer.pack.walk import Transformer, walk


def prune(tree: ast.Module, kinds: Kinds, *, for_readers: bool) -> Reached:
    """Leave out what cannot be reached, in place; what is reached. `for_readers` keeps what only annotations name."""
    reached = Reached(tree, kinds, for_readers=for_readers)
    kept: list[ast.stmt] = []
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            statement.names = [
                each for each in statement.names if (each.asname or each.name.partition(".")[0]) in reached.names
            ]
            kept += [statement] if statement.names else []
        elif reached.has(statement):
            kept.append(statement)
        if isinstance(statement, ast.ClassDef):
            statement.body = [each for each in statement.body if reached.has_member(statement.name, each)]
    tree.body = kept
    _UnreadStores(reached).visit(tree)
    return reached


class Reached:
    """The names and attributes that are reached from the statements of a module that define nothing."""

    def __init__(self, tree: ast.Module, kinds: Kinds, *, for_readers: bool) -> None:
        self.names: set[str] = set()
        self._attributes: set[str] = set()  # of objects of unknown class
        self._typed: set[tuple[str, str]] = set()
        self._kinds = kinds
        self._for_readers = for_readers
        pending = [part for statement in tree.body for part in _parts(statement)]
        while True:
            ready = [part for part in pending if self._is_ready(part)]
            if not ready:
                return
            for part in ready:
                self._read(part)
            pending = [part for part in pending if part not in ready]

    def has(self, statement: ast.stmt) -> bool:
        """Is a statement at the top reached? One that defines nothing always is."""
        return not is_definition(statement) or any(name in self.names for name in bound_names(statement))

    def has_attribute(self, owner: str, name: str) -> bool:
        """Is an attribute of this name read, of an object of this class or of one that may be of it?"""
        classes = (owner, *self._kinds.bases_of(owner)) if owner in self._kinds.classes else ()
        return name in self._attributes or any((each, name) in self._typed for each in classes)

    def has_member(self, owner: str, member: ast.stmt) -> bool:
        """Is this member of a reached class reached? Constants of a class go when nothing reads them; fields stay."""
        match member:
            case ast.FunctionDef(name=name):
                return name.startswith("__") or name in CALLED_BY_TORCH or self.has_attribute(owner, name)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if is_class_variable(annotation):
                return self.has_attribute(owner, name)
        return True

    def _is_ready(self, part: _Part) -> bool:
        if part.owner is not None:
            return part.owner in self.names and self.has_member(part.owner, part.node)
        return self.has(part.node)

    def _read(self, part: _Part) -> None:
        references = References(kinds=self._kinds)
        references.owner = part.owner
        references.visit(part.node)
        self.names |= references.names
        self._attributes |= references.attributes
        for kind, name in references.typed:
            if self._kinds.has_relatives(kind):
                self._attributes.add(name)
            self._typed.add((kind, name))
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

    def __init__(self, reached: Reached) -> None:
        self.reached = reached
        self.owner = ""
        self.locals: list[set[str]] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Inside, `self` is of this class."""
        before, self.owner = self.owner, node.name
        self.generic_visit(node)
        self.owner = before
        return node

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
            case ast.Attribute(value=ast.Name(id="self"), attr=attr) if not self.reached.has_attribute(self.owner, attr):
                return None
            case ast.Name(id=name) if self.locals and name in self.locals[-1]:
                return None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        """A declaration of an attribute, or an assignment of something without effects."""
        if node.value is not None and not is_pure(node.value):
            return node
        match node.target:
            case ast.Attribute(value=ast.Name(id="self"), attr=attr) if not self.reached.has_attribute(self.owner, attr):
                return None
        return node
