"""Builtins and library calls that make, read and change objects: dataclass fields, namespaces, `getattr`, copies."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from auditor.source.config.arguments import ArgumentParser
from auditor.source.config.calls import Call
from auditor.source.config.values import (
    Class,
    Function,
    Instance,
    Namespace,
    Symbol,
    Unknown,
    Value,
    is_plain,
    union,
    unknown,
)

if TYPE_CHECKING:
    from auditor.source.config.statements import Interpreter


@dataclass(frozen=True, slots=True)
class Field:
    """``dataclasses.field(...)``: a default, or a function that makes one, or neither."""

    default: Value | None = None
    factory: Value | None = None

    def value(self, interpreter: Interpreter, call: Call) -> Value | None:
        """The default for a new object."""
        if self.factory is None:
            return self.default
        bare = Call(call.node, call.names, "default_factory")
        match self.factory.data:
            case Function():
                return interpreter.call_function(self.factory.data, bare)
            case Class():
                return interpreter.instantiate(self.factory.data, bare)
            case Symbol(name="list"):
                return Value([])
            case Symbol(name="dict"):
                return Value({})
        return unknown("made by a default_factory", self.factory)


def fill_fields(self: Interpreter, made: Instance, cls: Class, call: Call) -> None:
    """Give a new dataclass object its fields: what the call passes, else the defaults."""
    given = dict(zip(cls.fields, call.positional, strict=False)) | call.keywords
    for name in cls.fields:
        value = given.get(name) or cls.find(name)
        if value is not None and isinstance(value.data, Field):
            value = value.data.value(self, call)
        if value is not None:
            self.set_attribute(made, name, value)


def bound_arguments(self: Interpreter, function: Function, call: Call) -> dict[str, Value]:
    """The parameters of a function with what the call passes, else the defaults."""
    arguments = function.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    values = ([Value(function.owner)] if function.owner is not None else []) + call.positional
    bound = {argument.arg: value for argument, value in zip(positional, values, strict=False)} | call.keywords
    defaults: list[tuple[ast.arg, ast.expr | None]] = [*zip(positional[::-1], arguments.defaults[::-1], strict=False)]
    defaults += [*zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    for argument, default in defaults:
        if argument.arg not in bound and default is not None and call.complete:
            bound[argument.arg] = self.evaluate(default, function.around)
    for argument in (*positional, *arguments.kwonlyargs):
        bound.setdefault(argument.arg, unknown(f"the argument {argument.arg!r}"))
    return bound


def _field(self: Interpreter, call: Call) -> Value:
    return Value(Field(call.keywords.get("default"), call.keywords.get("default_factory")))


def _getattr(self: Interpreter, call: Call) -> Value:
    if len(call.positional) < 2 or not isinstance(call.positional[1].data, str):
        return unknown("getattr", *call.values)
    owner, name = call.positional[0].data, call.positional[1].data
    if isinstance(owner, Unknown | Symbol):
        return unknown("an attribute of what cannot be told", *call.values)
    found = self.attribute_of(owner, name, call.node, call.names)
    is_missing = not found.is_known and not _has_attribute(owner, name)
    if is_missing and len(call.positional) > 2 and not (isinstance(owner, Instance) and owner.is_open):
        return call.positional[2]
    return found


def _has_attribute(owner: object, name: str) -> bool:
    if isinstance(owner, Instance):
        return name in owner.attributes or (owner.of is not None and owner.of.find(name) is not None)
    if isinstance(owner, Class):
        return owner.find(name) is not None
    return isinstance(owner, Namespace) and name in owner.names


def _hasattr(self: Interpreter, call: Call) -> Value:
    if len(call.positional) != 2 or not isinstance(call.positional[1].data, str):
        return unknown("hasattr", *call.values)
    owner = call.positional[0].data
    if isinstance(owner, Unknown | Symbol) or (isinstance(owner, Instance) and owner.is_open):
        return unknown("hasattr of what cannot be told", *call.values)
    return Value(_has_attribute(owner, call.positional[1].data))


def _setattr(self: Interpreter, call: Call) -> Value:
    if len(call.positional) == 3 and isinstance(call.positional[1].data, str):
        value = replace(call.positional[2], location=self.location(call.node, call.names))
        self.set_attribute(call.positional[0].data, call.positional[1].data, value)
    return Value(None)


def _namespace(self: Interpreter, call: Call) -> Value:
    made = Instance(None, is_open=not call.complete)
    self.instances.append(made)
    for name, value in call.keywords.items():
        self.set_attribute(made, name, replace(value, location=self.location(call.node, call.names)))
    return Value(made)


def _parser(self: Interpreter, call: Call) -> Value:
    return Value(ArgumentParser())


def _replaced(self: Interpreter, call: Call) -> Value:
    """``dataclasses.replace(x, ...)`` and copies: a new object with the same attributes."""
    source = call.positional[0] if call.positional else unknown("nothing")
    if not isinstance(source.data, Instance):
        return source if is_plain(source.data) else unknown("a copy", source)
    made = Instance(source.data.of, dict(source.data.attributes), source.data.is_open)
    self.instances.append(made)
    for name, value in call.keywords.items():
        self.set_attribute(made, name, value)
    return Value(made)


def _vars(self: Interpreter, call: Call) -> Value:
    owner = call.positional[0].data if call.positional else None
    if isinstance(owner, Instance) and not owner.is_open:
        return Value({name: value.data for name, value in owner.attributes.items()}, union(*owner.attributes.values()))
    return unknown("vars", *call.values)


def _nothing(self: Interpreter, call: Call) -> Value:
    return Value(None)


LIBRARY: Mapping[str, Callable[[Interpreter, Call], Value]] = {
    "field": _field,
    "dataclasses.field": _field,
    "getattr": _getattr,
    "hasattr": _hasattr,
    "setattr": _setattr,
    "SimpleNamespace": _namespace,
    "types.SimpleNamespace": _namespace,
    "argparse.Namespace": _namespace,
    "argparse.ArgumentParser": _parser,
    "dataclasses.replace": _replaced,
    "copy.copy": _replaced,
    "copy.deepcopy": _replaced,
    "vars": _vars,
    "print": _nothing,
}
