"""Functions of tensor libraries: new tensors, losses, choices, gradients, what ranks exchange."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from auditor.events import View, validation
from auditor.source.flow import hindsight, ordering
from auditor.source.flow import values as v
from auditor.source.flow.builtins_ import is_true
from auditor.source.flow.expressions import Expressions
from auditor.source.flow.machine import Machine
from auditor.source.flow.tensors import SUMS

if TYPE_CHECKING:
    from auditor.source.flow.calls import Calls

_NEW_TENSORS = frozenset(
    [
        "zeros",
        "ones",
        "full",
        "empty",
        "rand",
        "randn",
        "randint",
        "zeros_like",
        "ones_like",
        "full_like",
        "empty_like",
        "randn_like",
        "tensor",
        "as_tensor",
        "from_numpy",
        "array",
        "asarray",
        "ascontiguousarray",
        "arange",
        "linspace",
        "frombuffer",
    ]
)
_LIKE = frozenset({"zeros_like", "ones_like", "full_like", "empty_like", "randn_like", "rand_like"})
_BOUNDED = frozenset({"maximum", "minimum", "clamp", "clip"})
_SIZED = frozenset({"zeros", "ones", "full", "empty", "rand", "randn", "randint"})
_HISTOGRAMS = frozenset({"bincount", "unique", "histc"})


class TensorFunctions:
    """Evaluates functions of tensor libraries on a machine."""

    def __init__(self, machine: Machine, expressions: Expressions, calls: Calls) -> None:
        self.machine = machine
        self.expressions = expressions
        self.calls = calls

    def _tensor(self, name: str, last: str, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        if last in _LIKE or last in _SIZED or last in _NEW_TENSORS:
            return self._made(last, arguments, keywords)
        result = v.merged([*arguments, *keywords.values()])
        if last in ("logaddexp", "logsumexp", "maximum"):
            self.expressions.methods.training.mixture(result, map(v.summary, arguments), node)
        result.counted = last in _HISTOGRAMS
        ordering.shuffled(last, arguments, result, node)
        hindsight.marked(result, last, arguments, node, self.machine.recorder)
        data = next((a for a in arguments if isinstance(a, v.Data)), None)
        if data is None:
            return result
        if last in ("gather", "take_along_axis", "take_along_dim"):
            return self.expressions.methods.call(v.Method(data, "gather"), arguments[1:], keywords, node)
        if last in SUMS or last == "normalize":
            self.machine.recorder.sum_up(data.rows)
        result.span, result.mask = data.span, data.mask
        if last in _BOUNDED:
            result.table_word = data.table_word
        if last in _BOUNDED or last in ("int64", "int32", "uint64", "sort", "pad"):
            result.shift = data.shift
        return result

    def _made(self, last: str, arguments: v.Arguments, keywords: v.Keywords) -> v.Value:
        """A new tensor: of given values, or of a size that says nothing about its values."""
        result = v.merged([*arguments, *keywords.values()])
        if last in _LIKE:
            result = v.Data()
        elif last in _SIZED:
            values = [value for value in arguments[1:2] if last == "full"]
            result = v.derived(*map(v.summary, values), v.Data(turns=result.turns))
        result.born = self.machine.recorder.turns
        result.index = v.Index(v.POSITIONS, 0, 0) if last == "arange" else None
        result.all_of = last == "arange"
        return self._new(last, result, arguments, keywords)

    def _new(self, last: str, result: v.Data, arguments: v.Arguments, keywords: v.Keywords) -> v.Value:
        first = v.NONE if last in _SIZED or not arguments else arguments[0]  # a size is no position
        if isinstance(first, v.Data):
            result.shift, result.mask = first.shift, first.mask
        elif isinstance(first, v.Const) and len(arguments) > 1 and isinstance(arguments[1], v.Data):
            result.shift = arguments[1].shift
        if is_true(keywords.get("requires_grad")):
            return self._free(result, arguments)
        return result

    def _free(self, values: v.Data, shape: v.Arguments) -> v.Data:
        """A free tensor that an optimizer can change."""
        sizes = shape[0].items if shape and isinstance(shape[0], v.Sequence) else shape
        first = sizes[0] if sizes else v.NONE
        shared = len(sizes) < 2 or (isinstance(first, v.Const) and first.value == 1)
        store = self.machine.new_store("delta", is_tensor=True, shared_by_batch=shared)
        store.influences = values.influences
        return v.Data(stores=frozenset((store,)), alias=store, gradient=True)

    def _parameter(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        return self._free(v.merged(arguments), [])

    def _gradient(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        if not arguments:
            return v.Data()
        return self.expressions.methods.training.gradient(v.summary(arguments[0]), v.merged(arguments[1:]))

    def _gathered(self, arguments: v.Arguments, keywords: v.Keywords) -> v.Value:
        """Every rank's values arrive in the list or tensor that is given for them."""
        given = [*arguments, *keywords.values()]
        place = next((value for value in given if _lists(value)), None)
        if place is not None:
            rest: list[v.Value] = [value for value in given if value is not place and not isinstance(value, v.Const)]
            for filled in _lists(place) if rest else ():
                filled.items, filled.exact = rest[:1], False
        elif len(given) > 1 and isinstance(given[0], v.Data):
            given[0].absorb(v.summary(given[1]))
        return v.NONE

    def _loss(self, arguments: v.Arguments, keywords: v.Keywords) -> v.Value:
        logits = arguments[0] if arguments else keywords.get("input", v.Data())
        target = arguments[1] if len(arguments) > 1 else keywords.get("target", v.Data())
        targets = v.summary(target)
        result = v.derived(v.summary(logits), targets)
        result.losses = targets.tokens
        result.gradient = self.machine.no_grad == 0
        return result

    def _where(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        result = v.merged(arguments)
        if arguments and self._tells_target(v.summary(arguments[0])):
            result.gates |= {self.machine.recorder.gate(node)}
        if len(arguments) > 1:
            inside = [v.summary(argument) for argument in arguments[1:]]
            result.shift = next((data.shift for data in inside if data.shift is not None), None)
            result.mask = all(data.mask for data in inside)
            result.table_word = any(data.table_word for data in inside)
            if _blends(inside):
                result.blends |= {self.machine.recorder.blend(node)}
        return result

    def _tells_target(self, condition: v.Data) -> bool:
        """Does a condition tell how probable the token being predicted is, or a property of it from a fixed array?"""
        of_target = any(region.view is View.TARGET for region in validation(condition.tokens))
        return condition.peeks or (condition.by_token and of_target)

    def _add_at(self, arguments: v.Arguments, node: ast.AST) -> v.Value:
        table, key = arguments[0], v.summary(arguments[1])
        if isinstance(table, v.Data) and validation(key.tokens):
            self.calls.assignments.write_table(table, key, v.merged(arguments[2:]), node)
        return v.NONE


def _lists(value: v.Value) -> list[v.Sequence]:
    """The lists that a value may be."""
    return [option for option in v.options(value) if isinstance(option, v.Sequence) and not option.is_tuple]


def _blends(parts: list[v.Data]) -> bool:
    """Are some of the parts validation tokens to be predicted, and others tokens before them, and nothing more?"""
    plain = [data for data in parts if not (data.losses or data.scores or data.stores or data.by_token or data.mask)]
    views = [{region.view for region in validation(data.tokens)} for data in plain]
    return {View.TARGET} in views and any(seen and View.TARGET not in seen for seen in views)
