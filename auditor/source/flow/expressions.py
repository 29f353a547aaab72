"""Evaluates expressions to abstract values."""

from __future__ import annotations

import ast
from collections.abc import Callable

from auditor.source.flow import hindsight, ordering
from auditor.source.flow import values as v
from auditor.source.flow.literals import Literals
from auditor.source.flow.machine import Machine
from auditor.source.flow.operators import compared, negated, switches_of, truth
from auditor.source.flow.places import Places


class Expressions(Places):
    """Evaluates expressions on a machine."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.literals = Literals(self)
        self._handlers: dict[type[ast.expr], Callable[..., v.Value]] = {
            ast.Constant: lambda node, env: v.Const(node.value),
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Subscript: self._subscript,
            ast.Call: lambda node, env: self.calls.call(node, env),
            ast.BinOp: self._operation,
            ast.UnaryOp: self._unary,
            ast.BoolOp: self._logic,
            ast.Compare: self._comparison,
            ast.IfExp: self._conditional,
            ast.JoinedStr: self.literals.text,
            ast.FormattedValue: lambda node, env: self.value(node.value, env),
            ast.Tuple: lambda node, env: self.literals.sequence(node, env, True),
            ast.List: lambda node, env: self.literals.sequence(node, env, False),
            ast.Set: lambda node, env: self.literals.sequence(node, env, False),
            ast.Dict: self.literals.mapping,
            ast.ListComp: self.literals.comprehension,
            ast.SetComp: self.literals.comprehension,
            ast.GeneratorExp: self.literals.comprehension,
            ast.DictComp: self.literals.comprehension,
            ast.Lambda: lambda node, env: self.literals.function(node, env),
            ast.NamedExpr: self._named,
            ast.Starred: lambda node, env: self.value(node.value, env),
            ast.Await: lambda node, env: self.value(node.value, env),
            ast.Yield: self._yield,
            ast.YieldFrom: self._yield,
            ast.Slice: self.index,
        }

    def value(self, node: ast.expr, env: v.Environment) -> v.Value:
        """The value of an expression."""
        self.machine.tick()
        handler = self._handlers.get(type(node))
        return handler(node, env) if handler else v.Data()

    def peek(self, node: ast.expr, env: v.Environment) -> v.Value | None:
        """What a dotted name names, without evaluating anything else."""
        if isinstance(node, ast.Name):
            return self._name(node, env)
        if isinstance(node, ast.Attribute):
            inner = self.peek(node.value, env)
            return v.Library(f"{inner.name}.{node.attr}") if isinstance(inner, v.Library) else None
        return None

    # ---- names and places ----

    def _name(self, node: ast.Name, env: v.Environment) -> v.Value:
        found = self.machine.lookup(node.id, env)
        return found if found is not None else v.Library(f"builtins.{node.id}")

    def _attribute(self, node: ast.Attribute, env: v.Environment) -> v.Value:
        return self.attribute(self.value(node.value, env), node.attr, node)

    def _subscript(self, node: ast.Subscript, env: v.Environment) -> v.Value:
        receiver = self.value(node.value, env)
        index = self.index(node.slice, env)
        found = v.choice(self.item(option, index, node) for option in v.options(receiver))
        return (
            ordering.marked(found, ordering.of_slice(receiver, node.slice)) if isinstance(node.slice, ast.Slice) else found
        )

    def index(self, node: ast.expr, env: v.Environment) -> v.Value:
        """The value of an index; a slice is a sequence of its bounds."""
        if isinstance(node, ast.Slice):
            bounds = [self.value(bound, env) if bound else v.NONE for bound in (node.lower, node.upper)]
            return v.Sequence(bounds, is_tuple=True)
        if isinstance(node, ast.Tuple):
            return v.Sequence([self.index(element, env) for element in node.elts], is_tuple=True)
        return self.value(node, env)

    # ---- operations ----

    def _operation(self, node: ast.BinOp, env: v.Environment) -> v.Value:
        left, right = self.value(node.left, env), self.value(node.right, env)
        if isinstance(left, v.Choice) or isinstance(right, v.Choice):
            lefts = [option for option in v.options(left) if option != v.NONE] or [left]
            rights = [option for option in v.options(right) if option != v.NONE] or [right]
            if len(lefts) * len(rights) <= 4:
                return v.choice(self.methods.added(a, b, node) for a in lefts for b in rights)
        return self.methods.added(left, right, node)

    def _unary(self, node: ast.UnaryOp, env: v.Environment) -> v.Value:
        operand = self.value(node.operand, env)
        if isinstance(node.op, ast.Not):
            return negated(operand)
        if isinstance(operand, v.Const) and isinstance(operand.value, int | float):
            return v.Const(-operand.value if isinstance(node.op, ast.USub) else operand.value, operand.switches)
        data = v.summary(operand)
        result = v.derived(data)
        result.mask, result.span = data.mask, data.span
        return result

    def _logic(self, node: ast.BoolOp, env: v.Environment) -> v.Value:
        is_or = isinstance(node.op, ast.Or)
        undecided: list[v.Value] = []
        last: v.Value = v.NONE
        for operand in node.values:
            last = self.value(operand, env)
            known = truth(last)
            switches = switches_of(last)
            if known is None or (switches and self.machine.explore):
                undecided.append(last)
            elif known is is_or:
                return v.choice([*undecided, last]) if is_or else last
        if not undecided:
            return last
        return v.choice(undecided) if is_or or len(undecided) == 1 else v.merged(undecided)

    def _comparison(self, node: ast.Compare, env: v.Environment) -> v.Value:
        left = self.value(node.left, env)
        results: list[v.Value] = []
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.value(comparator, env)
            results.append(self._compare(left, right, op, node))
            left = right
        if len(results) == 1:
            return results[0]
        if any(truth(result) is False for result in results):
            return next(result for result in results if truth(result) is False)
        open_ = [v.summary(result) for result in results if truth(result) is None]
        return v.derived(*open_) if open_ else results[0]

    def _compare(self, left: v.Value, right: v.Value, op: ast.cmpop, node: ast.Compare) -> v.Value:
        told = self._first_turn(left, right, op) or self._before_last_turn(left, op, node)
        if told is not None:
            return told
        if isinstance(right, v.Library) and right.name == "os.environ" and isinstance(left, v.Const):
            known = self.machine.settings.environment(str(left.value))
            return v.Const(known is not None) if known is not None else v.Data(switches=frozenset((str(left.value),)))
        result = compared(left, right, op)
        if isinstance(result, v.Data) and isinstance(left, v.Data) and left.index and left.index.loop == v.POSITIONS:
            bound = ast.unparse(node.comparators[0])
            result.span = (None, bound) if isinstance(op, ast.Lt | ast.LtE) else (bound, None)
        if isinstance(result, v.Data) and self._tests_word(left, right, op):
            result.gates |= {self.machine.recorder.gate(node)}
            result.table_word = False
        if isinstance(result, v.Data) and result.judged:
            result.hindsight |= hindsight.of_comparison(left, right, node, self.machine.recorder)
            result.peeks = any(self.machine.recorder.is_unscored(v.summary(side)) for side in (left, right))
        return result

    def _tests_word(self, left: v.Value, right: v.Value, op: ast.cmpop) -> bool:
        """Is what a table says of the realised token held against something?"""
        told = any(self.machine.recorder.tells_word(v.summary(side)) for side in (left, right))
        return told and not _is_of_presence(op, right)

    def _first_turn(self, left: v.Value, right: v.Value, op: ast.cmpop) -> v.Value | None:
        """``i == 0`` tells the first turn of a loop from later ones."""
        if not (isinstance(left, v.Data) and left.index and isinstance(right, v.Const)):
            return None
        if right.value != left.index.start or not isinstance(op, ast.Eq | ast.NotEq | ast.Gt):
            return None
        loop = next((loop for loop in self.machine.recorder.loops if loop.number == left.index.loop), None)
        if loop is None:
            return None
        loop.asked_for_start = True
        return v.Const((left.index.turn == 0) is isinstance(op, ast.Eq))

    def _before_last_turn(self, left: v.Value, op: ast.cmpop, node: ast.Compare) -> v.Value | None:
        """``i == n - 1`` in the first of several turns of ``for i in range(n)``; of a later turn it is not told."""
        index = left.index if isinstance(left, v.Data) else None
        if index is None or index.turn or not isinstance(op, ast.Eq | ast.Lt | ast.NotEq):
            return None
        loop = next((loop for loop in self.machine.recorder.loops if loop.number == index.loop), None)
        if loop is None or loop.last is None or loop.last != ast.unparse(node.comparators[0]):
            return None
        loop.asked_for_start = True
        return v.Const(not isinstance(op, ast.Eq))

    def _conditional(self, node: ast.IfExp, env: v.Environment) -> v.Value:
        test = self.value(node.test, env)
        known = truth(test)
        switches = switches_of(test)
        if known is not None and not (switches and self.machine.explore):
            found = self.value(node.body if known else node.orelse, env)
            return v.Const(found.value, found.switches | switches) if isinstance(found, v.Const) else found
        result = v.choice([self.value(node.body, env), self.value(node.orelse, env)])
        decided_by = v.deciding(test)
        if decided_by is not None:
            result = v.derived(v.summary(result), decided_by)
        return result

    def _named(self, node: ast.NamedExpr, env: v.Environment) -> v.Value:
        value = self.value(node.value, env)
        self.machine.bind(node.target.id, value, env)
        return value

    def _yield(self, node: ast.Yield | ast.YieldFrom, env: v.Environment) -> v.Value:
        value = self.value(node.value, env) if node.value else v.NONE
        if self.machine.activations:
            found = self.element(value, None) if isinstance(node, ast.YieldFrom) else value
            activation = self.machine.activations[-1]
            activation.yielded.append(found)
            if activation.on_yield is not None:
                activation.on_yield(found)
        return v.Data()


def _is_of_presence(op: ast.cmpop, bound: v.Value) -> bool:
    """Does a comparison tell only whether there is an entry? No count and no share is below zero."""
    known = bound.value if isinstance(bound, v.Const) else None
    if not isinstance(known, int | float):
        return False
    return known < 0 or (known == 0 and isinstance(op, ast.GtE | ast.Lt))
