"""Shortens what only people read in a script: names, and the messages of errors.

Only for the self-extracting form; the plain form has both. A name is changed where Python alone knows it: one of the
module, or of the function that binds it if no call anywhere passes it by keyword. Attributes, methods and fields keep their
names, and so does what tells a reader and an auditor that something is printed. An error keeps its type and loses its
words.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import keyword
import string
from collections.abc import Iterator

from trainer.pack.constants import stores
from trainer.pack.references import bound_names, top_level_names
from trainer.pack.scopes import ScopedTransformer, parameters
from trainer.pack.walk import Transformer, walk

_KEPT_LOCALS = frozenset({"log"})
_KEPT_GLOBALS = ("log", "evaluate", "main")  # how the names begin of what prints, and of what it prints the result of


def shorten(source: str) -> str:
    """A script that does the same, by other names; not yet squeezed."""
    tree = ast.parse(source)
    passed = {each.arg for each in walk(tree) if isinstance(each, ast.keyword) and each.arg is not None}
    _Speechless().visit(tree)
    for function in _outermost_functions(tree.body):
        _rename_locals(function, passed | _KEPT_LOCALS)
    _rename_globals(tree)
    return ast.unparse(ast.fix_missing_locations(tree))


class _Speechless(Transformer):
    """Takes the words from errors that are raised."""

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        """`raise E(words) from e` is `raise E`."""
        if isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name) and node.exc.func.id in dir(builtins):
            return ast.Raise(node.exc.func, None)
        return node


def _outermost_functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef]:
    for statement in body:
        if isinstance(statement, ast.FunctionDef):
            yield statement
        elif isinstance(statement, ast.ClassDef):
            yield from _outermost_functions(statement.body)


def _rename_locals(function: ast.FunctionDef, kept: set[str]) -> None:
    """Give the names that a function and the scopes inside it bind the shortest ones that are free in it."""
    own = _LocalNames(function)
    names = [name for name in own.bound if name not in kept and name not in own.elsewhere]
    taken = own.elsewhere | kept | set(dir(builtins))
    new = dict(zip(names, (word for word in _words() if word not in taken), strict=False))
    _Renamer(new).visit(function)


class _LocalNames(ScopedTransformer):
    """`bound`: names that belong to a function or to scopes inside it; `elsewhere`: others, or used as both."""

    def __init__(self, function: ast.FunctionDef) -> None:
        super().__init__()
        self.elsewhere: set[str] = {function.name}
        parameters_first = [each.arg for each in parameters(function.args)]
        self.bound = list(dict.fromkeys([*parameters_first, *sorted(stores(*function.body))]))
        for node in walk(function):
            if isinstance(node, ast.alias | ast.ClassDef | ast.Nonlocal):
                self.elsewhere |= set(self.bound)  # not worth understanding
        self.visit(function)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A name that is the module's."""
        if self.is_global(node.id):
            self.elsewhere.add(node.id)
        return node


def _rename_globals(tree: ast.Module) -> None:
    """Give the module's own definitions short names with a capital, which no local variable has."""
    own = set(top_level_names(tree)) - _imported(tree)
    names = sorted(name for name in own if not name.startswith(_KEPT_GLOBALS))
    taken = {each.id for each in walk(tree) if isinstance(each, ast.Name)} | set(stores(tree))
    _GlobalRenamer(
        dict(zip(names, (word for word in _words(string.ascii_uppercase) if word not in taken), strict=False))
    ).visit(tree)


def _imported(tree: ast.Module) -> set[str]:
    return {name for each in tree.body if isinstance(each, ast.Import | ast.ImportFrom) for name in bound_names(each)}


class _GlobalRenamer(ScopedTransformer):
    def __init__(self, new: dict[str, str]) -> None:
        super().__init__()
        self.new = new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if self.is_global(node.id):
            node.id = self.new.get(node.id, node.id)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        at_top = not self._scopes
        super().visit_FunctionDef(node)
        node.name = self.new.get(node.name, node.name) if at_top else node.name
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        super().visit_ClassDef(node)
        node.name = self.new.get(node.name, node.name)
        return node


class _Renamer(Transformer):
    def __init__(self, new: dict[str, str]) -> None:
        self.new = new
        self.depth = 0

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.new.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg = self.new.get(node.arg, node.arg)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.ExceptHandler:
        node.name = self.new.get(node.name or "", node.name)
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if self.depth:
            node.name = self.new.get(node.name, node.name)
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node


def _words(first: str = string.ascii_lowercase) -> Iterator[str]:
    """Words that begin with one of these letters, shortest first."""
    for length in itertools.count():
        for letters in itertools.product(first, *[string.ascii_lowercase] * length):
            word = "".join(letters)
            if not keyword.iskeyword(word):
                yield word
