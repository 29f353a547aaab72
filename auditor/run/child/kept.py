"""Tells the plain numbers that a script's own lines add up, append or store: the costs of PPM mixers and of byte models.

What is added is put through a call that tells it and gives it back, as the script is compiled; the file stays as it is.
With each number the whole numbers that the line's variables hold are told, as long as they could be tokens or bytes: a loop
that holds the one that it is scoring shows by them which number belongs to which.

Not covered: modules that use a compiler of their own (numba), what is computed in arrays or in C, more than `_MAX` numbers
of one line.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import operator
import sys
from dataclasses import dataclass, field

from .places import is_foreign, script_place

_HOOK = "_pgolf_kept"
_MAX = 1 << 17  # numbers of one line
_BLOCK = 1 << 12  # numbers in one event
_LARGEST = 1 << 16  # of a token
_MAX_NAMES = 12  # variables that are watched at one line
_COMPILERS = ("numba", "njit")
_NO_NUMBERS = (ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.JoinedStr, ast.Yield, ast.YieldFrom)


@dataclass(slots=True)
class _Line:
    """What one place in a line kept since it was last told; `names` are None until the first number comes."""

    number: int
    place: list
    values: list = field(default_factory=list)
    names: dict | None = None
    count: int = 0


class Kept:
    """Collects numbers by line, and tells them in blocks."""

    def __init__(self, emit) -> None:
        self._emit = emit
        self._places = itertools.count()
        self._lines: dict[int, _Line] = {}

    def install(self) -> None:
        """Let instrumented code find us."""
        setattr(builtins, _HOOK, self.keep)

    def keep(self, value, where):
        """Note a number and give it back; what is no number passes."""
        if isinstance(value, float):
            line = self._lines.get(where)
            if line is None:
                line = self._lines[where] = _Line(where, script_place())
            if line.count < _MAX:
                self._note(line, float(value), sys._getframe(1).f_locals)
        return value

    def may_instrument(self, source, filename):
        """Is a source a module of the script's own, and read by no other compiler?"""
        text = source.decode("utf-8", "replace") if isinstance(source, bytes) else source
        return not is_foreign(str(filename)) and not any(name in text for name in _COMPILERS)

    def instrument(self, tree):
        """A module's tree whose lines tell what they keep."""
        return _Instrument(self._places).visit(tree)

    def _note(self, line, value, variables) -> None:
        if line.names is None:
            found = [name for name, held in variables.items() if _whole(held) is not None]
            line.names = {name: [] for name in found[-_MAX_NAMES:]}
        for name in list(line.names):
            number = _whole(variables.get(name))
            if number is None:
                del line.names[name]  # nothing is told of it from here on
            else:
                line.names[name].append(number)
        line.values.append(value)
        line.count += 1
        if len(line.values) == _BLOCK:
            self._tell(line)

    def flush(self) -> None:
        """Tell what was not told yet."""
        for line in self._lines.values():
            if line.values:
                self._tell(line)

    def _tell(self, line) -> None:
        self._emit({"t": "kept", "id": line.number, "place": line.place, "values": line.values, "names": line.names})
        line.values, line.names = [], {name: [] for name in line.names}


def _whole(value):
    if isinstance(value, bool):
        return None
    try:
        number = operator.index(value)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < _LARGEST else None


class _Instrument(ast.NodeTransformer):
    """Puts what is added, appended or stored by element through the hook."""

    def __init__(self, places) -> None:
        self._places = places

    def visit_AugAssign(self, node):
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Sub):
            node.value = self._told(node.value)
        return node

    def visit_Assign(self, node):
        self.generic_visit(node)
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript):
            node.value = self._told(node.value)
        return node

    def visit_Call(self, node):
        self.generic_visit(node)
        is_append = isinstance(node.func, ast.Attribute) and node.func.attr == "append" and len(node.args) == 1
        if is_append and not node.keywords and not isinstance(node.args[0], ast.Starred):
            node.args = [self._told(node.args[0])]
        return node

    def _told(self, value):
        if isinstance(value, _NO_NUMBERS):
            return value
        arguments = [value, ast.Constant(next(self._places))]
        call = ast.Call(func=ast.Name(id=_HOOK, ctx=ast.Load()), args=arguments, keywords=[])
        return ast.fix_missing_locations(ast.copy_location(call, value))
