"""The modules that a packed script is made of: an entry module, and of the others what it needs.

They come in dependency order, each after those that it imports, so that the statements of all of them, one module after the
other, run as they did. A module of which nothing is needed is not even read. What only a type checker reads (`if
TYPE_CHECKING`) is left out. Imports of the package inside a function count like those at the top. Not covered: cycles of
imports, `import *`, relative imports; each is a ValueError.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.pack.comments import Comments
from trainer.pack.references import References, begins_with_docstring, bound_names, is_definition
from trainer.pack.walk import Transformer


@dataclass(slots=True)
class Module:
    """One module of the package. `name` is without the package; what it imports is known by the local names.

    `members` are names of other modules of the package (local name to module and name), `modules` such modules themselves,
    `external` everything else (local name to the statement that imports it alone).
    """

    name: str
    path: Path
    tree: ast.Module
    members: dict[str, tuple[str, str]]
    modules: dict[str, str]
    external: dict[str, str]


@dataclass(frozen=True, slots=True)
class Package:
    """A package by its name and folder; modules are files directly in it."""

    name: str
    folder: Path

    def path(self, module: str) -> Path:
        """The file of a module."""
        return self.folder / f"{module}.py"

    def has(self, module: str) -> bool:
        """Is there such a module?"""
        return self.path(module).is_file()


def collect(package: Package, entry: str, comments: Comments | None = None) -> list[Module]:
    """Every module that the entry needs, with what it needs of it; in dependency order, the entry last.

    `comments` takes theirs along.
    """
    collector = _Collector(package, comments)
    collector.need(entry)
    return collector.in_order(entry)


class _Collector:
    """Reads modules as their definitions come to be needed, and drops the other definitions."""

    def __init__(self, package: Package, comments: Comments | None) -> None:
        self._package = package
        self._comments = comments
        self._modules: dict[str, Module] = {}
        self._kept: dict[str, set[int]] = {}  # by identity: statements that are needed

    def need(self, entry: str) -> None:
        """Follow everything that the statements of the entry lead to."""
        pending = list(self._open(entry))
        while pending:
            where, name = pending.pop()
            pending += self._open(where)
            module = self._modules[where]
            for statement in module.tree.body:
                if is_definition(statement) and name in bound_names(statement):
                    pending += self._keep(module, statement)

    def _open(self, name: str) -> Iterator[tuple[str, str]]:
        """Read a module, if that is not done yet: what its statements other than definitions refer to."""
        if name in self._modules:
            return
        module = self._modules[name] = _load(self._package, name, self._comments)
        self._kept[name] = set()
        for statement in module.tree.body:
            if not is_definition(statement):
                yield from self._keep(module, statement)

    def _keep(self, module: Module, statement: ast.stmt) -> Iterator[tuple[str, str]]:
        """Keep a statement: the definitions that it refers to."""
        if id(statement) in self._kept[module.name]:
            return
        self._kept[module.name].add(id(statement))
        references = References(module.modules)
        references.visit(statement)
        for name in references.names | references.in_annotations:
            if name in module.members:
                yield module.members[name]
            elif name not in module.modules:
                yield module.name, name
        yield from ((module.modules[owner], name) for owner, name in references.members)

    def in_order(self, entry: str) -> list[Module]:
        """The modules that were read, each after those that it imports from, without what is not needed."""
        ordered: dict[str, Module] = {}
        self._visit(entry, ordered, ())
        for module in ordered.values():
            kept = self._kept[module.name]
            has_docstring = begins_with_docstring(module.tree.body)
            module.tree.body = [
                each for index, each in enumerate(module.tree.body) if id(each) in kept or (has_docstring and index == 0)
            ]
        return list(ordered.values())

    def _visit(self, name: str, ordered: dict[str, Module], above: tuple[str, ...]) -> None:
        if name in above:
            path = self._package.path(name)
            raise ValueError(f"{path}: imports itself by way of {' -> '.join((*above, name))}")
        if name in ordered or name not in self._modules:
            return
        module = self._modules[name]
        for needed in [*module.modules.values(), *(where for where, _ in module.members.values())]:
            self._visit(needed, ordered, (*above, name))
        ordered[name] = module


def _load(package: Package, name: str, comments: Comments | None) -> Module:
    path = package.path(name)
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    tree = ast.parse(comments.mark(source) if comments is not None else source, str(path))
    tree.body = [statement for statement in tree.body if not _is_for_type_checkers(statement)]
    module = Module(name=name, path=path, tree=tree, members={}, modules={}, external={})
    module.tree = _ImportTaker(package, module).visit(tree)
    return module


def _is_for_type_checkers(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


class _ImportTaker(Transformer):
    """Takes the imports out of a module and notes what they bind; those of other packages inside functions stay."""

    def __init__(self, package: Package, module: Module) -> None:
        self.package = package
        self.module = module
        self.depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Count how deep we are."""
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node

    def visit_Import(self, node: ast.Import) -> ast.Import | None:
        """`import x`, `import x.y as z`."""
        for alias in node.names:
            if self._is_own(alias.name):
                raise ValueError(f"{self.module.path}:{node.lineno}: import {alias.name}: name what it needs of it")
        if self.depth:
            return node
        for alias in node.names:
            words = f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
            self._bind(node, alias.asname or alias.name.partition(".")[0], words)
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        """`from x import y as z`."""
        source = node.module or ""
        if node.level or any(alias.name == "*" for alias in node.names):
            raise ValueError(f"{self.module.path}:{node.lineno}: relative imports and import * cannot be packed")
        if source == "__future__":
            return None
        if self._is_own(source):
            for alias in node.names:
                self._note_own(node, source.partition(".")[2], alias)
            return None
        if self.depth:
            return node
        for alias in node.names:
            words = f"from {source} import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
            self._bind(node, alias.asname or alias.name, words)
        return None

    def _is_own(self, name: str) -> bool:
        return name == self.package.name or name.startswith(f"{self.package.name}.")

    def _note_own(self, node: ast.ImportFrom, source: str, alias: ast.alias) -> None:
        local = alias.asname or alias.name
        if source:
            self.module.members[local] = (source, alias.name)
        elif self.package.has(alias.name):
            self.module.modules[local] = alias.name
        else:
            raise ValueError(f"{self.module.path}:{node.lineno}: {self.package.name} has no module {alias.name}")

    def _bind(self, node: ast.stmt, local: str, words: str) -> None:
        if self.module.external.setdefault(local, words) != words:
            raise ValueError(f"{self.module.path}:{node.lineno}: {local} is imported twice, differently")
