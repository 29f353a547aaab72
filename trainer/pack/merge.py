"""One module out of several, with the meaning of every name kept.

Each name keeps its spelling where it can. Where two modules define the same one, where it is also imported from outside, or
where it hides a builtin, the later definition is renamed to `<module>_<name>`; imports within the package become the names
that they stand for. A renamed name that a local variable would hide is a ValueError: nothing is renamed by guessing.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping, Sequence

from trainer.pack.modules import Module
from trainer.pack.references import begins_with_docstring, top_level_names
from trainer.pack.scopes import ScopedTransformer

Names = Mapping[tuple[str, str], str]  # (module, name there) to the name in the merged module


def merge(modules: Sequence[Module]) -> ast.Module:
    """The statements of all modules under common imports; the modules come in dependency order and are used up."""
    external = _external_imports(modules)
    names = _choose_names(modules, set(external))
    trees = [_Renamer(module, names).visit(module.tree) for module in modules]
    docstring = trees[-1].body[:1] if begins_with_docstring(trees[-1].body) else []
    imports = _grouped(ast.parse("\n".join(sorted(external.values()))).body)
    body = [each for tree in trees for each in tree.body[1 if begins_with_docstring(tree.body) else 0 :]]
    return ast.Module(body=[*docstring, *imports, *body], type_ignores=[])


def _grouped(imports: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Imports of whole modules, then one `from` import of each module."""
    plain = [each for each in imports if isinstance(each, ast.Import)]
    names: dict[str | None, list[ast.alias]] = {}
    for each in imports:
        if isinstance(each, ast.ImportFrom):
            names.setdefault(each.module, []).extend(each.names)
    whole = [ast.Import([alias for each in plain for alias in each.names])] if plain else []
    return [*whole, *(ast.ImportFrom(module, aliases, 0) for module, aliases in names.items())]


def _external_imports(modules: Sequence[Module]) -> dict[str, str]:
    found: dict[str, tuple[str, Module]] = {}
    for module in modules:
        for local, words in module.external.items():
            other, where = found.setdefault(local, (words, module))
            if other != words:
                raise ValueError(f"{module.path}: {words!r} and {where.path}: {other!r} are different things of one name")
    return {local: words for local, (words, _) in found.items()}


def _choose_names(modules: Sequence[Module], imported: set[str]) -> Names:
    chosen: dict[tuple[str, str], str] = {}
    taken = imported | set(dir(builtins))
    own = {name for module in modules for name in top_level_names(module.tree)}
    for module in modules:
        for name in dict.fromkeys(top_level_names(module.tree)):
            new = name
            if name in taken and not name.startswith("__"):
                new = f"{module.name}_{name.lstrip('_')}"
                if new in taken or new in own:
                    raise ValueError(f"{module.path}: {name} is defined elsewhere too, and {new} is not free either")
            taken.add(new)
            chosen[module.name, name] = new
    return chosen


class _Renamer(ScopedTransformer):
    """Puts the merged names into one module."""

    def __init__(self, module: Module, names: Names) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def _resolve(self, where: str, name: str) -> str:
        try:
            return self.names[where, name]
        except KeyError:
            raise ValueError(f"{self.module.path}: {where} has no {name} of its own to import") from None

    def _new(self, name: str) -> str:
        """What a global name of this module becomes; builtins and imports from outside stay."""
        if name in self.module.members:
            return self._resolve(*self.module.members[name])
        return self.names.get((self.module.name, name), name)

    def _renamed(self, node: ast.expr, old: str, new: str) -> ast.Name:
        if new != old and not self.is_global(new):
            raise ValueError(f"{self.module.path}:{node.lineno}: a local variable {new} hides what {old} becomes")
        return ast.copy_location(ast.Name(new, getattr(node, "ctx", ast.Load())), node)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A global name becomes the merged one."""
        if node.id in self.module.modules and self.is_global(node.id):
            raise ValueError(f"{self.module.path}:{node.lineno}: {node.id} is used as an object; name what is needed of it")
        return self._renamed(node, node.id, self._new(node.id)) if self.is_global(node.id) else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """`module.name` becomes the name."""
        owner = node.value
        if isinstance(owner, ast.Name) and owner.id in self.module.modules and self.is_global(owner.id):
            new = self._resolve(self.module.modules[owner.id], node.attr)
            return self._renamed(node, f"{owner.id}.{node.attr}", new)
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Definitions at the top get their merged name."""
        at_top = not self._scopes
        super().visit_FunctionDef(node)
        if at_top:
            node.name = self._new(node.name)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """Definitions at the top get their merged name."""
        at_top = not self._scopes
        super().visit_ClassDef(node)
        if at_top:
            node.name = self._new(node.name)
        return node
