"""Methods of lists and dictionaries."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from auditor.events import validation
from auditor.source.flow import ordering
from auditor.source.flow import values as v
from auditor.source.flow.expressions import Expressions
from auditor.source.flow.indexing import ask, keyed, view_of
from auditor.source.flow.machine import Machine

_MAX_ITEMS = 12  # ours: more items of a list that is not known exactly are merged


@dataclass(slots=True)
class Containers:
    """Evaluates methods of containers on a machine."""

    machine: Machine
    expressions: Expressions

    def extend(self, sequence: v.Sequence, value: v.Value) -> None:
        """``sequence += value``."""
        added = value.items if isinstance(value, v.Sequence) else [self.expressions.element(value, None)]
        sequence.exact = (
            sequence.exact and isinstance(value, v.Sequence) and value.exact and not self.machine.recorder.loops
        )
        for item in list(added):
            self._put(sequence, item)

    def _put(self, sequence: v.Sequence, item: v.Value) -> None:
        if sequence.base is not None:
            sequence.base.exact = sequence.base.exact and sequence.exact
            self._put(sequence.base, item)
        if any(known is item for known in sequence.items) and not sequence.exact:
            return
        sequence.items.append(item)
        if len(sequence.items) > _MAX_ITEMS and not sequence.exact:
            merged_items = v.choice(sequence.items)
            sequence.items = list(v.options(merged_items))

    def of_sequence(
        self, sequence: v.Sequence, name: str, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST
    ) -> v.Value:
        """A method of a list, tuple, set or queue."""
        if name in ("append", "add", "appendleft", "insert", "put", "put_nowait") and arguments:
            item = arguments[0] if name.startswith("put") else arguments[-1]
            if isinstance(item, v.Data) and self.machine.recorder.counts_anew(item):
                item = v.derived(item)
                item.scores |= {self.machine.recorder.score(node, item)}
            sequence.exact = sequence.exact and not self.machine.recorder.loops
            self._put(sequence, item)
            return v.NONE
        if name in ("extend", "update") and arguments:
            self.extend(sequence, arguments[0])
            return v.NONE
        if name in ("pop", "popleft", "__next__", "get", "get_nowait"):
            return v.choice(sequence.items) if sequence.items else v.Data()
        if name == "copy":
            return v.Sequence(list(sequence.items), sequence.exact, sequence.is_tuple, sequence.turns)
        if name in ("clear",):
            sequence.items, sequence.exact = [], True
        ordering.sorted_in_place(sequence, name, keywords, node)
        return v.NONE if name in ("sort", "reverse", "clear", "remove") else v.Data()

    def update_mapping(self, mapping: v.Mapping, value: v.Value) -> None:
        """``mapping.update(value)``."""
        if isinstance(value, v.Mapping):
            mapping.entries.update(value.entries)
            mapping.others.extend(value.others)
            mapping.rest.absorb(value.rest)
        else:
            mapping.rest.absorb(v.summary(value))

    def of_mapping(
        self, mapping: v.Mapping, name: str, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST
    ) -> v.Value:
        """A method of a dictionary."""
        if name in ("get", "pop", "setdefault") and arguments:
            return self._asked_mapping(mapping, name, arguments, node)
        if name == "items":
            pairs: list[v.Value] = [v.Sequence([v.Const(k), value], is_tuple=True) for k, value in mapping.entries.items()]
            pairs += [v.Sequence([v.Data(), value], is_tuple=True) for value in mapping.others]
            if not is_plain_table(mapping.rest) or not pairs:
                pairs.append(v.Sequence([v.Data(), mapping.rest], is_tuple=True))
                return v.Sequence(pairs, exact=False)
            return v.Sequence(pairs, exact=not mapping.others)
        if name == "values":
            exact = not mapping.others and is_plain_table(mapping.rest)
            inside = [*mapping.entries.values(), *mapping.others, *(() if exact else (mapping.rest,))]
            return v.Sequence(inside, exact=exact)
        if name == "keys":
            return v.Sequence([v.Const(key) for key in mapping.entries], exact=not mapping.others)
        if name == "update":
            for value in arguments:
                self.update_mapping(mapping, value)
            mapping.entries.update(keywords)
            return v.NONE
        if name == "copy":
            return v.Mapping(dict(mapping.entries), mapping.rest, list(mapping.others))
        return v.derived(mapping.rest)

    def _asked_mapping(self, mapping: v.Mapping, name: str, arguments: v.Arguments, node: ast.AST) -> v.Value:
        key, default = arguments[0], arguments[1] if len(arguments) > 1 else v.NONE
        if name == "setdefault":
            keep_as_long(mapping, default)
        if isinstance(key, v.Const):
            try:
                if key.value in mapping.entries:
                    return mapping.entries[key.value]
            except TypeError:
                return v.Data()
            if not mapping.others and not mapping.rest.table:
                if name == "setdefault":
                    mapping.entries[key.value] = default
                return default
        data = v.summary(key)
        rest = view_of(mapping.rest, data.turns)
        if validation(data.tokens):
            if name == "setdefault":
                self.expressions.calls.assignments.write_table(mapping.rest, data, v.summary(default), node)
                mapping.others.append(default)
            ask(rest, mapping.rest, data, node, self.machine.recorder)
        if name == "setdefault":
            return v.choice([default, *(keyed(other, data, self.machine.recorder) for other in mapping.others), rest])
        inside = [keyed(other, data, self.machine.recorder) for other in mapping.others]
        return v.choice([*inside, rest, *([] if default == v.NONE and mapping.others else [default])])


def keep_as_long(mapping: v.Mapping, value: v.Value) -> None:
    """A table that is put into another lives as long as that one, whenever it was made."""
    if isinstance(value, v.Mapping):
        value.rest.born = mapping.rest.born


def is_plain_table(data: v.Data) -> bool:
    """Has nothing of note been put under unknown keys?"""
    return not (data.tokens or data.influences or data.stores or data.table or data.scores)
