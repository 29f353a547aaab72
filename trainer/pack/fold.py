"""Partial evaluation: what is constant becomes its value, and branches that are never taken disappear.

Expressions are evaluated where all their parts are literals; which attributes and results of functions are too,
the caller says. Only operators and a few functions of builtins without side effects are evaluated, so that folding needs
none of the program's imports.
"""

from __future__ import annotations

import ast
import operator
from collections import Counter
from collections.abc import Callable, Container, Mapping
from typing import Any

from trainer.pack.constants import NotConstantError, is_constant, is_pure, stores, to_node, to_value
from trainer.pack.kinds import KindedTransformer, Kinds
from trainer.pack.walk import Transformer, walk

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, container: operator.contains(container, item),
    ast.NotIn: lambda item, container: not operator.contains(container, item),
}
_BUILTINS: Mapping[str, Callable[..., object]] = {"min": min, "max": max, "len": len, "bool": bool, "str": str}
_TERMINAL = (ast.Return, ast.Raise, ast.Continue, ast.Break)


class Folder(KindedTransformer):
    """Folds one module in place.

    `values` gives the literal of (class, attribute), `definite` those that are objects, `results` the literal of a
    function.
    """

    def __init__(
        self,
        kinds: Kinds,
        values: Mapping[tuple[str, str], object],
        definite: Container[tuple[str, str]],
        results: Mapping[str, object],
    ) -> None:
        super().__init__(kinds)
        self.values = values
        self.definite = definite
        self.results = results

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """An attribute whose value is known."""
        self.generic_visit(node)
        key = (self.kind_of(node.value) or "", node.attr)
        return to_node(self.values[key]) if isinstance(node.ctx, ast.Load) and key in self.values else node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """One comparison of two literals."""
        self.generic_visit(node)
        if len(node.ops) > 1:
            return node
        (op,), (right,) = node.ops, node.comparators
        if isinstance(op, ast.Is | ast.IsNot) and self._is_definite(node.left) and is_constant(right):
            return ast.Constant(isinstance(op, ast.IsNot))
        return _evaluated(node, lambda: _COMPARE[type(op)](to_value(node.left), to_value(right)))

    def _is_definite(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and (self.kind_of(node.value) or "", node.attr) in self.definite

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """`not` of a literal."""
        self.generic_visit(node)
        return _evaluated(node, lambda: not to_value(node.operand)) if isinstance(node.op, ast.Not) else node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """Literals that decide end it, those that do not are left out; the last operand is the value."""
        self.generic_visit(node)
        decides = isinstance(node.op, ast.Or)
        kept: list[ast.expr] = []
        for index, value in enumerate(node.values):
            if not is_constant(value):
                kept.append(value)
            elif bool(to_value(value)) == decides:
                kept.append(value)
                break
            elif index == len(node.values) - 1:
                kept.append(value)
        return kept[0] if len(kept) == 1 else ast.BoolOp(node.op, kept)

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        """The branch that is taken."""
        self.generic_visit(node)
        decision = _decided(node.test)
        return node if decision is None else node.body if decision else node.orelse

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Functions that return a literal, and a few builtins of literals."""
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or not self.is_global(node.func.id) or node.keywords:
            return node
        name = node.func.id
        if name in self.results and all(is_pure(argument) for argument in node.args):
            return to_node(self.results[name])
        if name in ("any", "all") and len(node.args) == 1 and _runs_over_nothing(node.args[0]):
            return ast.Constant(name == "all")
        if name in _BUILTINS and node.args:
            return _evaluated(node, lambda: _BUILTINS[name](*map(to_value, node.args)))
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        """Literals without a format become text."""
        self.generic_visit(node)
        parts: list[ast.expr] = []
        for part in node.values:
            text = _plain_text(part)
            if text is None:
                parts.append(part)
            elif parts and isinstance(parts[-1], ast.Constant):
                parts[-1] = ast.Constant(str(parts[-1].value) + text)
            else:
                parts.append(ast.Constant(text))
        return parts[0] if len(parts) == 1 and isinstance(parts[0], ast.Constant) else ast.JoinedStr(parts)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.FormattedValue:
        """A format stays as it is; only the value is folded."""
        node.value = self.visit(node.value)
        if node.format_spec is not None:
            self.generic_visit(node.format_spec)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Names that are bound once, to a literal, become it."""
        super().visit_FunctionDef(node)
        return _without_constant_names(node)


def _decided(test: ast.expr) -> bool | None:
    """What a condition always is; None if that depends."""
    if is_constant(test):
        return bool(to_value(test))
    if isinstance(test, ast.BoolOp) and all(is_pure(value) for value in test.values) and is_constant(test.values[-1]):
        decides = isinstance(test.op, ast.Or)
        return decides if bool(to_value(test.values[-1])) == decides else None
    return None


def _evaluated(node: ast.expr, evaluate: Callable[[], object]) -> ast.expr:
    """The literal that an expression comes to; the expression itself if it is none or raises."""
    try:
        return to_node(evaluate())
    except (NotConstantError, TypeError, ValueError):
        return node


def _runs_over_nothing(node: ast.expr) -> bool:
    return isinstance(node, ast.GeneratorExp) and _is_nothing(node.generators[0].iter)


def _is_nothing(node: ast.expr) -> bool:
    return isinstance(node, ast.Tuple) and not node.elts


def _plain_text(part: ast.expr) -> str | None:
    match part:
        case ast.Constant(value=str() as text):
            return text
        case ast.FormattedValue(value=ast.Constant(value=str() | int() as value), conversion=-1, format_spec=None):
            return str(value)
    return None


def _without_constant_names(function: ast.FunctionDef) -> ast.FunctionDef:
    counts = Counter(stores(function.args)) + Counter(stores(*function.body))
    found: dict[str, ast.expr] = {}
    for node in walk(function):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ):
                if value is not None and is_constant(value) and counts[name] == 1:
                    found[name] = value
    return Substitute(found).visit(function) if found else function


class Substitute(Transformer):
    """Replaces names by literals, and drops what bound them."""

    def __init__(self, found: Mapping[str, ast.expr]) -> None:
        self.found = found

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A name that is read."""
        return self.found[node.id] if isinstance(node.ctx, ast.Load) and node.id in self.found else node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | None:
        """What bound it."""
        target = node.targets[0]
        if isinstance(target, ast.Name) and target.id in self.found:
            return None
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        """What bound it."""
        if isinstance(node.target, ast.Name) and node.target.id in self.found:
            return None
        self.generic_visit(node)
        return node


class Tidier(Transformer):
    """Takes decided branches apart, cuts what follows a return, and leaves no block empty."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Every block below a node, after what is inside it."""
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, self._tidy(block, is_documented=name == "body"))
        if not isinstance(node, ast.Module) and getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    @staticmethod
    def _tidy(block: list[ast.stmt], *, is_documented: bool) -> list[ast.stmt]:
        kept: list[ast.stmt] = []
        for index, statement in enumerate(block):
            is_docstring = is_documented and index == 0 and isinstance(statement, ast.Expr)
            if isinstance(statement, ast.Pass) or (not is_docstring and _does_nothing(statement)):
                continue
            kept.append(statement)
            if isinstance(statement, _TERMINAL):
                break
        return kept

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """The branch that is taken; nothing, if both are empty."""
        self.generic_visit(node)
        decision = _decided(node.test)
        if decision is not None:
            return node.body if decision else node.orelse
        if not all(isinstance(statement, ast.Pass) for statement in node.body):
            return node
        if node.orelse:
            return ast.If(ast.UnaryOp(ast.Not(), node.test), node.orelse, [])
        return [] if is_pure(node.test) else ast.Expr(node.test)

    def visit_Assert(self, node: ast.Assert) -> ast.AST | None:
        """What is always true need not be said."""
        return None if _decided(node.test) else node

    def visit_For(self, node: ast.For) -> ast.AST | list[ast.stmt]:
        """A loop over nothing is what its `else` does."""
        self.generic_visit(node)
        return node.orelse if _is_nothing(node.iter) else node

    def visit_With(self, node: ast.With) -> ast.AST | list[ast.stmt]:
        """`with nullcontext()` is what stands in it."""
        self.generic_visit(node)
        contexts = [item for item in node.items if item.optional_vars is not None or not _is_null(item.context_expr)]
        node.items = contexts
        return node if contexts else node.body


def _is_null(context: ast.expr) -> bool:
    return isinstance(context, ast.Call) and not context.args and ast.unparse(context.func).endswith("nullcontext")


def _does_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and is_constant(statement.value)
