"""Which condition keeps a place in the source off in the submitted configuration?"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from auditor.source.parse import parents
from auditor.source.scopes import Scope
from auditor.submission.submission import Submission

_WIDTH = 60  # ours: of a condition that is quoted


def switched_off_by(submission: Submission, scope: Scope, node: ast.AST) -> str | None:
    """The condition around a place, or around the making of every object of its class, that leaves it out; None if none."""
    tree = scope.module.tree
    assert tree is not None
    around = parents(tree)
    if (condition := _skipped_by(submission, scope, node, around)) is not None:
        return condition
    owner = around.get(scope.node) if scope.node else None
    name = owner.name if isinstance(owner, ast.ClassDef) else None
    made = [(call, inside) for inside in submission.scopes.all for call in inside.calls if _called(call) == name]
    conditions = [_skipped_by(submission, inside, call, around) for call, inside in made]
    return conditions[0] if conditions and None not in conditions else None


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _skipped_by(submission: Submission, scope: Scope, node: ast.AST, around: Mapping[ast.AST, ast.AST]) -> str | None:
    """The condition around a node that, as the configuration decides it, leaves the node out."""
    while (parent := around.get(node)) is not None and not isinstance(parent, ast.FunctionDef):
        if isinstance(parent, ast.If | ast.IfExp) and node is not parent.test:
            first = parent.body if isinstance(parent.body, list) else [parent.body]
            known = submission.configuration.evaluate(parent.test, scope)
            if known is not None and bool(known.value) is not any(node is inner for inner in first):
                return ast.unparse(parent.test)[:_WIDTH]
        node = parent
    return None
