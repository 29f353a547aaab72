"""Evaluates expressions inside functions: flags that are read in a function, in a method, or under a parameter's name.

A name counts if all of its bindings in the function come to one value. A parameter is what its only caller passes; rank and
world size are those of the contest's machine; the attributes of a parameter that cannot be followed are looked up by
name among everything that holds configuration (``args``, ``h``).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from auditor.source.config.statements import Interpreter
from auditor.source.config.values import Instance, Namespace, Unknown, Value, is_plain, unknown
from auditor.source.parse import walk
from auditor.source.scopes import Binding, Definition, Scope, Scopes, argument_of

_MAX_STEPS = 12
_OF_RANK_0: Mapping[str, object] = {
    "rank": 0,
    "local_rank": 0,
    "master_process": True,
    "is_main_process": True,
    "is_master": True,
}
_GETTERS = frozenset(
    ["getenv", "os.getenv", "os.environ.get", "environ.get", "os.environ.setdefault", "environ.setdefault"]
)

Local = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Reads:
    """Every call that reads the environment, with the scope it stands in, and the names that can be told at once."""

    calls: tuple[tuple[ast.Call, Scope], ...]
    names: tuple[str, ...]


def find_reads(scopes: Scopes) -> Reads:
    """Every read of the environment: direct, through an alias, or through a helper that is handed the name."""
    aliases = {name for scope in scopes.all if scope.node is None for name in _aliases(scope)}
    direct = [(call, scope) for scope in scopes.all for call in scope.calls if _is_read(call, aliases)]
    helpers = {
        scope: call.args[0].id
        for call, scope in direct
        if call.args and isinstance(call.args[0], ast.Name) and call.args[0].id in scope.parameters
    }
    through = [(site.call, site.scope, name) for helper, name in helpers.items() for site in scopes.callers(helper)]
    names = [call.args[0] for call, _ in direct if call.args]
    names += [value for call, _, name in through for helper in helpers if (value := argument_of(call, helper, name))]
    known = (node.value for node in names if isinstance(node, ast.Constant) and isinstance(node.value, str))
    own = [(call, scope) for call, scope in direct if scope not in helpers]
    return Reads(tuple([*own, *((call, scope) for call, scope, _ in through)]), tuple(dict.fromkeys(known)))


def _is_read(call: ast.Call, aliases: set[str]) -> bool:
    function = call.func
    if isinstance(function, ast.Name):
        return function.id == "getenv" or function.id in aliases
    return isinstance(function, ast.Attribute) and function.attr in ("get", "getenv", "setdefault") and _is_getter(function)


def _is_getter(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and ast.unparse(function) in _GETTERS


def _aliases(scope: Scope) -> list[str]:
    return [
        name
        for name, definitions in scope.definitions.items()
        if any(definition.value is not None and _is_getter(definition.value) for definition in definitions)
    ]


@dataclass(slots=True, eq=False)
class _Holder:
    """A parameter that cannot be followed: its attributes are those of whatever holds configuration."""

    name: str


@dataclass(slots=True, eq=False)
class _Inside(Namespace):
    """The names inside a function, each evaluated when it is asked for."""

    lookup: Callable[[str, _Inside], Value | None] = lambda name, inside: None
    local: Local | None = None

    def find(self, name: str) -> Value | None:
        """A name's value; None for builtins and names that nothing binds."""
        if name in self.names:
            return self.names[name]
        return self.lookup(name, self)


@dataclass(slots=True)
class LazyEvaluator:
    """Evaluates expressions of any scope, once `interpreter` has run the script's modules."""

    interpreter: Interpreter
    scopes: Scopes
    attributes: Mapping[str, Sequence[tuple[str, Value]]] = field(default_factory=dict)
    _pending: set[tuple[Scope, str]] = field(default_factory=set)
    _known: dict[tuple[Scope, str], Value] = field(default_factory=dict)
    _set_on_self: dict[str, list[tuple[ast.expr, Scope]]] | None = None

    def note_reads(self, reads: Reads) -> None:
        """Evaluate every read of the environment, so that its default is known."""
        for call, scope in reads.calls:
            self.value_of(call, scope)

    def value_of(self, node: ast.expr, scope: Scope, local: Local | None = None) -> Value:
        """The value of an expression that stands in `scope`."""
        inside = _Inside(scope.module, lookup=lambda name, names: self.find(name, scope, names), local=local)
        return self.interpreter.evaluate_aside(node, inside)

    def find(self, name: str, scope: Scope, inside: _Inside) -> Value | None:
        """The value of a name in a scope: given from outside, bound there, a parameter, or further out."""
        if inside.local is not None:
            try:
                return Value(inside.local(name))
            except KeyError:
                pass
        level: Scope | None = scope
        while level is not None and level.node is not None:
            if name in level.definitions:
                return self._guarded(level, name, self._defined)
            if name in level.parameters:
                return self._guarded(level, name, self._parameter)
            level = level.parent
        module = self.interpreter.modules.get(scope.module.path)
        return module.find(name) if module else None

    def _guarded(self, scope: Scope, name: str, find: Callable[[Scope, str], Value]) -> Value:
        """Each name once, and against names that are bound in terms of themselves."""
        key = (scope, name)
        if key in self._known:
            return self._known[key]
        if key in self._pending or len(self._pending) > _MAX_STEPS:
            return unknown(f"{name} is bound in terms of itself")
        self._pending.add(key)
        try:
            self._known[key] = find(scope, name)
        finally:
            self._pending.discard(key)
        return self._known[key]

    def _defined(self, scope: Scope, name: str) -> Value:
        values = [self._definition(definition, scope) for definition in scope.definitions[name]]
        first = values[0]
        if len(values) == 1:
            return first
        if is_plain(first.data) and all(is_plain(value.data) and value.data == first.data for value in values):
            return first
        return unknown(f"{name} is bound to several values", *values)

    def _definition(self, definition: Definition, scope: Scope) -> Value:
        if definition.value is None or definition.binding not in (Binding.ASSIGNED, Binding.ELEMENT):
            return unknown("bound by a loop or in place")
        value = self.value_of(definition.value, scope)
        if definition.binding is Binding.ASSIGNED:
            return value
        known = isinstance(value.data, tuple | list) and definition.element is not None
        if known and definition.element < len(value.data):  # type: ignore[operator, arg-type]
            return Value(value.data[definition.element], value.reads)  # type: ignore[index]
        return unknown("an element of what cannot be told", value)

    def _parameter(self, scope: Scope, name: str) -> Value:
        if name == "world_size":
            return Value(self.interpreter.environment.world_size, frozenset(["WORLD_SIZE"]))
        if name in _OF_RANK_0:
            return Value(_OF_RANK_0[name])
        passed = [self._passed(scope, name, site.call, site.scope) for site in self.scopes.callers(scope)[:8]]
        first = passed[0] if passed else Value(_Holder(name))
        if isinstance(first.data, Instance) and all(value.data is first.data for value in passed):
            return first
        if is_plain(first.data) and all(is_plain(value.data) and value.data == first.data for value in passed):
            return first
        return Value(_Holder(name))

    def _passed(self, scope: Scope, name: str, call: ast.Call, caller: Scope) -> Value:
        value = argument_of(call, scope, name)
        if value is not None:
            return self.value_of(value, caller)
        default = scope.defaults.get(name)
        hidden = any(isinstance(argument, ast.Starred) for argument in call.args) or any(
            k.arg is None for k in call.keywords
        )
        if default is None or hidden or scope.parent is None:
            return unknown(f"the argument {name!r}")
        return self.value_of(default, scope.parent)

    def attribute_of(self, owner: object, name: str) -> Value | None:
        """An attribute of a parameter that could not be followed; None for every other owner."""
        if not isinstance(owner, _Holder | Unknown):
            return None
        found = [value for _, value in self.attributes.get(name, ())]
        if not found:
            return self.own_attribute(name)
        if any(not is_plain(value.data) or value.data != found[0].data for value in found):
            return None
        return found[0]

    def own_attribute(self, name: str) -> Value | None:
        """What methods set ``self.name`` to, if a single one does, once; None otherwise."""
        if self._set_on_self is None:
            self._set_on_self = _set_on_self(self.scopes)
        found = self._set_on_self.get(name, [])
        return self.value_of(*found[0]) if len(found) == 1 else None


def _set_on_self(scopes: Scopes) -> dict[str, list[tuple[ast.expr, Scope]]]:
    """Every value that a method assigns to an attribute of its object, with the method."""
    found: dict[str, list[tuple[ast.expr, Scope]]] = {}
    for scope in scopes.all:
        for node in walk(scope.node) if scope.node is not None and scope.is_method else ():
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Attribute) and getattr(target.value, "id", "") == "self":
                        found.setdefault(target.attr, []).append((node.value, scope))
    return found


def _unpacks(call: ast.Call) -> bool:
    starred = any(isinstance(argument, ast.Starred) for argument in call.args)
    return starred or any(keyword.arg is None for keyword in call.keywords)
