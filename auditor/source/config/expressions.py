"""Evaluates expressions of configuration code as far as the sources tell, without running anything of the script.

Constants, names, attributes, operators, conditional expressions, comprehensions over known sequences, library functions of
`library`, and reads of ``os.environ`` in every spelling. What cannot be told is `Unknown` with a reason; an operation that
would raise when run (``int('False')``) is recorded as a failure with its line.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field

from auditor.finding import Location
from auditor.source.config.calls import ENVIRON, Call, evaluate_call
from auditor.source.config.environment import Environment
from auditor.source.config.library import (
    ATTRIBUTES,
    BINARY,
    COMPARE,
    MAX_ITEMS,
    RAISES,
    UNARY,
    is_cheap,
)
from auditor.source.config.values import (
    Class,
    Function,
    Instance,
    Namespace,
    Symbol,
    Unknown,
    Value,
    is_plain,
    iterated,
    truth,
    union,
    unknown,
)

_MAX_DEPTH = 120


@dataclass(frozen=True, slots=True)
class Failure:
    """An operation that raises when the script runs in this configuration."""

    location: Location
    reason: str


@dataclass(slots=True)
class Evaluator:
    """Evaluates expressions; `failures` collects operations that would raise."""

    environment: Environment
    failures: dict[Location, Failure] = field(default_factory=dict)
    _depth: int = 0

    def evaluate(self, node: ast.expr, names: Namespace) -> Value:
        """The value of an expression where `names` are bound."""
        handler = _HANDLERS.get(type(node))
        if handler is None or self._depth > _MAX_DEPTH:
            return unknown(f"a {type(node).__name__} expression")
        self._depth += 1
        try:
            return handler(self, node, names)
        finally:
            self._depth -= 1

    def call_function(self, function: Function, call: Call) -> Value:
        """The result of one of the script's functions; the interpreter of statements knows more."""
        return unknown(f"the result of {function.name}", *call.positional)

    def instantiate(self, cls: Class, call: Call) -> Value:
        """A new object of one of the script's classes; the interpreter of statements knows more."""
        return unknown(f"an object of {cls.name}", *call.positional)

    def call_library(self, name: str, call: Call) -> Value | None:
        """The result of something outside the script that the interpreter knows beyond `library`; None if it does not."""
        return None

    def call_method(self, owner: object, call: Call) -> Value | None:
        """The result of a method of an object that only the interpreter knows; None if it does not know it."""
        return None

    def find(self, name: str, names: Namespace) -> Value | None:
        """What a name is bound to; None for a builtin or a name that nothing binds."""
        return names.find(name)

    def location(self, node: ast.AST, names: Namespace) -> Location:
        """The place of a node."""
        return Location(path=names.module.source_path, line=getattr(node, "lineno", None))

    def raised(self, node: ast.AST, names: Namespace, text: str) -> Value:
        """Note that `node` raises when run; its value is unknown."""
        location = self.location(node, names)
        self.failures.setdefault(location, Failure(location, text))
        return unknown(text)

    def attribute_of(self, owner: object, name: str, node: ast.expr, names: Namespace) -> Value:
        """``owner.name``; methods come bound, properties evaluated."""
        if isinstance(owner, Symbol):
            whole = f"{owner.name}.{name}"
            return Value(ATTRIBUTES.get(whole, Symbol(whole)))
        if isinstance(owner, Instance):
            if name in owner.attributes:
                return owner.attributes[name]
            found = owner.of.find(name) if owner.of else None
            return self._bound(found, owner, name, node, names) if found else unknown(f"the attribute {name!r}")
        if isinstance(owner, Class):
            found = owner.find(name)
            return self._bound(found, owner, name, node, names) if found else unknown(f"the attribute {name!r}")
        if isinstance(owner, Namespace):
            return owner.names.get(name) or unknown(f"the name {name!r} of a module")
        return unknown(owner.reason if isinstance(owner, Unknown) else f"the attribute {name!r}")

    def _bound(self, found: Value, owner: Class | Instance, name: str, node: ast.expr, names: Namespace) -> Value:
        function = found.data
        if not isinstance(function, Function) or function.kind == "staticmethod":
            return found
        if function.kind == "property" and isinstance(owner, Instance):
            return self.call_function(Function(function.node, function.around, owner), Call(node, names, f".{name}"))
        if function.kind == "classmethod" and isinstance(owner, Instance):
            return Value(Function(function.node, function.around, owner.of))
        if isinstance(owner, Class) and function.kind != "classmethod":
            return found
        return Value(Function(function.node, function.around, owner))


def _constant(self: Evaluator, node: ast.Constant, names: Namespace) -> Value:
    return Value(node.value)


def _name(self: Evaluator, node: ast.Name, names: Namespace) -> Value:
    found = self.find(node.id, names)
    return found if found is not None else Value(Symbol(node.id))


def _attribute(self: Evaluator, node: ast.Attribute, names: Namespace) -> Value:
    owner = self.evaluate(node.value, names)
    return self.attribute_of(owner.data, node.attr, node, names)


def _joined(self: Evaluator, node: ast.JoinedStr, names: Namespace) -> Value:
    pieces: list[Value] = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            if part.format_spec is not None or part.conversion not in (-1, 115):
                return unknown("formatted text")
            pieces.append(self.evaluate(part.value, names))
        else:
            pieces.append(self.evaluate(part, names))
    if not all(is_plain(piece.data) for piece in pieces):
        return unknown("text with a part that cannot be told", *pieces)
    return Value("".join(str(piece.data) for piece in pieces), union(*pieces))


def _sequence(self: Evaluator, node: ast.Tuple | ast.List | ast.Set, names: Namespace) -> Value:
    if any(isinstance(item, ast.Starred) for item in node.elts) or len(node.elts) > MAX_ITEMS:
        return unknown("a sequence with unpacking")
    values = [self.evaluate(item, names) for item in node.elts]
    items = [value.data for value in values]
    try:
        made: object = tuple(items) if isinstance(node, ast.Tuple) else set(items) if isinstance(node, ast.Set) else items
    except TypeError:
        return unknown("a set of what cannot be hashed")
    return Value(made, union(*values))


def _dict(self: Evaluator, node: ast.Dict, names: Namespace) -> Value:
    keys = [self.evaluate(key, names) if key is not None else unknown("unpacking") for key in node.keys]
    values = [self.evaluate(value, names) for value in node.values]
    if not all(isinstance(key.data, str | int | float | bool | tuple | None) for key in keys):
        return unknown("a dictionary with a key that cannot be told", *values)
    return Value({key.data: value.data for key, value in zip(keys, values, strict=True)}, union(*keys, *values))


def _conditional(self: Evaluator, node: ast.IfExp, names: Namespace) -> Value:
    test = self.evaluate(node.test, names)
    known = truth(test)
    if known is not None:
        chosen = self.evaluate(node.body if known else node.orelse, names)
        return Value(chosen.data, chosen.reads | test.reads)
    one, other = self.evaluate(node.body, names), self.evaluate(node.orelse, names)
    if is_plain(one.data) and is_plain(other.data) and one.data == other.data:
        return Value(one.data, union(one, other, test))
    return unknown("a choice whose condition cannot be told", one, other, test)


def _either(self: Evaluator, node: ast.BoolOp, names: Namespace) -> Value:
    """`and` and `or`: a known operand that decides, decides, whatever stands beside it."""
    decisive = isinstance(node.op, ast.Or)
    seen: list[Value] = []
    undecided = False
    for operand in node.values:
        value = self.evaluate(operand, names)
        seen.append(value)
        known = truth(value)
        if known is decisive:
            return Value(bool(known) if undecided else value.data, union(*seen))
        undecided = undecided or known is None
    if undecided:
        return unknown("a condition of which a part cannot be told", *seen)
    return Value(seen[-1].data, union(*seen))


def _unary(self: Evaluator, node: ast.UnaryOp, names: Namespace) -> Value:
    value = self.evaluate(node.operand, names)
    if isinstance(node.op, ast.Not):
        known = truth(value)
        return unknown("a condition", value) if known is None else Value(not known, value.reads)
    if not isinstance(value.data, bool | int | float):
        return unknown("a sign before what cannot be told", value)
    return Value(UNARY[type(node.op)](value.data), value.reads)


def _binary(self: Evaluator, node: ast.BinOp, names: Namespace) -> Value:
    left, right = self.evaluate(node.left, names), self.evaluate(node.right, names)
    operation = BINARY.get(type(node.op))
    if operation is None or not (is_plain(left.data) and is_plain(right.data)):
        return unknown("an operation on what cannot be told", left, right)
    if not is_cheap(type(node.op), left.data, right.data):
        return unknown("an operation with a large result", left, right)
    try:
        return Value(operation(left.data, right.data), union(left, right))
    except RAISES as error:
        return self.raised(node, names, f"{ast.unparse(node)[:80]} raises {type(error).__name__}: {error}")


def _compare(self: Evaluator, node: ast.Compare, names: Namespace) -> Value:
    values = [self.evaluate(side, names) for side in (node.left, *node.comparators)]
    for index, operation in enumerate(node.ops):
        result = _compare_two(self, operation, values[index], values[index + 1])
        if not isinstance(result, bool):
            return unknown("a comparison with what cannot be told", *values)
        if not result:
            return Value(False, union(*values))
    return Value(True, union(*values))


def _compare_two(self: Evaluator, operation: ast.cmpop, left: Value, right: Value) -> object:
    """One comparison; None if it cannot be told. ``name in os.environ`` asks the environment."""
    if isinstance(operation, ast.In | ast.NotIn) and isinstance(right.data, Symbol) and right.data.name in ENVIRON:
        held = self.environment.holds(left.data).data if isinstance(left.data, str) else None
        return held if isinstance(operation, ast.In) or held is None else not held
    if isinstance(operation, ast.Is | ast.IsNot) and left.is_known and right.data is None:
        same = left.data is None
        if isinstance(left.data, Symbol):
            return None
        return same if isinstance(operation, ast.Is) else not same
    if isinstance(left.data, Symbol) and isinstance(right.data, Symbol):
        same = left.data == right.data
        return {ast.Eq: same, ast.Is: same, ast.NotEq: not same, ast.IsNot: not same}.get(type(operation))
    if not (is_plain(left.data) and is_plain(right.data)):
        return None
    try:
        return bool(COMPARE[type(operation)](left.data, right.data))
    except RAISES:
        return None


def _subscript(self: Evaluator, node: ast.Subscript, names: Namespace) -> Value:
    owner = self.evaluate(node.value, names)
    if isinstance(node.slice, ast.Slice):
        edges = [node.slice.lower, node.slice.upper, node.slice.step]
        bounds = [self.evaluate(edge, names) if edge is not None else Value(None) for edge in edges]
        key = Value(slice(*(bound.data for bound in bounds)), union(*bounds))
        if not all(bound.data is None or isinstance(bound.data, int) for bound in bounds):
            return unknown("a slice that cannot be told", owner)
    else:
        key = self.evaluate(node.slice, names)
    if isinstance(owner.data, Symbol) and owner.data.name in ENVIRON and isinstance(key.data, str):
        return _required_variable(self, node, key.data, names)
    if not isinstance(owner.data, str | bytes | list | tuple | dict) or not key.is_known:
        return unknown("an item of what cannot be told", owner, key)
    try:
        return Value(owner.data[key.data], union(owner, key))  # type: ignore[index, call-overload]
    except RAISES as error:
        return self.raised(node, names, f"{ast.unparse(node)[:80]} raises {type(error).__name__}: {error}")


def _required_variable(self: Evaluator, node: ast.Subscript, name: str, names: Namespace) -> Value:
    location = self.location(node, names)
    return self.environment.read(name, unknown(f"{name} is read without a default and nothing sets it"), location)


def _comprehension(self: Evaluator, node: ast.ListComp | ast.GeneratorExp | ast.SetComp, names: Namespace) -> Value:
    if len(node.generators) != 1:
        return unknown("a nested comprehension")
    generator = node.generators[0]
    source = self.evaluate(generator.iter, names)
    items = iterated(source.data)
    if items is None or not isinstance(generator.target, ast.Name | ast.Tuple):
        return unknown("a comprehension over what cannot be told", source)
    made: list[Value] = []
    for item in items:
        inner = Namespace(names.module, {}, names)
        bind_pattern(generator.target, item, source.reads, inner)
        kept = [truth(self.evaluate(test, inner)) for test in generator.ifs]
        if None in kept:
            return unknown("a comprehension with a condition that cannot be told", source)
        if all(kept):
            made.append(self.evaluate(node.elt, inner))
    return Value([value.data for value in made], union(source, *made))


def bind_pattern(target: ast.expr, item: object, reads: frozenset[str], names: Namespace) -> None:
    """Bind the names of an assignment target to an item or its parts."""
    if isinstance(target, ast.Name):
        names.names[target.id] = Value(item, reads)
    elif isinstance(target, ast.Tuple | ast.List):
        parts = iterated(item)
        fits = parts is not None and len(parts) == len(target.elts)
        for index, inner in enumerate(target.elts):
            bind_pattern(inner, parts[index] if fits and parts else Unknown("unpacked"), reads, names)


def _lambda(self: Evaluator, node: ast.Lambda, names: Namespace) -> Value:
    return Value(Function(node, names))


def _named(self: Evaluator, node: ast.NamedExpr, names: Namespace) -> Value:
    value = self.evaluate(node.value, names)
    names.names[node.target.id] = value
    return value


_Handler = Callable[[Evaluator, ast.expr, Namespace], Value]
_HANDLERS: dict[type[ast.expr], _Handler] = {  # each handler takes its own kind of node
    ast.Constant: _constant,  # type: ignore[dict-item]
    ast.Name: _name,  # type: ignore[dict-item]
    ast.Attribute: _attribute,  # type: ignore[dict-item]
    ast.JoinedStr: _joined,  # type: ignore[dict-item]
    ast.Tuple: _sequence,  # type: ignore[dict-item]
    ast.List: _sequence,  # type: ignore[dict-item]
    ast.Set: _sequence,  # type: ignore[dict-item]
    ast.Dict: _dict,  # type: ignore[dict-item]
    ast.IfExp: _conditional,  # type: ignore[dict-item]
    ast.BoolOp: _either,  # type: ignore[dict-item]
    ast.UnaryOp: _unary,  # type: ignore[dict-item]
    ast.BinOp: _binary,  # type: ignore[dict-item]
    ast.Compare: _compare,  # type: ignore[dict-item]
    ast.Subscript: _subscript,  # type: ignore[dict-item]
    ast.ListComp: _comprehension,  # type: ignore[dict-item]
    ast.GeneratorExp: _comprehension,  # type: ignore[dict-item]
    ast.SetComp: _comprehension,  # type: ignore[dict-item]
    ast.Call: evaluate_call,  # type: ignore[dict-item]
    ast.Lambda: _lambda,  # type: ignore[dict-item]
    ast.NamedExpr: _named,  # type: ignore[dict-item]
}
