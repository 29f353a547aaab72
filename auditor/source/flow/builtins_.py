"""Python's own functions on abstract values."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from auditor.events import Role
from auditor.source.flow import files, hindsight, ordering
from auditor.source.flow import values as v
from auditor.source.flow.expressions import Expressions
from auditor.source.flow.machine import Machine
from auditor.source.flow.operators import truth

if TYPE_CHECKING:
    from auditor.source.flow.calls import Calls

_FOLDABLE: Mapping[str, Callable[..., object]] = {
    "int": int, "float": float, "bool": bool, "str": str, "min": min, "max": max, "abs": abs, "round": round, "len": len,
    "ord": ord, "chr": chr, "bytes": bytes, "divmod": divmod, "pow": pow, "hash": hash,
}  # fmt: skip
_COPIED = frozenset({"list", "tuple", "sorted", "reversed", "set", "frozenset", "iter"})
_MAX_RANGE = 100_000


class Builtins:
    """Evaluates calls of Python's own functions."""

    def __init__(self, machine: Machine, expressions: Expressions, calls: Calls) -> None:
        self.machine = machine
        self.expressions = expressions
        self.calls = calls
        self._special: Mapping[str, Callable[..., v.Value]] = {
            "range": self._range,
            "enumerate": self._enumerate,
            "zip": self._zip,
            "dict": self._dict,
            "getattr": self._getattr,
            "hasattr": self._hasattr,
            "setattr": self._setattr,
            "__setattr__": self._setattr,  # of object, in a class that closes its own
            "__new__": lambda args, keywords, node: v.Instance(args[0]) if isinstance(args[0], v.Class) else v.Data(),
            "isinstance": self._isinstance,
            "open": self._open,
            "print": self._print,
            "len": self._len,
            "map": self._map,
            "filter": lambda args, keywords, node: args[-1] if args else v.Data(),
            "next": lambda args, keywords, node: self.expressions.element(args[0], None) if args else v.Data(),
            "exec": lambda args, keywords, node: self.calls.library.processes.execute(args, keywords, node),
            "sum": self._sum,
            "__import__": self.import_module,
        }

    def call(self, name: str, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """Call a built-in function."""
        if name in self._special:
            result = self._special[name](arguments, keywords, node)
            return ordering.copied(name, arguments, keywords, result, node)
        if name in _COPIED:
            return ordering.copied(name, arguments, keywords, self._copied(arguments), node)
        if name in _FOLDABLE and arguments and all(isinstance(argument, v.Const) for argument in arguments):
            return _folded(name, arguments)
        if name in ("float", "int", "str", "bool", "round", "abs") and arguments:
            return self._converted(arguments[0])
        if name == "super":
            return v.Data()
        result = v.merged([*arguments, *keywords.values()])
        if name in ("min", "max"):
            result.hindsight |= self._chosen(name, arguments, keywords.get("key"), node)
            first = arguments[0] if arguments else v.NONE
            result.shift = first.shift if isinstance(first, v.Data) else None
            self.expressions.methods.training.mixture(result, map(v.summary, arguments), node)
            result.is_length = any(isinstance(a, v.Data) and a.is_length for a in arguments)
        return result

    def _chosen(self, name: str, arguments: v.Arguments, key: v.Value | None, node: ast.AST) -> v.Numbers:
        """The choice by losses that `min` makes, or either of both under a key."""
        recorder = self.machine.recorder
        if isinstance(key, v.Function | v.Method) and arguments:
            by = self.calls.apply(key, [self.expressions.element(arguments[0], None)], {}, node)
            return hindsight.of_key(v.summary(by), node, recorder)
        return hindsight.of_call(name, arguments, node, recorder) if name == "min" else v.NO_NUMBERS

    def _converted(self, value: v.Value) -> v.Value:
        data = v.summary(value)
        result = v.derived(data)
        result.shift, result.index, result.span, result.mask = data.shift, data.index, data.span, data.mask
        result.table_word, result.by_token = data.table_word, data.by_token
        if isinstance(value, v.File):
            return v.Const(value.path) if not value.files else value
        return result

    def _copied(self, arguments: v.Arguments) -> v.Value:
        if not arguments:
            return v.Sequence([])
        value = arguments[0]
        if isinstance(value, v.Sequence):
            return v.Sequence(list(value.items), value.exact, value.is_tuple, value.turns)
        if isinstance(value, v.Mapping):
            return v.Sequence([v.Const(key) for key in value.entries], exact=not value.others and not value.rest.table)
        return value

    def _range(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        summary = v.merged(arguments)
        result = v.Data(turns=summary.turns, switches=summary.switches)
        start = arguments[0] if len(arguments) > 1 else v.Const(0)
        first = start.value if isinstance(start, v.Const) and isinstance(start.value, int) else None
        result.index = v.Index(-1, 0, first)
        if isinstance(start, v.Data):
            result.shift = start.shift
        known = [a.value for a in arguments if isinstance(a, v.Const) and isinstance(a.value, int)]
        result.order = ordering.of_range(arguments, node)
        if len(known) == len(arguments) and known and not (result.switches and self.machine.explore):
            try:
                count = len(range(*known))
            except (ValueError, TypeError, OverflowError):
                return result
            if count <= 1:
                result.span = ("0", str(count))
        return result

    def _enumerate(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        value = arguments[0] if arguments else v.Data()
        if isinstance(value, v.Sequence) and value.exact:
            return v.Sequence([v.Sequence([v.Const(i), item], is_tuple=True) for i, item in enumerate(value.items)])
        element = self.expressions.element(value, None)
        turns = v.summary(value).turns if isinstance(value, v.Data) else v.NO_TURNS
        counter = v.Data(turns=turns, index=v.Index(-1, 0, 0))
        return v.Sequence([v.Sequence([counter, element], is_tuple=True)], exact=False)

    def _zip(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        exact = [a for a in arguments if isinstance(a, v.Sequence) and a.exact]
        if arguments and len(exact) == len(arguments):
            rows = zip(*(sequence.items for sequence in exact), strict=False)
            return v.Sequence([v.Sequence(list(row), is_tuple=True) for row in rows])
        elements = [self.expressions.element(argument, None) for argument in arguments]
        return v.Sequence([v.Sequence(elements, is_tuple=True)], exact=False)

    def _dict(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        mapping = v.Mapping()
        for argument in arguments:
            self.expressions.methods.containers.update_mapping(mapping, argument)
        mapping.entries.update(keywords)
        return mapping

    def _getattr(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        name = arguments[1].value if len(arguments) > 1 and isinstance(arguments[1], v.Const) else None
        if not isinstance(name, str):
            return v.merged(arguments)
        receiver = arguments[0]
        default = arguments[2] if len(arguments) > 2 else None
        if isinstance(receiver, v.Instance):
            known = name in receiver.attributes or receiver.cls.lookup(name) is not None
            if known or default is None or (receiver.store is None and self.expressions.setting(name, None)):
                return self.expressions.attribute(receiver, name, node)
            if receiver.store is None:
                return default
            return receiver if name in ("module", "_orig_mod") else default
        if isinstance(receiver, v.Data) and default is not None:
            setting = self.expressions.setting(name, None)
            return setting if setting is not None else v.choice([self.expressions.attribute(receiver, name, node), default])
        return self.expressions.attribute(receiver, name, node)

    def _hasattr(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        receiver, name = arguments[0], arguments[1]
        if isinstance(receiver, v.Instance) and isinstance(name, v.Const):
            if name.value in receiver.attributes or receiver.cls.lookup(str(name.value)) is not None:
                return v.Const(True)
            return v.Const(False) if receiver.store is None else v.Data()
        return v.Data()

    def _setattr(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        if len(arguments) == 3 and isinstance(arguments[1], v.Const) and isinstance(arguments[0], v.Instance):
            arguments[0].attributes[str(arguments[1].value)] = arguments[2]
        return v.NONE

    def _isinstance(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        value, cls = arguments[0], arguments[1]
        if isinstance(value, v.Instance) and isinstance(cls, v.Class):
            return v.Const(_derives(value.cls, cls))
        if isinstance(value, v.Const) and isinstance(cls, v.Library):
            known = {"builtins.str": str, "builtins.int": int, "builtins.float": float, "builtins.bool": bool}.get(cls.name)
            return v.Const(isinstance(value.value, known)) if known else v.Data()
        return v.Data()

    def _open(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        mode = arguments[1] if len(arguments) > 1 else keywords.get("mode", v.Const("r"))
        return opened_path(arguments[0] if arguments else v.Data(), str(getattr(mode, "value", "r")))

    def _print(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        self.calls.library.report(v.merged(arguments), node, arguments)
        return v.NONE

    def _len(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        value = arguments[0] if arguments else v.Data()
        if isinstance(value, v.Const) and isinstance(value.value, str | bytes | tuple):
            return v.Const(len(value.value))
        if isinstance(value, v.Sequence) and value.exact:
            return v.Const(len(value.items))
        data = v.summary(value)
        if data.lookups or data.by_token:
            return v.derived(data)
        return v.Data(turns=data.turns)

    def _map(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        if len(arguments) < 2:
            return v.Data()
        elements = [self.expressions.element(argument, None) for argument in arguments[1:]]
        return v.Sequence([self.calls.apply(arguments[0], elements, {}, node)], exact=False)

    def _sum(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        data = v.merged(arguments)
        return self.expressions.methods.scored(data, node)

    def import_module(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """``__import__(name)`` and ``importlib.import_module(name)``."""
        name = arguments[0].value if arguments and isinstance(arguments[0], v.Const) else ""
        module = self.calls.imported(str(name))
        return module if module is not None else v.Library(str(name))


def _folded(name: str, arguments: v.Arguments) -> v.Value:
    constants = [argument for argument in arguments if isinstance(argument, v.Const)]
    switches = frozenset[str]().union(*(constant.switches for constant in constants))
    values = [constant.value for constant in constants]
    if any(isinstance(value, str) and "\0" in value for value in values):
        return v.Data(switches=switches)
    if name in ("bytes", "pow") and any(isinstance(value, int) and value > _MAX_RANGE for value in values):
        return v.Data(switches=switches)
    try:
        return v.Const(_FOLDABLE[name](*values), switches)
    except (TypeError, ValueError, ArithmeticError):
        return v.Data(switches=switches)


def _derives(cls: v.Class, base: v.Class) -> bool:
    return cls is base or any(isinstance(inner, v.Class) and _derives(inner, base) for inner in cls.bases)


def opened_path(value: v.Value, mode: str) -> v.Value:
    """A file object for a path value."""
    if isinstance(value, v.File):
        return v.File(value.path, value.files, mode)
    if isinstance(value, v.Const):
        return files.file(str(value.value), mode)
    if isinstance(value, v.Choice):
        return _one_of([opened_path(option, mode) for option in value.options if option != v.NONE], mode)
    data = v.summary(value)
    return v.File(data.text or "\0", data.files, mode)


def _one_of(opened: list[v.Value], mode: str) -> v.File:
    """A file that may be any of several: it may hold the tokens that any of them holds."""
    named = [file for file in opened if isinstance(file, v.File) and file.files]
    if not named:
        return v.File("\0", frozenset(), mode)
    return v.File(named[0].path, frozenset[Role]().union(*(file.files for file in named)), mode)


def is_true(value: v.Value | None) -> bool:
    """Is a keyword given and true?"""
    return value is not None and truth(value) is True
