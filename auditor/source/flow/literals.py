"""Evaluates displays: f-strings, lists, dictionaries, comprehensions, functions."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditor.source.flow import ordering
from auditor.source.flow import values as v
from auditor.source.flow.indexing import turned

if TYPE_CHECKING:
    from auditor.source.flow.expressions import Expressions

UNKNOWN_TEXT = "\0"


@dataclass(slots=True)
class Literals:
    """Evaluates displays on a machine."""

    expressions: Expressions

    def text(self, node: ast.JoinedStr, env: v.Environment) -> v.Value:
        """An f-string: a constant where all its parts are plain, else a text that remembers what it tells."""
        pieces: list[str] = []
        parts: list[v.Data] = []
        for piece in node.values:
            value = self.expressions.value(piece, env)
            if isinstance(value, v.Const):
                pieces.append(str(value.value))
            elif isinstance(value, v.File):
                pieces.append(value.path)
                parts.append(v.Data(files=value.files))
            else:
                pieces.append(value.text or UNKNOWN_TEXT if isinstance(value, v.Data) else UNKNOWN_TEXT)
                parts.append(v.summary(value))
        text = "".join(pieces)
        if not parts or all(v.is_plain(part) for part in parts):
            return v.Const(text)
        result = v.derived(*parts)
        result.text, result.origin = text, self.expressions.machine.recorder.here(node)
        return result

    def sequence(self, node: ast.Tuple | ast.List | ast.Set, env: v.Environment, is_tuple: bool) -> v.Value:
        """A list, tuple or set display."""
        items: list[v.Value] = []
        exact = True
        for element in node.elts:
            value = self.expressions.value(element, env)
            if isinstance(element, ast.Starred):
                if isinstance(value, v.Sequence):
                    items.extend(value.items)
                    exact = exact and value.exact
                else:
                    items.append(v.summary(value))
                    exact = False
            else:
                items.append(value)
        return v.Sequence(items, exact, is_tuple)

    def mapping(self, node: ast.Dict, env: v.Environment) -> v.Value:
        """A dictionary display."""
        mapping = v.Mapping(rest=v.Data(born=self.expressions.machine.recorder.turns))
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            value = self.expressions.value(value_node, env)
            if key_node is None:
                self.expressions.methods.containers.update_mapping(mapping, value)
                continue
            key = self.expressions.value(key_node, env)
            if isinstance(key, v.Const):
                mapping.entries[key.value] = value
            else:
                mapping.others.append(value)
        return mapping

    def comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, env: v.Environment
    ) -> v.Value:
        """A comprehension: over a few known items exactly, else one element for all."""
        inside = v.Environment(env.module, {}, env)
        exact = self._unrolled(node, env)
        if exact is not None:
            return exact
        order = None
        for generator in node.generators:
            iterated = self.expressions.value(generator.iter, inside)
            order = order or ordering.of(iterated)
            element = turned(self.expressions.element(iterated, None), self.expressions.machine.recorder.ended_turn())
            self.expressions.calls.assignments.assign(generator.target, element, inside)
            for test in generator.ifs:
                self.expressions.value(test, inside)
        if isinstance(node, ast.DictComp):
            self.expressions.value(node.key, inside)
            return v.Mapping(others=[self.expressions.value(node.value, inside)])
        first = _first(node, iterated) if order is None else None
        return v.Sequence([self.expressions.value(node.elt, inside)], exact=False, order=order, first=first)

    def _unrolled(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, env: v.Environment
    ) -> v.Value | None:
        """A comprehension over a few known items, item by item."""
        if len(node.generators) != 1 or node.generators[0].ifs or isinstance(node, ast.DictComp):
            return None
        generator = node.generators[0]
        iterated = self.expressions.value(generator.iter, env)
        if not (isinstance(iterated, v.Sequence) and iterated.exact and len(iterated.items) <= 8):
            return None
        items: list[v.Value] = []
        for item in iterated.items:
            inside = v.Environment(env.module, {}, env)
            self.expressions.calls.assignments.assign(generator.target, item, inside)
            items.append(self.expressions.value(node.elt, inside))
        return v.Sequence(items)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, env: v.Environment) -> v.Value:
        """A function object with its defaults."""
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        pairs = list(zip(positional[::-1], arguments.defaults[::-1], strict=False))
        pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
        defaults = {argument.arg: self.expressions.value(default, env) for argument, default in pairs}
        return v.Function(node, env, defaults)


def _first(node: ast.ListComp | ast.SetComp | ast.GeneratorExp, iterated: v.Value) -> int | None:
    """What the list of a range's numbers begins with; a condition on them is taken to let the first pass."""
    generator, elt = node.generators[0], node.elt
    is_same = len(node.generators) == 1 and isinstance(elt, ast.Name) and ast.unparse(generator.target) == elt.id
    return iterated.index.start if is_same and isinstance(iterated, v.Data) and iterated.index else None
