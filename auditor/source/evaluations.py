"""Which call computes a printed value: from the name in a print back to the function that returned it.

Follows the bindings of names that can reach the print (the latest in straight-line code, one per arm of a conditional),
through renames, arithmetic and conversions, up to callers where the value is a parameter, and through functions that are
handed the evaluation (``timed_eval("label", eval_val, ...)``). Which arm of a conditional the submitted
configuration takes is not decided here: both functions are named then.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auditor.source.parse import children, last_name
from auditor.source.scopes import Branches, Definition, Scope, Scopes, argument_of
from auditor.source.texts import Context

_MAX_STEPS = 12
_CONVERSIONS = frozenset(
    {"float", "int", "round", "abs", "min", "max", "sum", "item", "mean", "cpu", "tolist", "detach", "double", "tensor"}
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The function that computes a value, and the call that does it; several names where a branch decides."""

    function: str
    call: ast.Call
    scope: Scope


def find_evaluation(source: str, call: ast.Call, context: Context, scopes: Scopes) -> Evaluation | None:
    """What computes the expression `source` that `call` prints in `context`; None if it cannot be told."""
    try:
        expression = ast.parse(source, mode="eval").body
    except SyntaxError:  # the source of a hole that stands for something else than an expression
        return None
    found = list(dict.fromkeys(_Tracer(scopes).trace(expression, call, context, 0)))
    if not found:
        return None
    names = list(dict.fromkeys(evaluation.function for evaluation in found))
    first = min(found, key=lambda evaluation: evaluation.call.lineno)
    return Evaluation(" or ".join(names), first.call, first.scope)


@dataclass(frozen=True, slots=True)
class _Tracer:
    scopes: Scopes

    def trace(self, node: ast.expr, at: ast.Call, context: Context, steps: int) -> Iterator[Evaluation]:
        """Every evaluation that can have computed `node` where it is used by the call `at`."""
        if steps > _MAX_STEPS:
            return
        if isinstance(node, ast.Call):
            yield from self._call(node, at, context, steps + 1)
        elif isinstance(node, ast.Name):
            yield from self._name(node.id, at, context, steps + 1)
        else:
            for inner in _operands(node):
                found = list(self.trace(inner, at, context, steps + 1))
                if found:
                    yield from found
                    return

    def _call(self, node: ast.Call, at: ast.Call, context: Context, steps: int) -> Iterator[Evaluation]:
        name = last_name(node.func)
        callees = self.scopes.callees(node.func, context.scope)
        if callees:
            handed = self._handed(node, callees[0], context)
            yield handed or Evaluation(callees[0].name, node, context.scope)
        elif isinstance(node.func, ast.Name) and node.func.id in context.scope.parameters:
            yield from self._passed_function(node, context)
        elif name in _CONVERSIONS:
            receiver = [node.func.value] if isinstance(node.func, ast.Attribute) else []
            yield from self.trace(ast.Tuple(elts=[*receiver, *node.args]), at, context, steps)

    def _handed(self, node: ast.Call, callee: Scope, context: Context) -> Evaluation | None:
        """The evaluation that is passed to a function which returns its result (a timer, a wrapper)."""
        for parameter in _returned_calls(callee):
            value = argument_of(node, callee, parameter)
            if value is not None:
                return self._named(value, node, context)
        return None

    def _passed_function(self, node: ast.Call, context: Context) -> Iterator[Evaluation]:
        call, name = context.chain[0][1], node.func.id if isinstance(node.func, ast.Name) else ""
        value = argument_of(call, context.scope, name) if call is not None else None
        if value is not None and call is not None:
            found = self._named(value, call, context.caller())
            if found is not None:
                yield found

    def _named(self, value: ast.expr, call: ast.Call, context: Context) -> Evaluation | None:
        if isinstance(value, ast.Lambda) and isinstance(value.body, ast.Call):
            value = value.body.func
        callees = self.scopes.callees(value, context.scope)
        return Evaluation(callees[0].name, call, context.scope) if callees else None

    def _name(self, name: str, at: ast.Call, context: Context, steps: int) -> Iterator[Evaluation]:
        scope = context.scope.lookup(name)
        if scope is None:
            return
        if name not in scope.definitions:
            yield from self._argument(name, scope, context, steps)
            return
        within = context if scope is context.scope else Context(((scope, None),))
        reaching = list(_reaching(scope.definitions[name], at.lineno, scope.calls.get(at, ())))
        for definition in reaching:
            if definition.value is not None:
                yield from self._traced_definition(definition, at, within, steps)

    def _traced_definition(
        self, definition: Definition, at: ast.Call, context: Context, steps: int
    ) -> Iterator[Evaluation]:
        assert definition.value is not None
        before = ast.copy_location(ast.Call(func=ast.Name(id=""), args=[], keywords=[]), definition.value)
        found = list(self.trace(definition.value, before, context, steps))
        if not found and context.scope.node is not None and isinstance(definition.value, ast.BinOp):
            found = [Evaluation(context.scope.name, at, context.scope)]  # computed in place
        yield from found

    def _argument(self, name: str, scope: Scope, context: Context, steps: int) -> Iterator[Evaluation]:
        call = context.chain[0][1] if scope is context.scope else None
        value = argument_of(call, scope, name) if call is not None else None
        if value is not None and call is not None:
            yield from self.trace(value, call, context.caller(), steps)


def _returned_calls(function: Scope) -> list[str]:
    """The parameters of `function` whose results, when it calls them, it returns."""
    returned = [node for value in function.returns for node in _parts(value)]
    names = [node.id for node in returned if isinstance(node, ast.Name)]
    bound = [definition.value for name in names for definition in function.definitions.get(name, ())]
    called = [node.func for node in (*returned, *bound) if isinstance(node, ast.Call)]
    return [node.id for node in called if isinstance(node, ast.Name) and node.id in function.parameters]


def _parts(value: ast.expr) -> Iterable[ast.expr]:
    return value.elts if isinstance(value, ast.Tuple) else [value]


def _operands(node: ast.expr) -> Iterable[ast.expr]:
    return [child for child in children(node) if isinstance(child, ast.expr)]


def _reaching(definitions: Iterable[Definition], line: int, branches: Branches) -> Iterator[Definition]:
    """The bindings that can reach `line` in those branches, latest first, up to one that always does."""
    arms: dict[Branches, set[int]] = {}
    for definition in sorted(definitions, key=lambda found: -found.line):
        if definition.line > line or _excluded(definition.branches, branches):
            continue
        yield definition
        if definition.branches == branches[: len(definition.branches)]:
            return
        *outside, (opened, arm) = definition.branches
        both = arms.setdefault((*outside, (opened, 0)), set())
        both.add(arm)
        if both == {0, 1} and tuple(outside) == branches[: len(outside)]:
            return


def _excluded(definition: Branches, use: Branches) -> bool:
    """Do the two stand in different arms of one conditional?"""
    arms = dict(definition)
    return any(arms.get(line, arm) != arm for line, arm in use)
