"""Leaves out checks that cannot fail where a script runs.

A check is a condition that only raises, or a call, as a statement, of a function whose name begins with require, reject,
check or refuse. The caller says for which modules: a script need not distrust a file that it wrote itself. Whatever such a
check would have found would stop the script elsewhere, or not at all; where data come from outside, checks stay.
"""

from __future__ import annotations

import ast

from trainer.pack.walk import Transformer

_BEGINNINGS = ("require", "reject", "check", "refuse")


def drop_checks(tree: ast.Module) -> None:
    """Leave out the checks of a module, in place."""
    _Dropper().visit(tree)


class _Dropper(Transformer):
    def visit_If(self, node: ast.If) -> ast.stmt | None:
        self.generic_visit(node)
        is_check = len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and not node.orelse
        return None if is_check else node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt | None:
        match node.value:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name.lstrip("_").startswith(_BEGINNINGS):
                return None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node
