"""Evaluates statements: order, branches and loops.

What a block comes to is an `Outcome`: it runs on, or it leaves the turn, the loop or the function. Both arms of an
undecided condition are evaluated one after the other on the same objects, so that what either writes is there
afterwards; variables that differ are joined.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Statements
from dataclasses import dataclass, field
from enum import Enum

from auditor.events import Turn
from auditor.source.flow import loops, ordering
from auditor.source.flow import values as v
from auditor.source.flow.assignments import Assignments
from auditor.source.flow.expressions import Expressions
from auditor.source.flow.machine import DeadArm, Machine
from auditor.source.flow.managers import Managers
from auditor.source.flow.operators import switches_of, truth
from auditor.source.flow.record import Loop

_ENDINGS = frozenset({"sys.exit", "os._exit", "builtins.exit", "builtins.quit"})
_UNROLLED = 6  # ours: loops over so many known items run item by item


class Outcome(Enum):
    """How a block ends."""

    NEXT = 0
    CONTINUE = 1
    BREAK = 2
    LEAVE = 3


def _either(first: Outcome, second: Outcome) -> Outcome:
    """How a block ends that ends in one of two ways."""
    return first if first is second else min(first, second, key=lambda outcome: outcome.value)


@dataclass(slots=True)
class StatementEvaluator:
    """Runs statements on a machine."""

    machine: Machine
    expressions: Expressions
    assignments: Assignments
    leaving: list[list[dict[str, v.Value]]] = field(default_factory=list)
    managers: Managers = field(init=False)

    def __post_init__(self) -> None:
        self.managers = Managers(self.machine, self)

    def block(self, body: Statements[ast.stmt], env: v.Environment) -> Outcome:
        """Run statements in order."""
        for statement in body:
            outcome = self.statement(statement, env)
            if outcome is not Outcome.NEXT:
                return outcome
        return Outcome.NEXT

    def statement(self, node: ast.stmt, env: v.Environment) -> Outcome:
        """Run one statement."""
        self.machine.tick()
        match node:
            case ast.Expr():
                return self._expression(node, env)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.Delete():
                self.assignments.run(node, env)
            case ast.If():
                return self._if(node, env)
            case ast.For() | ast.AsyncFor():
                return self._for(node, env)
            case ast.While():
                return self._while(node, env)
            case ast.With() | ast.AsyncWith():
                return self.managers.within(node.items, node.body, env)
            case ast.Try() | ast.TryStar():
                return self._try(node, env)
            case ast.Match():
                return self._match(node, env)
            case _:
                return self._simple(node, env)
        return Outcome.NEXT

    def _simple(self, node: ast.stmt, env: v.Environment) -> Outcome:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                env.names[node.name] = self.expressions.literals.function(node, env)
            case ast.ClassDef():
                env.names[node.name] = self._class(node, env)
            case ast.Import() | ast.ImportFrom():
                self.assignments.import_(node, env)
            case ast.Global() | ast.Nonlocal():
                env.outer_names.update(node.names)
            case ast.Return() | ast.Raise():
                return self._leave(node, env)
            case ast.Break():
                return Outcome.BREAK
            case ast.Continue():
                return Outcome.CONTINUE
            case ast.Assert():
                self.expressions.value(node.test, env)
        return Outcome.NEXT

    def _leave(self, node: ast.Return | ast.Raise, env: v.Environment) -> Outcome:
        if isinstance(node, ast.Return) and self.machine.activations:
            returned = self.expressions.value(node.value, env) if node.value else v.NONE
            self.machine.activations[-1].returned.append(returned)
        return Outcome.LEAVE

    def _expression(self, node: ast.Expr, env: v.Environment) -> Outcome:
        if isinstance(node.value, ast.Constant):
            return Outcome.NEXT
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute | ast.Name):
            called = self.expressions.peek(node.value.func, env)
            if isinstance(called, v.Library) and called.name in _ENDINGS:
                return Outcome.LEAVE
        self.expressions.value(node.value, env)
        return Outcome.NEXT

    def _class(self, node: ast.ClassDef, env: v.Environment) -> v.Class:
        bases = tuple(self.expressions.value(base, env) for base in node.bases)
        found = v.Class(node, env, bases)
        inside = v.Environment(env.module, found.attributes, env)
        self.block(node.body, inside)
        return found

    # ---- branches ----

    def _if(self, node: ast.If, env: v.Environment) -> Outcome:
        value = self.expressions.value(node.test, env)
        decided = truth(value)
        switches = switches_of(value)
        if decided is not None and not (switches and self.machine.explore):
            taken, skipped = (node.body, node.orelse) if decided else (node.orelse, node.body)
            if taken and isinstance(taken[-1], ast.Raise):
                return self.block(skipped, env)  # the run got further than this
            if switches and not self.machine.explore and self.machine.settings.was_silent(env.module, taken):
                taken, skipped = skipped, taken  # the log knows better
            if switches and skipped:
                self.machine.dead.append(DeadArm(env.module.source_path, skipped[0].lineno, tuple(sorted(switches))))
            return self.block(taken, env)
        arms: list[Statements[ast.stmt]] = [node.body, node.orelse]
        if not self.machine.explore:
            arms = [arm for arm in arms if not self.machine.settings.was_silent(env.module, arm)] or arms
        with self.machine.condition(switches, v.summary(value), node.test):
            return self._arms(arms, env, None if _is_bound(node) else v.deciding(value))

    def _arms(self, arms: list[Statements[ast.stmt]], env: v.Environment, decided_by: v.Data | None = None) -> Outcome:
        """Run each arm from the same variables; join what runs on."""
        before = dict(env.names)
        ends: list[tuple[Outcome, dict[str, v.Value]]] = []
        states = self.machine.saved_state()
        reached: list[tuple[v.Store, tuple[v.Numbers, v.Regions, v.Regions]]] = []
        for arm in arms:
            env.names.clear()
            env.names.update(before)
            for store, state in states if all(arms) else ():
                store.state = state
            first_event = len(self.machine.recorder.events)
            outcome = self.block(arm, env)
            self._ended(outcome, first_event)
            reached += self.machine.saved_state()
            ends.append((outcome, dict(env.names)))
            if outcome in (Outcome.BREAK, Outcome.CONTINUE) and self.leaving:
                self.leaving[-1].append(dict(env.names))
        for store, (influences, tokens, gradient) in reached if all(arms) else ():
            now = store.state
            store.state = (now[0] | influences, now[1] | tokens, now[2] | gradient)
        going_on = [names for outcome, names in ends if outcome is Outcome.NEXT]
        joined = _join(going_on or [names for _, names in ends], decided_by, before)
        env.names.clear()
        env.names.update(joined)
        outcome = ends[0][0]
        for other, _ in ends[1:]:
            outcome = _either(outcome, other)
        return outcome

    def _ended(self, outcome: Outcome, first_event: int) -> None:
        """An arm that ends the turn: whatever runs on in this turn, its events are none of theirs."""
        recorder = self.machine.recorder
        if outcome in (Outcome.BREAK, Outcome.CONTINUE) and recorder.loops:
            recorder.loops[-1].abandoned |= set(range(first_event, len(recorder.events)))

    def _match(self, node: ast.Match, env: v.Environment) -> Outcome:
        self.expressions.value(node.subject, env)
        with self.machine.condition(frozenset()):
            return self._arms([*(case.body for case in node.cases), []], env)

    def _try(self, node: ast.Try | ast.TryStar, env: v.Environment) -> Outcome:
        outcome = self.block(node.body, env)
        if outcome is Outcome.NEXT:
            outcome = self.block(node.orelse, env)
        after = dict(env.names)
        for handler in node.handlers:
            with self.machine.condition(frozenset()):
                if handler.name:
                    env.names[handler.name] = v.Data()
                ended = self.block(handler.body, env)
            going_on = [after] if ended is not Outcome.NEXT else [after, dict(env.names)]
            after = _join(going_on, None, after)
            outcome = _either(outcome, ended) if ended is Outcome.NEXT else outcome
            env.names.clear()
            env.names.update(after)
        final = self.block(node.finalbody, env)
        return final if final is not Outcome.NEXT else outcome

    # ---- loops ----

    def _for(self, node: ast.For | ast.AsyncFor, env: v.Environment) -> Outcome:
        """A loop over lists that are joined is a loop over each: the second may come back to the tokens of the first."""
        *before, last = loops.joined_lists(node.iter)
        order = ordering.of_strides([*before, last], node.iter)
        for part in before:
            loop = ast.For(target=node.target, iter=part, body=node.body, orelse=[])
            if self._over(ast.copy_location(loop, node), env, order) is Outcome.LEAVE:
                return Outcome.LEAVE
        loop = ast.For(target=node.target, iter=last, body=node.body, orelse=node.orelse)
        return self._over(ast.copy_location(loop, node) if before else node, env, order)

    def _over(self, node: ast.For | ast.AsyncFor, env: v.Environment, order: str | None = None) -> Outcome:
        iterated = self.expressions.value(node.iter, env)
        items = self._positions(node.iter, env) or self._known_items(iterated)
        if items is not None:
            return self._item_by_item(node, items, env)
        if _is_empty(iterated):
            return self.block(node.orelse, env)
        with self.machine.loop(node, last=None if _runs_once(iterated) else loops.last_value(node.iter)) as loop:
            self.machine.recorder.put_in_order(loop, order or ordering.of(iterated))
            for turn in (0, 1):
                loop.turn = turn
                loop.abandoned.clear()
                before = dict(env.names)
                self.assignments.assign(node.target, self.expressions.element(iterated, loop), env)
                ended = self._turn(node.body, env)
                _carry(env, before)
                if not self._runs_again(loop, ended) or _runs_once(iterated):
                    break
        return self._else(node, env)

    def _else(self, node: ast.For | ast.AsyncFor | ast.While, env: v.Environment) -> Outcome:
        """The `else` of a loop that has run: skipped by a turn that broke off."""
        if not (node.orelse and loops.breaks_off(node.body)):
            return self.block(node.orelse, env)
        with self.machine.condition(frozenset()):
            return self._arms([node.orelse, []], env)

    def _turn(self, body: Statements[ast.stmt], env: v.Environment) -> Outcome:
        """Run a loop's body once; variables are joined over the ways in which the turn can end."""
        self.leaving.append([])
        ended = self.block(body, env)
        left = self.leaving.pop()
        if left:
            ends = [dict(env.names), *left] if ended is Outcome.NEXT else left
            joined = _join(ends, None, env.names)
            env.names.clear()
            env.names.update(joined)
        return ended

    def _positions(self, node: ast.expr, env: v.Environment) -> list[v.Value]:
        """The positions in a short list whose items are known, of ``range(len(items))``; empty for anything else."""
        match node:
            case ast.Call(func=ast.Name(id="range"), args=[ast.Call(func=ast.Name(id="len"), args=[counted])]):
                items = self._known_items(self.expressions.value(counted, env)) or []
                return [v.Const(position) for position in range(len(items))]
            case _:
                return []

    def _known_items(self, iterated: v.Value) -> list[v.Value] | None:
        if isinstance(iterated, v.Sequence) and iterated.exact and len(iterated.items) <= _UNROLLED:
            return iterated.items
        return None

    def _item_by_item(self, node: ast.For | ast.AsyncFor, items: Iterable[v.Value], env: v.Environment) -> Outcome:
        for item in list(items):
            self.assignments.assign(node.target, item, env)
            ended = self._turn(node.body, env)
            if ended in (Outcome.BREAK, Outcome.LEAVE):
                return Outcome.NEXT if ended is Outcome.BREAK else ended
        return self._else(node, env)

    def _while(self, node: ast.While, env: v.Environment) -> Outcome:
        value = self.expressions.value(node.test, env)
        if truth(value) is False and not (switches_of(value) and self.machine.explore):
            return self.block(node.orelse, env)
        counters = [name for name in loops.counters(node.body) if isinstance(env.names.get(name), v.Const | v.Data)]
        with self.machine.loop(node) as loop:
            for turn in (0, 1):
                loop.turn = turn
                loop.abandoned.clear()
                before = dict(env.names)
                for name in counters:
                    self._make_counter(name, loop, env)
                ended = self._turn(node.body, env)
                _carry(env, before)
                if not self._runs_again(loop, ended):
                    break
        return self._else(node, env)

    def _make_counter(self, name: str, loop: Loop, env: v.Environment) -> None:
        """A variable that a while loop advances differs in every turn."""
        known = env.names[name]
        if (isinstance(known, v.Const) and isinstance(known.value, int | float) and not isinstance(known.value, bool)) or (
            isinstance(known, v.Data) and not (known.tokens or known.scores or known.stores)
        ):
            env.names[name] = v.Data(turns=frozenset((loop.tag, *self._carried_through(name))))

    def _carried_through(self, name: str) -> Iterator[Turn]:
        """Loops around a while loop that do not set its counter anew: each of their turns goes on where the last ended."""
        recorder = self.machine.recorder
        for around in recorder.loops[:-1]:
            if around.depth == len(recorder.frames) and name not in loops.assigned(around.body):
                yield around.tag

    def _runs_again(self, loop: Loop, ended: Outcome) -> bool:
        """Does a later turn show anything that the first did not?"""
        if loop.turn or ended in (Outcome.BREAK, Outcome.LEAVE):
            return False
        return loop.asked_for_start or loop.carried or (loop.updated and loop.used)


def _is_bound(node: ast.If) -> bool:
    """Is it ``if x < low: x = low``, a maximum or a minimum written as a condition?"""
    match node:
        case ast.If(
            test=ast.Compare(left=ast.Name(tested), ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE()], comparators=[bound]),
            body=[ast.Assign(targets=[ast.Name(bounded)], value=value)],
            orelse=[],
        ):
            return tested == bounded and ast.dump(bound) == ast.dump(value)
        case _:
            return False


def _runs_once(iterated: v.Value) -> bool:
    return isinstance(iterated, v.Data) and iterated.span == ("0", "1")


def _is_empty(iterated: v.Value) -> bool:
    if isinstance(iterated, v.Sequence):
        return iterated.exact and not iterated.items
    return isinstance(iterated, v.Data) and iterated.span == ("0", "0")


def _carry(env: v.Environment, before: dict[str, v.Value]) -> None:
    """After a turn: a variable may still have the value from before the loop."""
    for name, old in before.items():
        new = env.names.get(name)
        if new is None or new is old:
            continue
        if isinstance(old, v.Const) and isinstance(new, v.Const):
            if old.value == new.value:
                continue
            env.names[name] = v.Data(switches=old.switches | new.switches)
        elif not (isinstance(old, v.Const) and old.value is None):
            env.names[name] = v.choice([old, new]) if not isinstance(new, v.Data) else new


def _join(ends: list[dict[str, v.Value]], decided_by: v.Data | None, before: dict[str, v.Value]) -> dict[str, v.Value]:
    """The variables after one of several ways; what a gate or compiled code decided remembers it."""
    if len(ends) == 1 and decided_by is None:
        return ends[0]
    joined: dict[str, v.Value] = {}
    for name in dict.fromkeys(name for names in ends for name in names):
        found = [names[name] for names in ends if name in names]
        if all(value is found[0] for value in found[1:]) and (decided_by is None or found[0] is before.get(name)):
            joined[name] = found[0]
            continue
        value = v.choice(found)
        if decided_by is not None and isinstance(value, v.Data | v.Const):
            value = v.derived(v.summary(value), decided_by)
        joined[name] = value
    return joined
