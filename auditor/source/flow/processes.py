"""Other programs that a script starts: shells, package managers, its own scripts."""

from __future__ import annotations

import ast
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
            for module in self.machine.script.modules[1:]:
                if word.endswith(".py") and module.path.endswith(word.lstrip("./")):
                    self.calls.run_module(module, as_main=True)
        return v.Data()

    def run_path(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """``runpy.run_path(path)``."""
        path = arguments[0] if arguments else v.NONE
        name = path.path if isinstance(path, v.File) else str(path.value) if isinstance(path, v.Const) else ""
        return self._run_named(name, node)

    def _run_named(self, name: str, node: ast.AST) -> v.Value:
        stem = name.rsplit("/", 1)[-1].removesuffix(".py")
        for module in self.machine.script.modules:
            if stem and module.path.rsplit("/", 1)[-1].removesuffix(".py") == stem:
                return self.calls.run_module(module, as_main=True)
        self.machine.recorder.unknown(node, name or "a script", "runs code that is not shipped or not named")
        return v.Data()

    def execute(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """``exec(code)``: of a sibling's source, if that is what it is."""
        siblings = self.machine.script.modules[1:]
        if len(siblings) == 1:
            return self.calls.run_module(siblings[0], as_main=True)
        self.machine.recorder.unknown(node, "exec", "runs code that is made at run time")
        return v.Data()


def _constants(value: v.Value, depth: int = 0) -> list[v.Const]:
    if isinstance(value, v.Const):
        return [value]
    return [c for part in v.parts_of(value) for c in _constants(part, depth + 1)] if depth < 4 else []
