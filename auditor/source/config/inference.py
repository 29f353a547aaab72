"""Switches that the log's labels reveal: a branch that printed was taken, and one that printed nothing was not.

From every line that the script's own print sites made, the conditions that those sites stand under hold; a conditional
piece of a text (``f"start{' slot' if use_slot else ''}"``) tells in the same way. A print that runs whenever its branch
does and that left no line shows that the branch was not taken, in a function that was entered. From a condition a switch
follows only where nothing else in it could decide. Only contradictions to what the other sources say are returned.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from auditor.finding import Location
from auditor.source.config.labels import PrintedLines, Taken
from auditor.source.config.lazy import LazyEvaluator
from auditor.source.config.values import Unknown, is_plain, truth
from auditor.source.parse import walk
from auditor.source.scopes import Binding, Scope

_MAX_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Implied:
    """A switch and the text that it must have had: an attribute (or global), or an environment variable."""

    name: str
    text: str
    is_variable: bool
    location: Location


@dataclass(frozen=True, slots=True)
class LabelInference:
    """Holds what the labels show against what the other sources gave."""

    printed: PrintedLines
    lazy: LazyEvaluator

    def contradictions(self) -> Iterator[Implied]:
        """The switches whose value the labels refute, each once, what was printed before what was not."""
        seen: set[str] = set()
        refuted: set[str] = set()
        for taken in (*self.printed.taken(), *self.printed.not_taken()):
            if taken.holds is False and not self._is_reached(taken, refuted):
                continue
            for implied in self._implied(taken.test, taken.holds, taken, taken.scope, 0):
                if not taken.holds:
                    refuted.add(ast.unparse(taken.test))
                if implied.name not in seen:
                    seen.add(implied.name)
                    yield implied

    def _is_reached(self, taken: Taken, refuted: set[str]) -> bool:
        """Do the conditions around a branch hold, so that it was its own condition that kept it from running?

        One that labels have refuted does not, whatever the other sources gave.
        """
        if any(ast.unparse(test) in refuted for test in taken.around):
            return False
        return all(truth(self.lazy.value_of(test, taken.scope)) is True for test in taken.around)

    def _implied(self, test: ast.expr, holds: bool, taken: Taken, scope: Scope, depth: int) -> Iterator[Implied]:
        if depth > _MAX_DEPTH:
            return
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield from self._implied(operand, not holds, taken, scope, depth + 1)
            case ast.BoolOp(op=op, values=values):
                all_hold = isinstance(op, ast.And) is holds
                for value in values if all_hold else self._undecided(values, holds, scope):
                    yield from self._implied(value, holds, taken, scope, depth + 1)
            case ast.Name(id=name) if (bound := _only_binding(name, scope)) is not None:
                yield from self._implied(bound, holds, taken, scope, depth + 1)
            case _:
                yield from self._switch(test, holds, taken, scope)

    def _undecided(self, values: list[ast.expr], holds: bool, scope: Scope) -> list[ast.expr]:
        """Of several conditions one decides: it is told only if a single one is a switch, the others being constants."""
        switches = [value for value in values if self.lazy.value_of(value, scope).reads or _is_attribute(value)]
        return switches if len(switches) == 1 and len(values) <= 2 else []

    def _switch(self, test: ast.expr, holds: bool, taken: Taken, scope: Scope) -> Iterator[Implied]:
        value = self.lazy.value_of(test, scope)
        if truth(value) is holds or any(name.startswith("log ") for name in value.reads):
            return
        if isinstance(test, ast.Attribute | ast.Name):
            name = test.attr if isinstance(test, ast.Attribute) else test.id
            text = _text_of(value.data, holds)
            if text is not None and self.lazy.attributes.get(name):
                yield Implied(name, text, False, taken.location)
        elif isinstance(test, ast.Compare):
            yield from self._compared(test, holds, taken, scope)
        if len(value.reads) == 1 and not isinstance(value.data, Unknown) and _reads_directly(test):
            yield Implied(next(iter(value.reads)), _flag_text(test, holds), True, taken.location)

    def _compared(self, test: ast.Compare, holds: bool, taken: Taken, scope: Scope) -> Iterator[Implied]:
        """``x.mode == "two_pass"`` that holds gives the mode; ``x.epochs > 0`` that does not hold gives 0."""
        if len(test.ops) != 1 or not isinstance(test.left, ast.Attribute) or test.left.attr not in self.lazy.attributes:
            return
        right = self.lazy.value_of(test.comparators[0], scope)
        if isinstance(test.ops[0], ast.Eq) and holds and is_plain(right.data):
            yield Implied(test.left.attr, str(right.data), False, taken.location)
        elif isinstance(test.ops[0], ast.Gt) and not holds and right.data == 0:
            yield Implied(test.left.attr, "0", False, taken.location)


def _only_binding(name: str, scope: Scope) -> ast.expr | None:
    level = scope.lookup(name)
    found = level.definitions.get(name, []) if level is not None and level.node is not None else []
    only = found[0] if len(found) == 1 and found[0].binding is Binding.ASSIGNED else None
    return only.value if only else None


def _is_attribute(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)


def _text_of(data: object, holds: bool) -> str | None:
    """How a switch of this kind says that it is on or off; None if no value can be told (a number that is not 0)."""
    if isinstance(data, bool | Unknown):
        return str(holds)
    if isinstance(data, int | float) and (not holds or data == 0):
        return str(int(holds))
    return None


def _reads_directly(test: ast.expr) -> bool:
    """Is the environment read in the condition itself?"""
    return any(isinstance(node, ast.Call) for node in walk(test)) and len(walk(test)) <= 24


def _flag_text(test: ast.expr, holds: bool) -> str:
    """The text that makes ``os.environ.get("X", "0") == "1"`` or ``bool(int(...))`` come out as it did."""
    if isinstance(test, ast.Compare) and isinstance(test.comparators[0], ast.Constant):
        equal = isinstance(test.ops[0], ast.Eq) is holds
        word = str(test.comparators[0].value)
        return word if equal else ("0" if word != "0" else "1")
    return str(int(holds))
