"""Evaluates calls: of the script's functions and classes, of the library functions known, and of ``os.environ``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from auditor.source.config.library import CONTAINER_METHODS, FUNCTIONS, MACHINE, RAISES, TEXT_METHODS
from auditor.source.config.values import (
    Class,
    Function,
    Namespace,
    Symbol,
    Unknown,
    Value,
    is_plain,
    iterated,
    union,
    unknown,
)

if TYPE_CHECKING:
    from auditor.source.config.expressions import Evaluator

ENVIRON = frozenset(["os.environ", "environ"])
_GETTERS = frozenset(["os.environ.get", "os.getenv", "environ.get", "getenv", "os.environ.pop"])
_MAX_TEXT = 2_000  # ours: characters that a method is given; bounds what `replace` and `join` can make of them


@dataclass(slots=True)
class Call:
    """A call with its arguments evaluated. `complete` is False where unpacking hides some of them."""

    node: ast.expr
    names: Namespace
    called: str
    positional: list[Value] = field(default_factory=list)
    keywords: dict[str, Value] = field(default_factory=dict)
    complete: bool = True

    @property
    def values(self) -> Iterator[Value]:
        """All arguments."""
        yield from self.positional
        yield from self.keywords.values()


def evaluate_call(self: Evaluator, node: ast.Call, names: Namespace) -> Value:
    """The value of a call expression."""
    if isinstance(node.func, ast.Attribute):
        owner = self.evaluate(node.func.value, names)
        call = arguments_of(self, node, names, node.func.attr)
        if is_plain(owner.data) or isinstance(owner.data, list | dict | tuple):
            return _method(self, owner, call)
        if isinstance(owner.data, Unknown):
            return unknown(owner.data.reason, owner, *call.values)
        known = self.call_method(owner.data, call)
        if known is not None:
            return known
        function = self.attribute_of(owner.data, node.func.attr, node.func, names)
    else:
        function = self.evaluate(node.func, names)
        call = arguments_of(self, node, names, getattr(node.func, "id", ""))
    return apply(self, function, call)


def apply(self: Evaluator, function: Value, call: Call) -> Value:
    """The result of calling a value."""
    match function.data:
        case Function():
            return self.call_function(function.data, call)
        case Class():
            return self.instantiate(function.data, call)
        case Symbol(name=name):
            return _library_call(self, name, call)
        case Unknown(reason=reason):
            return unknown(reason, function, *call.values)
        case _:
            return unknown("a call of what is no function", *call.values)


def arguments_of(self: Evaluator, node: ast.Call, names: Namespace, called: str) -> Call:
    """The call with its arguments evaluated; ``**mapping`` is unpacked where it is known."""
    call = Call(node, names, called)
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            call.complete = False
        else:
            call.positional.append(self.evaluate(argument, names))
    for keyword in node.keywords:
        value = self.evaluate(keyword.value, names)
        if keyword.arg is not None:
            call.keywords[keyword.arg] = value
        elif isinstance(value.data, dict):
            call.keywords |= {str(key): Value(item, value.reads) for key, item in value.data.items()}
        else:
            call.complete = False
    return call


def _library_call(self: Evaluator, name: str, call: Call) -> Value:
    if name in _GETTERS or name.rpartition(".")[0] in ENVIRON:
        return _environment_call(self, name.rpartition(".")[2], call)
    if name in MACHINE:
        return Value(MACHINE[name])
    known = self.call_library(name, call)
    if known is not None:
        return known
    function = FUNCTIONS.get(name)
    plain = all(is_plain(value.data) for value in call.values)
    if function is None or not plain or not call.complete:
        return unknown(f"the result of {name}", *call.values)
    try:
        arguments = [value.data for value in call.positional]
        return Value(function(*arguments, **{key: value.data for key, value in call.keywords.items()}), union(*call.values))
    except RAISES as error:
        return self.raised(call.node, call.names, f"{name}({_shown(call)}) raises {type(error).__name__}: {error}")


def _shown(call: Call) -> str:
    return ", ".join(repr(value.data)[:60] for value in call.positional)


def _environment_call(self: Evaluator, method: str, call: Call) -> Value:
    name = call.positional[0].data if call.positional else None
    location = self.location(call.node, call.names)
    if method in ("get", "getenv", "pop") and isinstance(name, str):
        default = call.positional[1] if len(call.positional) > 1 else call.keywords.get("default", Value(None))
        return self.environment.read(name, default, location)
    if method in ("setdefault", "putenv") and isinstance(name, str) and len(call.positional) > 1:
        if method == "putenv" or name not in self.environment.variables:
            self.environment.assign(name, call.positional[1], location)
        return self.environment.read(name, call.positional[1], location)
    if method == "update":
        tables = [value.data for value in call.positional if isinstance(value.data, dict)]
        for key, item in [pair for table in tables for pair in table.items()]:
            self.environment.assign(str(key), Value(item), location)
        for key, value in call.keywords.items():
            self.environment.assign(key, value, location)
        return Value(None)
    if method == "copy" or (method == "items" and not call.positional):
        return unknown("the whole environment")
    return unknown(f"os.environ.{method}", *call.values)


def _method(self: Evaluator, owner: Value, call: Call) -> Value:
    """A method of a text or a container; those that change a list or a dictionary change it here as well."""
    data, values = owner.data, [value.data for value in call.positional]
    if isinstance(data, list) and call.called in ("append", "extend") and len(values) == 1:
        added = iterated(values[0]) if call.called == "extend" else values
        data.extend(added if added is not None else [Unknown("extended")])
        return Value(None)
    if isinstance(data, dict) and call.called == "update" and len(values) == 1 and isinstance(values[0], dict):
        data.update(values[0])
        return Value(None)
    allowed = TEXT_METHODS if isinstance(data, str | bytes) else CONTAINER_METHODS
    if call.called not in allowed or not all(is_plain(value) for value in values) or call.keywords:
        return unknown(f"the method {call.called!r}", owner, *call.values)
    if sum(len(item) for item in (data, *values) if isinstance(item, str | bytes)) > _MAX_TEXT:
        return unknown("a method of a long text", owner)
    try:
        result = getattr(data, call.called)(*values)
    except RAISES as error:
        return self.raised(call.node, call.names, f"{call.called} raises {type(error).__name__}: {error}")
    if type(result).__name__ in ("dict_keys", "dict_values", "dict_items"):
        result = list(result)
    return Value(result, union(owner, *call.values))
