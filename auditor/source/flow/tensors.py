"""Methods of tensors and arrays: views, sums, in-place changes, lookups, gradients, saved states."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from auditor.events import validation
from auditor.source.flow import hindsight, ordering
from auditor.source.flow import values as v
from auditor.source.flow.containers import Containers
from auditor.source.flow.expressions import Expressions
from auditor.source.flow.indexing import ask, select, view_of
from auditor.source.flow.machine import Machine
from auditor.source.flow.operators import combined
from auditor.source.flow.training import Training

_VIEWS = frozenset(
    [
        "view",
        "reshape",
        "unsqueeze",
        "squeeze",
        "flatten",
        "ravel",
        "t",
        "transpose",
        "expand",
        "expand_as",
        "contiguous",
        "narrow",
        "permute",
        "detach",
        "unbind",
        "chunk",
        "split",
        "view_as",
        "data_as",
        "data_ptr",
    ]
)
_CONVERSIONS = frozenset(
    [
        "float",
        "double",
        "half",
        "bfloat16",
        "long",
        "int",
        "to",
        "type",
        "type_as",
        "astype",
        "cuda",
        "pin_memory",
        "byte",
        "bool",
        "short",
    ]
)
_COPIES = frozenset({"clone", "cpu", "copy", "numpy", "tolist", "item"})
_SHAPES = frozenset({"numel", "size", "dim", "stride", "element_size", "ndimension", "nelement", "bit_length"})
_BOUNDS = frozenset({"max", "min", "amax", "amin", "nonzero"})
_RESETS = frozenset(
    {"zero_", "fill_", "normal_", "uniform_", "random_", "reset_parameters", "trunc_normal_", "kaiming_uniform_"}
)
SUMS = frozenset({"sum", "softmax", "log_softmax", "logsumexp"})
_SCATTERS = frozenset({"scatter_add_", "index_add_", "scatter_", "index_copy_", "scatter_reduce_"})
COLLECTIONS = frozenset(
    {"parameters", "named_parameters", "modules", "named_modules", "children", "buffers", "named_buffers", "values", "keys"}
)
_NO_INDEX = ast.Name(id="_")  # stands for an index without syntax


class Tensors:
    """Evaluates methods of tensors on a machine."""

    def __init__(self, machine: Machine, expressions: Expressions) -> None:
        self.machine = machine
        self.expressions = expressions
        self.training = Training(machine)
        self.hooked: list[v.Store] = []
        self.containers = Containers(machine, expressions)
        self._special: Mapping[str, Callable[..., v.Value]] = {
            "backward": self._backward,
            "step": self._step,
            "zero_grad": self._zero_grad,
            "copy_": self._copy,
            "index_put_": self._index_put,
            "gather": self._gather,
            "take_along_dim": self._gather,
            "index_select": lambda data, args, keywords, node: select(data, args[-1], _NO_INDEX, self.machine.recorder),
            "get": self._get_from_data,
            **dict.fromkeys(("items", "named_parameters", "named_modules"), _named),
            "requires_grad_": self._free,
            "state_dict": self._state_dict,
            "tofile": self._to_file,
            **dict.fromkeys(("submit", "apply_async"), self._submitted),
            **dict.fromkeys(("map", "imap", "imap_unordered", "starmap"), self._mapped),
            "load_state_dict": self._load_into_data,
            "register_forward_hook": self._hook,
            "register_forward_pre_hook": self._hook,
        }

    def _of_data(self, data: v.Data, name: str, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        if name in SUMS:
            self.machine.recorder.sum_up(data.rows)
        if name in self._special:
            return self._special[name](data, arguments, keywords, node)
        if name in _SHAPES or (name in _BOUNDS and data.tokens and not (data.losses or data.stores)):
            return v.Data(turns=data.turns)
        if name in _VIEWS or name in _CONVERSIONS:
            return _same_values(data, name in _CONVERSIONS)
        if name in COLLECTIONS:
            return data
        if name in _RESETS:
            return self._reset(data)
        given = [v.summary(value) for value in (*arguments, *keywords.values())]
        if name in _SCATTERS and len(arguments) >= 2:
            return self._scatter(data, v.summary(arguments[1]), v.derived(*given[2:]), node)
        if name.endswith("_") and not name.endswith("__"):
            self.in_place(data, v.derived(*given), node, ast.BitXor() if "xor" in name else ast.Add())
            return data
        if name in ("append", "extend", "add", "write", "update", "put", "insert"):
            data.absorb(self.scored(v.derived(*given), node))
            return v.NONE
        result = hindsight.marked(_computed(data, given, name), name, [data, *arguments], node, self.machine.recorder)
        ordering.shuffled(name, arguments, result, node)
        ordering.sorted_in_place(data, name, keywords, node)
        return result

    def _free(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """A plain tensor becomes one that an optimizer can change."""
        if data.alias is None and not (arguments and arguments[0] == v.Const(False)):
            store = self.machine.new_store("delta", is_tensor=True, shared_by_batch=True)
            store.influences = data.influences
            if any(other.is_tensor for other in data.stores):
                self.training.made_by_hand(store, data, node)
            data.alias, data.stores = store, data.stores | {store}
        return data

    def _reset(self, data: v.Data) -> v.Data:
        if data.alias is not None:
            data.alias.influences, data.alias.tokens = v.NO_NUMBERS, v.NO_REGIONS
        else:
            data.tokens, data.losses, data.scores = v.NO_REGIONS, v.NO_REGIONS, v.NO_NUMBERS
            data.influences = v.NO_NUMBERS
        return data

    def scored(self, data: v.Data, node: ast.AST) -> v.Data:
        """Losses that are put aside are scored then."""
        if self.machine.recorder.counts_anew(data):
            data.scores |= {self.machine.recorder.score(node, data)}
        return data

    def in_place(self, place: v.Data, other: v.Data, node: ast.AST, op: ast.operator) -> None:
        """``place op= other``, which writes into the tensor."""
        if place.alias is not None:
            self.training.change(place, other, node, "in-place arithmetic")
            return
        if other.counted and validation(other.tokens):
            self.expressions.calls.assignments.write_table(place, other, v.Data(), node)
            return
        change = other
        if isinstance(op, ast.Mult):
            self._weighted(place, place, other, node)
        if isinstance(op, ast.Add | ast.Sub) and self.machine.recorder.counts_anew(other):
            change = v.derived(other)
            change.scores |= {self.machine.recorder.score(node, other)}
        if place.weights and not validation(change.tokens) <= place.tokens:
            for loop in self.machine.recorder.loops:
                loop.carried = True  # the next turn reads what this one wrote
        quotient = combined(v.derived(place), other, op)
        place.absorb(change)
        place.absorb(v.Data(hindsight=self.machine.recorder.written(change)))
        if isinstance(quotient, v.Data):
            place.hashed |= quotient.hashed
            place.per_byte |= quotient.per_byte

    def added(self, left: v.Value, right: v.Value, node: ast.BinOp) -> v.Value:
        """``left op right``, where a sum takes in losses."""
        result = combined(left, right, node.op)
        if isinstance(result, v.Data) and isinstance(node.op, ast.Mult):
            self._weighted(result, v.summary(left), v.summary(right), node)
        if not isinstance(result, v.Data) or not isinstance(node.op, ast.Add | ast.Sub):
            return result
        self.training.mixture(result, (v.summary(left), v.summary(right)), node)
        if isinstance(node.op, ast.Add):
            for part, other in ((left, right), (right, left)):
                data, rest = v.summary(part), v.summary(other)
                if self.machine.recorder.counts_anew(data) and (rest.scores or _is_zero(other)):
                    result.scores |= {self.machine.recorder.score(node, data)}
        return result

    def _weighted(self, result: v.Data, left: v.Data, right: v.Data, node: ast.AST) -> None:
        """A loss or probability that is multiplied by what the realised token says of itself.

        That is whether it is the expected one, or what a table says along all of its bytes, once the loop over them ended.
        Of what compiled code had a part in, such as the probability of a guess, nobody can tell whose probability it is.
        """
        for loss, weight in ((left, right), (right, left)):
            tells = (weight.hit and not loss.native) or not weight.spelled <= set(self.machine.recorder.active)
            if tells and not weight.losses and validation(loss.losses):
                result.gates |= {self.machine.recorder.gate(node)}

    def _scatter(self, data: v.Data, key: v.Data, source: v.Data, node: ast.AST) -> v.Value:
        if validation(key.tokens):
            self.expressions.calls.assignments.write_table(data, key, source, node)
        else:
            data.absorb(v.derived(key, source))
        return data

    def _index_put(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        return self._scatter(data, v.summary(arguments[0]), v.merged(arguments[1:]), node) if arguments else data

    def _backward(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        self.training.backward(data)
        return v.NONE

    def _step(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        return self.expressions.methods.call(v.Method(v.Optimizer(data.stores, "optimizer"), "step"), arguments, {}, node)

    def _zero_grad(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        self.training.clear(data.stores)
        return v.NONE

    def _copy(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        self.copied(data, v.merged(arguments), node)
        return data

    def copied(self, data: v.Data, value: v.Data, node: ast.AST) -> None:
        """The tensor takes over the values of another."""
        if data.alias is None:
            data.absorb(value)
            data.absorb(v.Data(hindsight=self.machine.recorder.written(value)))
            return
        store = data.alias
        if store.root in {other.root for other in value.stores} and validation(value.tokens):
            self.training.change(data, value, node, "copied values")
            return
        store.influences, store.tokens = value.influences, validation(value.tokens)

    def _gather(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        index = v.merged([*arguments, *keywords.values()])
        result = v.derived(data, index)
        result.losses = index.tokens or data.losses
        result.hashed, result.span = v.NO_REGIONS, data.span
        if index.tokens:
            self.machine.recorder.pick(data.rows)
        if data.table and index.tokens:
            ask(result, data, index, node, self.machine.recorder)
        return result

    def _get_from_data(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        key = v.summary(arguments[0]) if arguments else v.Data()
        result = v.derived(data, *(v.summary(value) for value in arguments[1:]))
        result.base = data
        if key.tokens:
            ask(result, data, key, node, self.machine.recorder)
        return result

    def _state_dict(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        if data.weights:
            self.machine.recorder.selection(node)
        return data

    def _to_file(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        return self.expressions.calls.library.save([*arguments, data], keywords, node)

    def _submitted(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """A pool runs a function: what it promises is what the function returns."""
        if not arguments or not isinstance(arguments[0], v.Function | v.Choice):
            return _computed(data, [v.summary(value) for value in (*arguments, *keywords.values())], "submit")
        return self.expressions.calls.apply(arguments[0], arguments[1:], keywords, node)

    def _mapped(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """A pool runs a function on every element."""
        elements = [self.expressions.element(argument, None) for argument in arguments[1:]]
        return v.Sequence([self._submitted(data, [*arguments[:1], *elements], keywords, node)], exact=False)

    def _load_into_data(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        for store in data.stores:
            self.training.load(store, v.merged(arguments[:1]))
        return v.NONE

    def _hook(self, data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        for store in data.stores:
            store.root.hooks.extend(arguments[:1])
            self.hooked.append(store)
        return v.Data()

    def _remove_hooks(self) -> v.Value:
        """``handle.remove()``: scripts take all of their hooks off again, wherever they keep the handles."""
        for store in self.hooked:
            store.root.hooks.clear()
        self.hooked.clear()
        return v.NONE


def _same_values(data: v.Data, converted: bool) -> v.Data:
    """The tensor in another shape (a view) or of another type (a copy)."""
    result = view_of(data, v.NO_TURNS)
    result.index = data.index
    if converted and not data.table:
        result.base = None
    return result


def _computed(data: v.Data, given: list[v.Data], name: str) -> v.Data:
    """What any other method computes from a tensor and its arguments."""
    result = v.derived(data, *given)
    result.span = data.span
    if name in _COPIES or name in ("minimum", "clamp", "clip", "any", "max"):
        result.table_word, result.rows = data.table_word, data.rows
    if name in _COPIES:
        result.shift, result.mask, result.table, result.order = data.shift, data.mask, data.table, data.order
    return result


def _named(data: v.Data, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
    """Pairs of a name and a part."""
    return v.Sequence([v.Sequence([v.Data(), data], is_tuple=True)], exact=False)


def _is_zero(value: v.Value) -> bool:
    return isinstance(value, v.Const) and value.value in (0, 0.0)
