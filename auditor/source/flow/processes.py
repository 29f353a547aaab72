"""Other programs that a script starts: shells, package managers, its own scripts."""

from __future__ import annotations

import ast
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditor.network import reaches_out
from auditor.source.flow import values as v
from auditor.source.flow.machine import Machine

if TYPE_CHECKING:
    from auditor.source.flow.calls import Calls


@dataclass(slots=True)
class Processes:
    """Follows what a script starts, as far as it is shipped."""

    machine: Machine
    calls: Calls

    def shell(self, name: str, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """A command for a shell, as far as its words are known."""
        words = [str(c.value) for c in _constants(v.Sequence([*arguments, *keywords.values()]))]
        command = " ".join(words)
        if reaches_out(command):
            self.machine.recorder.connect(node, command[:120])
        for word in words:
            if word.endswith(".py"):
                self._start(word, node)
        return v.Data()

    def _start(self, path: str, node: ast.AST) -> None:
        """A script is started as a process of its own: one of the submission's, or one that is not shipped."""
        modules = self.machine.script.modules
        found = [module for module in modules[1:] if module.path.endswith(path.lstrip("./"))]
        for module in found:
            self.calls.run_module(module, as_main=True)
        if not found:
            name = posixpath.basename(path)
            is_shipped = any(posixpath.basename(module.path) == name for module in modules)
            which = "followed" if is_shipped else "shipped"
            self.machine.recorder.elsewhere(node, f"{name} is started here, and is not {which}")

    def thread(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """``threading.Thread(target=function, args=...)``: what the function does is taken to happen where it is made."""
        target, given = keywords.get("target"), keywords.get("args", v.Sequence([]))
        if isinstance(target, v.Function | v.Method | v.Choice):
            named = keywords.get("kwargs")
            names = {str(key): value for key, value in named.entries.items()} if isinstance(named, v.Mapping) else {}
            self.calls.apply(target, list(v.parts_of(given)), names, node)
        return v.Data()

    def run_path(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """``runpy.run_path(path)``."""
        path = arguments[0] if arguments else v.NONE
        return self._run_named(_path_of(path), node)

    def _run_named(self, name: str, node: ast.AST) -> v.Value:
        stem = _stem(name)
        here = self.machine.recorder.frames[-1].module
        for module in self.machine.script.modules:
            if stem and module is not here and _stem(module.path) == stem:
                return self.calls.run_module(module, as_main=True)
        named = name.replace("\0", "..") or "a script"
        self.machine.recorder.unknown(node, named, "is run here, and is not shipped or not named")
        return v.Data()

    def module_of_file(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """``importlib.util.spec_from_file_location(name, path)``: the module there, a shipped one if it may be."""
        path = arguments[1] if len(arguments) > 1 else keywords.get("location", v.NONE)
        stems = [_stem(_path_of(option)) for option in v.options(path)]
        found = (self.calls.imported(stem) for stem in stems if stem)
        module = next((module for module in found if module is not None), None)
        return module if module is not None else v.Library(next(filter(None, stems), "a module"))

    def execute(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """``exec(code)``: of a sibling's source, if that is what it is."""
        siblings = self.machine.script.modules[1:]
        if len(siblings) == 1:
            return self.calls.run_module(siblings[0], as_main=True)
        self.machine.recorder.unknown(node, "exec", "runs code that is made at run time")
        return v.Data()


def _path_of(value: v.Value) -> str:
    """The text of a path; empty if it is not known."""
    return value.path if isinstance(value, v.File) else str(value.value) if isinstance(value, v.Const) else ""


def _stem(path: str) -> str:
    """The name that a script at a path is imported by."""
    return posixpath.basename(path).removesuffix(".py")


def _constants(value: v.Value, depth: int = 0) -> list[v.Const]:
    if isinstance(value, v.Const):
        return [value]
    return [c for part in v.parts_of(value) for c in _constants(part, depth + 1)] if depth < 4 else []
