"""Evaluates ``with``: the body runs where the manager lets it, between what the manager does before and after.

A generator of the script under ``contextmanager`` is entered, and the body is evaluated at its ``yield``, in the frame that
it stands in; then the generator goes on, so that what it puts back comes after what the body did. An object with
``__enter__`` and ``__exit__`` of the script's own is asked for both. A library's manager is its value. Not covered:
managers that swallow exceptions, and one that is chosen by a condition which was not decided: then the first is taken.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from auditor.source.flow import values as v
from auditor.source.flow.machine import Machine
from auditor.source.parse import walk

if TYPE_CHECKING:
    from auditor.source.flow.statements import Outcome, StatementEvaluator

_GRADIENT_FREE = frozenset({"no_grad", "inference_mode"})


class Managers:
    """Evaluates with-statements on a machine."""

    def __init__(self, machine: Machine, statements: StatementEvaluator) -> None:
        self.machine = machine
        self.statements = statements

    def within(self, items: Sequence[ast.withitem], body: Sequence[ast.stmt], env: v.Environment) -> Outcome:
        """The body inside the managers, the first of them outermost."""
        if not items:
            return self.statements.block(body, env)
        first, *rest = items

        def inside(value: v.Value) -> Outcome:
            if first.optional_vars is not None:
                self.statements.assignments.assign(first.optional_vars, value, env)
            return self.within(rest, body, env)

        call = first.context_expr
        calls = self.statements.expressions.calls
        is_named = isinstance(call, ast.Call) and not any(isinstance(part, ast.Call) for part in walk(call.func))
        function = calls.callee(call.func, env) if isinstance(call, ast.Call) and is_named else v.NONE
        generator = next((each for each in v.options(function) if _is_manager(each)), None)
        if isinstance(call, ast.Call) and isinstance(generator, v.Function):
            return self._in_generator(generator, call, env, inside)
        return self._in_object(self.statements.expressions.value(call, env), call, inside)

    def _in_generator(
        self, generator: v.Function, call: ast.Call, env: v.Environment, inside: Callable[[v.Value], Outcome]
    ) -> Outcome:
        ended: list[Outcome] = []

        def run_body(value: v.Value) -> None:
            if not ended:  # a generator that yields in both arms of a condition still runs the body once
                with self.machine.suspended():
                    ended.append(inside(value))

        calls = self.statements.expressions.calls
        arguments, keywords = calls.arguments(call, env)
        given = [*generator.arguments, *arguments], {**generator.keywords, **keywords}
        calls.enter(generator, *given, call, on_yield=run_body)
        return ended[0] if ended else inside(v.Data())

    def _in_object(self, manager: v.Value, node: ast.expr, inside: Callable[[v.Value], Outcome]) -> Outcome:
        own = manager if isinstance(manager, v.Instance) and manager.cls.lookup("__enter__") is not None else None
        call_method = self.statements.expressions.call_method
        entered = call_method(own, "__enter__", [], {}, node) if own is not None else manager
        without = isinstance(manager, v.Data) and manager.name in _GRADIENT_FREE
        self.machine.no_grad += without
        try:
            ended = inside(entered)
        finally:
            self.machine.no_grad -= without
        if own is not None and own.cls.lookup("__exit__") is not None:
            call_method(own, "__exit__", [v.NONE, v.NONE, v.NONE], {}, node)
        return ended


def _is_manager(function: v.Value) -> bool:
    """Is it a function of the script that ``contextmanager`` decorates?"""
    return isinstance(function, v.Function) and "contextmanager" in function.decorators
