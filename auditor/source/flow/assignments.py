"""Evaluates assignments, augmented assignments and imports: what a name, an attribute or a place in a container becomes.

In-place arithmetic writes into the object, as it does for tensors, so that an accumulator handed to a helper is the
caller's. Writing under a key that depends on tokens is what makes a dictionary or an array a table.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from auditor.events import UpdateKind, validation
from auditor.source.flow import values as v
from auditor.source.flow.containers import keep_as_long
from auditor.source.flow.expressions import Expressions
from auditor.source.flow.indexing import limits_of_index, turned
from auditor.source.flow.machine import Machine
from auditor.source.flow.operators import combined


@dataclass(slots=True)
class Assignments:
    """Binds values."""

    machine: Machine
    expressions: Expressions

    def run(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Delete, env: v.Environment) -> None:
        """Run one assignment statement."""
        match node:
            case ast.Assign():
                value = self.expressions.value(node.value, env)
                for target in node.targets:
                    self.assign(target, value, env)
            case ast.AnnAssign():
                if node.value is not None:
                    self.assign(node.target, self.expressions.value(node.value, env), env)
            case ast.AugAssign():
                self._augmented(node, env)
            case ast.Delete():
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        env.names.pop(target.id, None)

    def assign(self, target: ast.expr, value: v.Value, env: v.Environment) -> None:
        """Bind `value` to a target of any form."""
        match target:
            case ast.Name():
                if isinstance(value, v.Data) and value.name is None:
                    value.name = target.id
                self.machine.bind(target.id, value, env)
            case ast.Tuple() | ast.List():
                self._unpack(target, value, env)
            case ast.Starred():
                self.assign(target.value, v.Sequence([value], exact=False), env)
            case ast.Attribute():
                self._attribute(target, value, env)
            case ast.Subscript():
                self._item(target, value, env)

    def _unpack(self, target: ast.Tuple | ast.List, value: v.Value, env: v.Environment) -> None:
        parts = self.expressions.unpacked(value, len(target.elts), [isinstance(t, ast.Starred) for t in target.elts])
        for inner, part in zip(target.elts, parts, strict=True):
            self.assign(inner, part, env)

    def _attribute(self, target: ast.Attribute, value: v.Value, env: v.Environment) -> None:
        for receiver in v.options(self.expressions.value(target.value, env)):
            match receiver:
                case v.Instance():
                    receiver.attributes[target.attr] = value
                    if receiver.store and isinstance(value, v.Instance) and value.store:
                        value.store.join(receiver.store)
                case v.Class():
                    receiver.attributes[target.attr] = value
                case v.Optimizer() if target.attr == "state":
                    receiver.moments = v.NO_NUMBERS
                case v.Data() if target.attr == "data":
                    self.expressions.methods.copied(receiver, v.summary(value), target)
                case v.Data() if target.attr in ("requires_grad", "grad"):
                    continue
                case v.Data():
                    receiver.absorb(v.summary(value))
                case v.ModuleValue():
                    receiver.environment.names[target.attr] = value

    def _item(self, target: ast.Subscript, value: v.Value, env: v.Environment) -> None:
        index = self.expressions.index(target.slice, env)
        for receiver in v.options(self.expressions.value(target.value, env)):
            self.store_item(receiver, index, value, target)

    def store_item(self, receiver: v.Value, index: v.Value, value: v.Value, node: ast.Subscript) -> None:
        """``receiver[index] = value``."""
        match receiver:
            case v.Data():
                self._store_in_data(receiver, index, value, node)
            case v.Mapping():
                self._store_in_mapping(receiver, index, value, node)
            case v.Sequence():
                value = self._put_aside(value, node)
                number = index.value if isinstance(index, v.Const) else None
                if receiver.exact and isinstance(number, int) and -len(receiver.items) <= number < len(receiver.items):
                    receiver.items[number] = value
                else:
                    receiver.exact = False
                    receiver.items.append(value)
            case v.Instance():
                method = receiver.cls.lookup("__setitem__")
                if method is not None:
                    self.expressions.call_method(receiver, "__setitem__", [index, value], {}, node)
            case v.Library() if receiver.name == "os.environ":
                return

    def _put_aside(self, value: v.Value, node: ast.AST) -> v.Value:
        """Losses that a container keeps, alone or beside their counts, are scored when they are put there."""
        if isinstance(value, v.Sequence):
            items = [self._put_aside(item, node) for item in value.items]
            changed = any(new is not old for new, old in zip(items, value.items, strict=True))
            return v.Sequence(items, value.exact, value.is_tuple, value.turns) if changed else value
        if isinstance(value, v.Data) and self.machine.recorder.counts_anew(value):
            value = v.derived(value)
            value.scores |= {self.machine.recorder.score(node, value)}
        return value

    def _store_in_data(self, data: v.Data, index: v.Value, value: v.Value, node: ast.Subscript) -> None:
        key, written = v.summary(index), v.summary(value)
        if validation(key.tokens) and not key.mask:
            self.write_table(data, key, written, node)
            return
        if written.table_word and not self.machine.recorder.tells_word(written):
            written = v.derived(written)  # it was said of an earlier turn's token
        if not key.turns:
            data.absorb(written)
        else:
            moved = turned(written, key.turns)
            data.absorb(v.summary(moved))
        if self.machine.recorder.counts_anew(written):
            data.absorb(v.Data(scores=frozenset((self.machine.recorder.score(node, written),))))
        if key.gates or key.native:
            data.absorb(v.Data(gates=key.gates, native=key.native))
        if not written.losses and (key.shift or 0) <= 0:
            data.absorb(v.Data(tests=self.machine.recorder.tests_of_entry(key.turns)))
        limits = limits_of_index(node.slice)
        if limits and isinstance(value, v.Const) and value.value:
            data.span = limits

    def _store_in_mapping(self, mapping: v.Mapping, index: v.Value, value: v.Value, node: ast.Subscript) -> None:
        keep_as_long(mapping, value)
        if isinstance(index, v.Const):
            try:
                mapping.entries[index.value] = value
            except TypeError:  # an unhashable key raises in the script too
                return
            return
        key = v.summary(index)
        value = self._put_aside(value, node)
        if validation(key.tokens):
            self.write_table(mapping.rest, key, v.summary(value), node)
        if not isinstance(value, v.Const):
            mapping.others.append(value)

    def write_table(self, table: v.Data, key: v.Data, value: v.Data, node: ast.AST) -> None:
        """A table changes under a key: the key's and the value's tokens influence whoever reads it later."""
        made = table
        while made.base is not None:
            made = made.base
        if made.stores or self.machine.recorder.is_short_lived(made.born, key.tokens):
            table.absorb(v.derived(key, value))
            return
        tokens = key.tokens | value.tokens
        name = table.name or (table.base.name if table.base else None) or "table"
        number = self.machine.recorder.table_update(node, UpdateKind.TABLE, "counts", (name,), tokens)
        written = v.Data(influences=key.influences | value.influences, native=key.native or value.native)
        if number is not None:
            written.influences |= {number}
        table.absorb(written)
        place: v.Data | None = table
        while place is not None:
            place.table = True
            place = place.base

    def _augmented(self, node: ast.AugAssign, env: v.Environment) -> None:
        added = self.expressions.value(node.value, env)
        if isinstance(node.target, ast.Subscript):
            index = self.expressions.index(node.target.slice, env)
            for receiver in v.options(self.expressions.value(node.target.value, env)):
                self._augment_item(receiver, index, added, node.target, node)
            return
        old = self.expressions.value(node.target, env)
        for place in v.options(old):
            if isinstance(place, v.Data):
                self.expressions.methods.in_place(place, v.summary(added), node, node.op)
            elif isinstance(place, v.Sequence) and isinstance(node.op, ast.Add):
                self.expressions.methods.containers.extend(place, added)
            else:
                self._rebind(node, place, added, env)

    def _rebind(self, node: ast.AugAssign, place: v.Value, added: v.Value, env: v.Environment) -> None:
        result = combined(place, added, node.op)
        data = v.summary(added)
        if self.machine.recorder.counts_anew(data) and isinstance(result, v.Data):
            result.scores |= {self.machine.recorder.score(node, data)}
        self.assign(node.target, result, env)

    def _augment_item(
        self, receiver: v.Value, index: v.Value, added: v.Value, target: ast.Subscript, node: ast.AugAssign
    ) -> None:
        key = v.summary(index)
        if isinstance(receiver, v.Data):
            if validation(key.tokens) and not key.mask:
                self.write_table(receiver, key, v.summary(added), node)
            else:
                self.expressions.methods.in_place(receiver, v.summary(added), node, node.op)
        elif isinstance(receiver, v.Mapping) and not isinstance(index, v.Const):
            held = [value for value in (*receiver.entries.values(), *receiver.others) if isinstance(value, v.Data)]
            if validation(key.tokens):
                self.write_table(receiver.rest, key, v.summary(added), node)
            for place in [] if validation(key.tokens) else held or [receiver.rest]:
                self.expressions.methods.in_place(place, v.summary(added), node, node.op)
        else:
            old = self.expressions.item(receiver, index, target)
            if isinstance(old, v.Data):
                self.expressions.methods.in_place(old, v.summary(added), node, node.op)
            else:
                self.store_item(receiver, index, combined(old, added, node.op), target)

    def import_(self, node: ast.Import | ast.ImportFrom, env: v.Environment) -> None:
        """Bind what an import statement names."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = self.expressions.calls.imported(alias.name)
                name = alias.asname or alias.name.split(".")[0]
                dotted = alias.name if alias.asname else name
                env.names[name] = module if module is not None else v.Library(dotted)
            return
        module = self.expressions.calls.imported(node.module or "")
        for alias in node.names:
            name = alias.asname or alias.name
            if module is None:
                env.names[name] = v.Library(f"{node.module or ''}.{alias.name}")
            elif alias.name == "*":
                env.names.update({k: value for k, value in module.environment.names.items() if k[:2] != "__"})
            else:
                env.names[name] = module.environment.names.get(alias.name, v.Data())
