"""Which words and names an expression's value goes back to, through names, parameters and calls.

Used to tell what a printed hole quotes: the script's own source, or another program's output. It gathers and does not
judge: every binding of a name counts, in whatever order the code runs.
"""

from __future__ import annotations

import ast

from auditor.source.parse import walk
from auditor.source.scopes import Scopes, argument_of
from auditor.source.texts import Context

_MAX_STEPS = 6


def words_behind(source: str, context: Context, scopes: Scopes) -> frozenset[str]:
    """The names, attributes and constant strings in the expression `source` and in what it is computed from."""
    try:
        expression = ast.parse(source, mode="eval").body
    except SyntaxError:  # the source of a hole that stands for something else than an expression
        return frozenset()
    words: set[str] = set()
    _gather(expression, context, scopes, words, 0)
    return frozenset(words)


def _gather(expression: ast.expr, context: Context, scopes: Scopes, words: set[str], steps: int) -> None:
    for node in walk(expression):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
        elif isinstance(node, ast.Attribute):
            words.add(node.attr)
        elif isinstance(node, ast.Name) and node.id not in words:
            words.add(node.id)
            if steps < _MAX_STEPS:
                _gather_name(node.id, context, scopes, words, steps + 1)
        elif isinstance(node, ast.Call) and steps < _MAX_STEPS:
            for callee in scopes.callees(node.func, context.scope):
                for value in callee.returns:
                    _gather(value, context.inside(callee, node), scopes, words, steps + 2)


def _gather_name(name: str, context: Context, scopes: Scopes, words: set[str], steps: int) -> None:
    scope = context.scope.lookup(name)
    if scope is None:
        return
    call = context.chain[0][1]
    if name in scope.parameters and scope is context.scope and call is not None:
        value = argument_of(call, scope, name)
        if value is not None:
            _gather(value, context.caller(), scopes, words, steps)
    within = context if scope is context.scope else Context(((scope, None),))
    for definition in scope.definitions.get(name, ()):
        if definition.value is not None:
            _gather(definition.value, within, scopes, words, steps)
