"""What an attribute, an index, a loop or an unpacking reaches inside a value."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from auditor.events import Turn
from auditor.source.flow import values as v
from auditor.source.flow.indexing import keyed, select, turned, view_of
from auditor.source.flow.machine import Machine, bind_class_method, bind_method
from auditor.source.flow.record import Loop
from auditor.source.flow.settings import UNTOLD

if TYPE_CHECKING:
    from auditor.source.flow.calls import Calls
    from auditor.source.flow.methods import Methods

_SHAPES = frozenset({"shape", "dtype", "device", "ndim", "size", "is_cuda", "requires_grad", "nbytes", "itemsize", "numel"})


class Places:
    """Reaches into values on a machine. `calls` and `methods` are set by whoever puts the parts together."""

    calls: Calls
    methods: Methods

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

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
            case v.Optimizer() if name == "state":
                receiver.moments = v.NO_NUMBERS  # who reaches into the moments sets them back
                return v.Data()
            case v.File() if name in ("name", "stem", "parent", "parents", "suffix"):
                return v.File(receiver.path, receiver.files)
            case _:
                return v.Method(receiver, name)

    def _attribute_of_instance(self, instance: v.Instance, name: str, node: ast.AST) -> v.Value:
        if name in instance.attributes:
            held = instance.attributes[name]
            return held if instance.store else self.setting(name, held) or held
        found = instance.cls.lookup(name)
        if isinstance(found, v.Function):
            bound = bind_method(found, instance)
            if found.decorators & {"property", "cached_property"}:
                return self._computed_attribute(instance, bound, node)
            return bound
        if instance.store is None:
            return self.setting(name, found) or v.Data()
        if found is not None:
            return found
        if name in ("module", "_orig_mod"):
            return instance
        return v.module_data(instance.store, alias=True) if name not in ("training", "config", "device") else v.Data()

    def _computed_attribute(self, instance: v.Instance, function: v.Function, node: ast.AST) -> v.Value:
        """What a property gives; one that is cached is the same object from then on, and keeps what is written into it."""
        value = self.calls.apply(function, [], {}, node)
        if "cached_property" in function.decorators:
            instance.attributes[function.name] = value
        return value

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
        if number == 0 and sequence.first is not None:
            return v.Const(sequence.first)
        key = v.summary(index)
        holds_objects = any(isinstance(item, v.Instance) for item in sequence.items)  # which stay what they are
        if key.tokens and not key.mask and not holds_objects:
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
                return self._element_of_data(iterated, loop, turns)
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

    def _element_of_data(self, iterated: v.Data, loop: Loop | None, turns: frozenset[Turn]) -> v.Data:
        result = view_of(iterated, turns)
        if loop and iterated.index is not None:
            result.index = v.Index(loop.number, loop.turn, iterated.index.start)
        result.span = None
        if iterated.by_token:
            result.of_bytes = True
            self.machine.recorder.spells(turns, iterated.tokens)
        return result

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

    def call_method(
        self, receiver: v.Instance, name: str, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST
    ) -> v.Value:
        """Call a method of an object of the script."""
        found = receiver.cls.lookup(name)
        if not isinstance(found, v.Function):
            return v.merged(arguments)
        return self.calls.apply(bind_method(found, receiver), arguments, keywords, node)


def _sliced(sequence: v.Sequence, bounds: v.Sequence) -> v.Sequence:
    known = [bound.value if isinstance(bound, v.Const) else "unknown" for bound in bounds.items]
    low, high = known[0], known[1]
    if sequence.exact and (low is None or isinstance(low, int)) and (high is None or isinstance(high, int)):
        return v.Sequence(sequence.items[low:high], True, sequence.is_tuple)
    turns = v.summary(bounds).turns
    first = None if low else sequence.first
    return v.Sequence(list(sequence.items), False, sequence.is_tuple, sequence.turns | turns, first=first)


def _part(data: v.Data) -> v.Data:
    part = v.derived(data)
    part.alias, part.table = data.alias, data.table
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
    return isinstance(value, v.Data) and v.is_plain(value) and not value.turns  # what a loop counts is no setting
