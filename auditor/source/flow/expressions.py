"""Evaluates expressions to abstract values."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from auditor.source.flow import values as v
from auditor.source.flow.indexing import keyed, select, turned
from auditor.source.flow.literals import Literals, is_plain
from auditor.source.flow.machine import Machine, bind_class_method, bind_method
from auditor.source.flow.operators import compared, negated, truth
from auditor.source.flow.recorder import Loop
from auditor.source.flow.settings import UNTOLD

if TYPE_CHECKING:
    from auditor.source.flow.calls import Calls
    from auditor.source.flow.methods import Methods

__all__ = ["Expressions", "truth"]

_SHAPES = frozenset({"shape", "dtype", "device", "ndim", "size", "is_cuda", "requires_grad", "nbytes", "itemsize", "numel"})


class Expressions:
    """Evaluates expressions on a machine. `calls` and `methods` are set by whoever puts the parts together."""

    calls: Calls
    methods: Methods

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.literals = Literals(self)
        self._handlers: dict[type[ast.expr], Callable[..., v.Value]] = {
            ast.Constant: lambda node, env: v.Const(node.value),
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Subscript: self._subscript,
            ast.Call: lambda node, env: self.calls.call(node, env),
            ast.BinOp: self._operation,
            ast.UnaryOp: self._unary,
            ast.BoolOp: self._logic,
            ast.Compare: self._comparison,
            ast.IfExp: self._conditional,
            ast.JoinedStr: self.literals.text,
            ast.FormattedValue: lambda node, env: self.value(node.value, env),
            ast.Tuple: lambda node, env: self.literals.sequence(node, env, True),
            ast.List: lambda node, env: self.literals.sequence(node, env, False),
            ast.Set: lambda node, env: self.literals.sequence(node, env, False),
            ast.Dict: self.literals.mapping,
            ast.ListComp: self.literals.comprehension,
            ast.SetComp: self.literals.comprehension,
            ast.GeneratorExp: self.literals.comprehension,
            ast.DictComp: self.literals.comprehension,
            ast.Lambda: lambda node, env: self.literals.function(node, env),
            ast.NamedExpr: self._named,
            ast.Starred: lambda node, env: self.value(node.value, env),
            ast.Await: lambda node, env: self.value(node.value, env),
            ast.Yield: self._yield,
            ast.YieldFrom: self._yield,
            ast.Slice: self.index,
        }

    def value(self, node: ast.expr, env: v.Environment) -> v.Value:
        """The value of an expression."""
        self.machine.tick()
        handler = self._handlers.get(type(node))
        return handler(node, env) if handler else v.Data()

    def peek(self, node: ast.expr, env: v.Environment) -> v.Value | None:
        """What a dotted name names, without evaluating anything else."""
        if isinstance(node, ast.Name):
            return self._name(node, env)
        if isinstance(node, ast.Attribute):
            inner = self.peek(node.value, env)
            return v.Library(f"{inner.name}.{node.attr}") if isinstance(inner, v.Library) else None
        return None

    # ---- names and places ----

    def _name(self, node: ast.Name, env: v.Environment) -> v.Value:
        found = self.machine.lookup(node.id, env)
        return found if found is not None else v.Library(f"builtins.{node.id}")

    def _attribute(self, node: ast.Attribute, env: v.Environment) -> v.Value:
        return self.attribute(self.value(node.value, env), node.attr, node)

    def attribute(self, receiver: v.Value, name: str, node: ast.AST) -> v.Value:
        """``receiver.name``."""
        match receiver:
            case v.Library():
                return v.Library(f"{receiver.name}.{name}")
            case v.Instance():
                return self._attribute_of_instance(receiver, name, node)
            case v.Class():
                held = receiver.lookup(name)
                if isinstance(held, v.Function):
                    return bind_class_method(held, receiver)
                return self.setting(name, held) or v.Data()
            case v.ModuleValue():
                return receiver.environment.names.get(name, v.Data())
            case v.Choice():
                return v.choice(self.attribute(option, name, node) for option in receiver.options if option != v.NONE)
            case v.Data():
                return self._attribute_of_data(receiver, name)
            case v.File() if name in ("name", "stem", "parent", "suffix"):
                return v.File(receiver.path, receiver.files)
            case _:
                return v.Method(receiver, name)

    def _attribute_of_instance(self, instance: v.Instance, name: str, node: ast.AST) -> v.Value:
        if name in instance.attributes:
            held = instance.attributes[name]
            return held if instance.store else self.setting(name, held) or held
        found = instance.cls.lookup(name)
        if isinstance(found, v.Function):
            decorators = [] if isinstance(found.node, ast.Lambda) else found.node.decorator_list
            names = {d.id if isinstance(d, ast.Name) else getattr(d, "attr", "") for d in decorators}
            bound = bind_method(found, instance)
            return self.calls.apply(bound, [], {}, node) if names & {"property", "cached_property"} else bound
        if instance.store is None:
            return self.setting(name, found) or v.Data()
        if found is not None:
            return found
        if name in ("module", "_orig_mod"):
            return instance
        return v.module_data(instance.store, alias=True) if name not in ("training", "config", "device") else v.Data()

    def setting(self, name: str, computed: v.Value | None) -> v.Value | None:
        """The effective value of a switch: what the run showed goes before what the script computes."""
        if computed is not None and not _may_be_set(computed):
            return computed
        known = self.machine.settings.attribute(name)
        if known is UNTOLD:
            return computed
        switches = computed.switches if isinstance(computed, v.Const | v.Data) else v.NO_NAMES
        return as_value(known, switches or frozenset((name,)))

    def _attribute_of_data(self, data: v.Data, name: str) -> v.Value:
        if name in _SHAPES:
            return v.Data(turns=data.turns)
        if name == "grad" and data.stores:
            regions = frozenset(region for store in data.stores for region in store.gradient)
            return v.Data(tokens=regions, name="grad")
        if name in ("data", "module", "_orig_mod", "real"):
            return data
        result = v.derived(data)
        result.alias, result.base, result.name = data.alias, data, name
        return result

    def _subscript(self, node: ast.Subscript, env: v.Environment) -> v.Value:
        receiver = self.value(node.value, env)
        index = self.index(node.slice, env)
        return v.choice(self.item(option, index, node) for option in v.options(receiver))

    def index(self, node: ast.expr, env: v.Environment) -> v.Value:
        """The value of an index; a slice is a sequence of its bounds."""
        if isinstance(node, ast.Slice):
            bounds = [self.value(bound, env) if bound else v.NONE for bound in (node.lower, node.upper)]
            return v.Sequence(bounds, is_tuple=True)
        if isinstance(node, ast.Tuple):
            return v.Sequence([self.index(element, env) for element in node.elts], is_tuple=True)
        return self.value(node, env)

    def item(self, receiver: v.Value, index: v.Value, node: ast.Subscript) -> v.Value:
        """``receiver[index]``."""
        match receiver:
            case v.Data():
                return select(receiver, index, node.slice, self.machine.recorder)
            case v.Sequence():
                return self._item_of_sequence(receiver, index, node)
            case v.Mapping():
                return self._item_of_mapping(receiver, index, node)
            case v.Instance() if receiver.cls.lookup("__getitem__"):
                return self.call_method(receiver, "__getitem__", [index], {}, node)
            case v.Instance() if receiver.store:
                return v.module_data(receiver.store, alias=True)
            case v.Library() if receiver.name in ("os.environ", "sys.argv"):
                return self.calls.library.environment(index, None) if receiver.name == "os.environ" else v.Data()
            case v.Const() if isinstance(receiver.value, str | tuple | list | bytes) and isinstance(index, v.Const):
                try:
                    constant: Any = receiver.value
                    return v.Const(constant[index.value], receiver.switches)
                except (TypeError, IndexError):
                    return v.Data()
            case v.File():
                return receiver
            case _:
                return v.derived(v.summary(receiver), v.Data(turns=v.summary(index).turns))

    def _item_of_sequence(self, sequence: v.Sequence, index: v.Value, node: ast.Subscript) -> v.Value:
        if isinstance(node.slice, ast.Slice) and isinstance(index, v.Sequence):
            return _sliced(sequence, index)
        number = index.value if isinstance(index, v.Const) else None
        if sequence.exact and isinstance(number, int) and -len(sequence.items) <= number < len(sequence.items):
            return sequence.items[number]
        key = v.summary(index)
        if key.tokens and not key.mask:
            return select(v.summary(sequence), index, node.slice, self.machine.recorder)
        turns = key.turns | sequence.turns
        held = v.summary(sequence)
        if held.of_bytes:
            self.machine.recorder.spells(key.turns, held.tokens)
        return v.choice(turned(item, turns) for item in sequence.items) if sequence.items else v.Data(turns=turns)

    def _item_of_mapping(self, mapping: v.Mapping, index: v.Value, node: ast.Subscript) -> v.Value:
        if isinstance(index, v.Const):
            try:
                if index.value in mapping.entries:
                    return mapping.entries[index.value]
            except TypeError:
                return v.Data()
        key = v.summary(index)
        others = [keyed(other, key, self.machine.recorder) for other in mapping.others]
        inside: list[v.Value] = [*others, *(() if isinstance(index, v.Const) else mapping.entries.values())]
        rest = select(mapping.rest, index, node.slice, self.machine.recorder)
        return v.choice([*inside, rest]) if inside else rest

    def element(self, iterated: v.Value, loop: Loop | None) -> v.Value:
        """What a loop's variable holds in the running turn."""
        turns = frozenset((loop.tag,)) if loop else v.NO_TURNS
        match iterated:
            case v.Sequence():
                if not iterated.items:
                    return v.Data(turns=turns)
                return v.choice(turned(item, turns | iterated.turns) for item in iterated.items)
            case v.Mapping():
                return v.Data(turns=turns)
            case v.Data():
                result = turned(iterated, turns)
                assert isinstance(result, v.Data)
                if loop and iterated.index is not None:
                    result.index = v.Index(loop.number, loop.turn, iterated.index.start)
                result.span = None
                if iterated.by_token:
                    result.of_bytes = True
                    self.machine.recorder.spells(turns, iterated.tokens)
                return result
            case v.Choice():
                return v.choice(self.element(option, loop) for option in iterated.options)
            case v.Instance():
                for name in ("__next__", "__iter__"):
                    if iterated.cls.lookup(name):
                        found = self.call_method(iterated, name, [], {}, iterated.cls.node)
                        return self.element(found, loop) if name == "__iter__" and found is not iterated else found
                return v.summary(iterated)
            case _:
                return v.Data(turns=turns)

    def unpacked(self, value: v.Value, count: int, starred: list[bool]) -> list[v.Value]:
        """The parts of a value that is unpacked into `count` targets."""
        if isinstance(value, v.Choice):
            ways = [self.unpacked(option, count, starred) for option in value.options if option != v.NONE]
            return [v.choice(parts) for parts in zip(*ways, strict=True)] if ways else [v.Data()] * count
        if isinstance(value, v.Sequence):
            if value.exact and len(value.items) == count and not any(starred):
                return value.items
            return [v.choice(value.items) if value.items else v.Data() for _ in range(count)]
        data = v.summary(value)
        return [_part(data) for _ in range(count)]

    # ---- operations ----

    def _operation(self, node: ast.BinOp, env: v.Environment) -> v.Value:
        left, right = self.value(node.left, env), self.value(node.right, env)
        if isinstance(left, v.Choice) or isinstance(right, v.Choice):
            lefts = [option for option in v.options(left) if option != v.NONE] or [left]
            rights = [option for option in v.options(right) if option != v.NONE] or [right]
            if len(lefts) * len(rights) <= 4:
                return v.choice(self.methods.added(a, b, node) for a in lefts for b in rights)
        return self.methods.added(left, right, node)

    def _unary(self, node: ast.UnaryOp, env: v.Environment) -> v.Value:
        operand = self.value(node.operand, env)
        if isinstance(node.op, ast.Not):
            return negated(operand)
        if isinstance(operand, v.Const) and isinstance(operand.value, int | float):
            return v.Const(-operand.value if isinstance(node.op, ast.USub) else operand.value, operand.switches)
        data = v.summary(operand)
        result = v.derived(data)
        result.mask, result.span = data.mask, data.span
        return result

    def _logic(self, node: ast.BoolOp, env: v.Environment) -> v.Value:
        is_or = isinstance(node.op, ast.Or)
        undecided: list[v.Value] = []
        last: v.Value = v.NONE
        for operand in node.values:
            last = self.value(operand, env)
            known = truth(last)
            switches = last.switches if isinstance(last, v.Const) else frozenset[str]()
            if known is None or (switches and self.machine.explore):
                undecided.append(last)
            elif known is is_or:
                return v.choice([*undecided, last]) if is_or else last
        if not undecided:
            return last
        return v.choice(undecided) if is_or or len(undecided) == 1 else merged(undecided)

    def _comparison(self, node: ast.Compare, env: v.Environment) -> v.Value:
        left = self.value(node.left, env)
        results: list[v.Value] = []
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.value(comparator, env)
            results.append(self._compare(left, right, op, node))
            left = right
        if len(results) == 1:
            return results[0]
        if any(truth(result) is False for result in results):
            return next(result for result in results if truth(result) is False)
        open_ = [v.summary(result) for result in results if truth(result) is None]
        return v.derived(*open_) if open_ else results[0]

    def _compare(self, left: v.Value, right: v.Value, op: ast.cmpop, node: ast.Compare) -> v.Value:
        first = self._first_turn(left, right, op)
        if first is not None:
            return first
        if isinstance(right, v.Library) and right.name == "os.environ" and isinstance(left, v.Const):
            known = self.machine.settings.environment(str(left.value))
            return v.Const(known is not None) if known is not None else v.Data(switches=frozenset((str(left.value),)))
        result = compared(left, right, op)
        if isinstance(result, v.Data) and isinstance(left, v.Data) and left.index and left.index.loop == v.POSITIONS:
            bound = ast.unparse(node.comparators[0])
            result.span = (None, bound) if isinstance(op, ast.Lt | ast.LtE) else (bound, None)
        if isinstance(result, v.Data) and any(v.summary(side).table_word for side in (left, right)):
            result.gates |= {self.machine.recorder.gate(node, ast.unparse(node)[:120])}
            result.table_word = False
        if isinstance(result, v.Data) and result.judged:
            result.peeks = any(self.machine.recorder.is_unscored(v.summary(side)) for side in (left, right))
        return result

    def _first_turn(self, left: v.Value, right: v.Value, op: ast.cmpop) -> v.Value | None:
        """``i == 0`` tells the first turn of a loop from later ones."""
        if not (isinstance(left, v.Data) and left.index and isinstance(right, v.Const)):
            return None
        if right.value != left.index.start or not isinstance(op, ast.Eq | ast.NotEq | ast.Gt):
            return None
        loop = next((loop for loop in self.machine.recorder.loops if loop.number == left.index.loop), None)
        if loop is None:
            return None
        loop.asked_for_start = True
        return v.Const((left.index.turn == 0) is isinstance(op, ast.Eq))

    def _conditional(self, node: ast.IfExp, env: v.Environment) -> v.Value:
        test = self.value(node.test, env)
        known = truth(test)
        switches = test.switches if isinstance(test, v.Const) else frozenset[str]()
        if known is not None and not (switches and self.machine.explore):
            found = self.value(node.body if known else node.orelse, env)
            return v.Const(found.value, found.switches | switches) if isinstance(found, v.Const) else found
        result = v.choice([self.value(node.body, env), self.value(node.orelse, env)])
        decided_by = v.deciding(test)
        if decided_by is not None:
            result = v.derived(v.summary(result), decided_by)
        return result

    def _named(self, node: ast.NamedExpr, env: v.Environment) -> v.Value:
        value = self.value(node.value, env)
        self.machine.bind(node.target.id, value, env)
        return value

    def _yield(self, node: ast.Yield | ast.YieldFrom, env: v.Environment) -> v.Value:
        value = self.value(node.value, env) if node.value else v.NONE
        if self.machine.activations:
            found = self.element(value, None) if isinstance(node, ast.YieldFrom) else value
            self.machine.activations[-1].yielded.append(found)
        return v.Data()

    def call_method(
        self, receiver: v.Instance, name: str, arguments: list[v.Value], keywords: dict[str, v.Value], node: ast.AST
    ) -> v.Value:
        """Call a method of an object of the script."""
        found = receiver.cls.lookup(name)
        if not isinstance(found, v.Function):
            return v.derived(*(v.summary(argument) for argument in arguments))
        return self.calls.apply(bind_method(found, receiver), arguments, keywords, node)


def _sliced(sequence: v.Sequence, bounds: v.Sequence) -> v.Sequence:
    known = [bound.value if isinstance(bound, v.Const) else "unknown" for bound in bounds.items]
    low, high = known[0], known[1]
    if sequence.exact and (low is None or isinstance(low, int)) and (high is None or isinstance(high, int)):
        return v.Sequence(sequence.items[low:high], True, sequence.is_tuple)
    turns = v.summary(bounds).turns
    return v.Sequence(list(sequence.items), False, sequence.is_tuple, sequence.turns | turns)


def _part(data: v.Data) -> v.Data:
    part = v.derived(data)
    part.alias = data.alias
    return part


def as_value(known: object, switches: frozenset[str]) -> v.Value:
    """A constant of the configuration."""
    if isinstance(known, list | tuple):
        return v.Sequence([as_value(item, switches) for item in known], is_tuple=isinstance(known, tuple))
    if isinstance(known, dict):
        return v.Mapping({key: as_value(item, switches) for key, item in known.items()})
    return v.Const(known, switches)


def _may_be_set(value: v.Value) -> bool:
    """Could a run have given this another value than the script's text says?"""
    if isinstance(value, v.Const):
        return bool(value.switches)
    return isinstance(value, v.Data) and is_plain(value) and not value.turns  # what a loop counts is no setting


def merged(values: Iterable[v.Value]) -> v.Data:
    """Everything known about several values."""
    return v.derived(*(v.summary(value) for value in values))
