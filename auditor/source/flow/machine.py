"""The evaluator: one symbolic run of a script from its entry point, with everything that the parts of it share.

Every statement on a path that can be taken is evaluated once; a loop's body runs once as its first turn and, if state
that depends on validation tokens changed in it, once more as a later turn. A condition that folds takes its arm, any
other takes both and joins. With `explore` set, conditions that a setting decides count as undecided: that run shows what
the script could do, and what it shows beyond the submitted run is dead code.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from auditor.events import validation
from auditor.source.flow.record import Frame, Loop
from auditor.source.flow.recorder import Recorder
from auditor.source.flow.settings import Settings
from auditor.source.flow.stores import NO_REGIONS, Numbers, Regions, Store
from auditor.source.flow.values import Class, Const, Data, Environment, Function, Instance, ModuleValue, Value
from auditor.submission.script import Module, Script

MAX_STEPS = 600_000  # ours: about three seconds
MAX_DEPTH = 28
_WIDTH = 80  # ours: characters of a loop's heading


class BudgetError(Exception):
    """The evaluation grew beyond its bounds."""


@dataclass(slots=True)
class Activation:
    """A function call in progress: what it returned and yielded so far, and who is told at once what it yields."""

    returned: list[Value] = field(default_factory=list)
    yielded: list[Value] = field(default_factory=list)
    on_yield: Callable[[Value], None] | None = None


@dataclass(frozen=True, slots=True)
class DeadArm:
    """A branch that the submitted configuration never takes, and the switches that decide it."""

    module: str
    line: int
    switches: tuple[str, ...]


@dataclass(slots=True)
class Machine:
    """State of one evaluation."""

    script: Script
    settings: Settings
    explore: bool = False
    recorder: Recorder = field(default_factory=Recorder)
    modules: dict[str, ModuleValue] = field(default_factory=dict)
    files: dict[str, Data] = field(default_factory=dict)
    activations: list[Activation] = field(default_factory=list)
    running: list[ast.AST] = field(default_factory=list)
    dead: list[DeadArm] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    last_loss: tuple[Regions, frozenset[Store]] = (NO_REGIONS, frozenset())  # of the last backward pass
    steps: int = 0
    refused: int = 0  # conditions that hold, and under which the script raises
    no_grad: int = 0

    def new_store(self, name: str, is_tensor: bool = False, shared_by_batch: bool = False) -> Store:
        """State that this run can change."""
        store = Store(name, is_tensor, shared_by_batch)
        self.stores.append(store)
        return store

    def saved_state(self) -> list[tuple[Store, tuple[Numbers, Regions, Regions]]]:
        """What every store is now."""
        return [(store, store.state) for store in self.stores]

    def tick(self) -> None:
        """Count one step; BudgetError beyond the bound."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise BudgetError(f"more than {MAX_STEPS:,} steps")

    # ---- scopes ----

    @contextmanager
    def frame(self, name: str, module: Module, call: ast.AST | None) -> Iterator[Activation]:
        """Evaluate inside a function."""
        activation = Activation()
        self.recorder.frames.append(Frame(name, module, call))
        self.activations.append(activation)
        try:
            yield activation
        finally:
            self.activations.pop()
            self.recorder.frames.pop()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Evaluate outside the innermost function, where its caller stands."""
        frame, activation = self.recorder.frames.pop(), self.activations.pop()
        try:
            yield
        finally:
            self.recorder.frames.append(frame)
            self.activations.append(activation)

    @contextmanager
    def loop(self, node: ast.For | ast.AsyncFor | ast.While, last: str | None = None) -> Iterator[Loop]:
        """Evaluate inside a loop; `last` is its counter's last value as text."""
        recorder = self.recorder
        recorder.loop_count += 1
        is_while = isinstance(node, ast.While)
        loop = Loop(recorder.loop_count, is_while=is_while, body=node.body, depth=len(recorder.frames), last=last)
        recorder.headings[loop.number] = (recorder.here(node), _heading(node))
        recorder.loops.append(loop)
        try:
            yield loop
        finally:
            recorder.loops.pop()

    @contextmanager
    def condition(self, switches: frozenset[str], test: Data | None = None, node: ast.expr | None = None) -> Iterator[None]:
        """Evaluate under a condition that was not decided: what is known of its test, and its syntax."""
        recorder = self.recorder
        judged, tests = test is not None and test.judged, len(recorder.token_tests)
        recorder.conditions.append(switches)
        recorder.judgements += judged
        recorder.choices.append(test.hindsight if test is not None else frozenset())
        recorder.gates.append(test.gates if test is not None else frozenset())
        if test is not None and node is not None and test.by_token and validation(test.tokens):
            recorder.token_tests.append((recorder.gate(node), test.tokens))
        try:
            yield
        finally:
            recorder.conditions.pop()
            recorder.judgements -= judged
            recorder.choices.pop()
            recorder.gates.pop()
            del recorder.token_tests[tests:]

    # ---- names ----

    def lookup(self, name: str, environment: Environment) -> Value | None:
        """The value of a name, from the innermost scope outwards; None if the script binds it nowhere."""
        scope: Environment | None = environment
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return None

    def bind(self, name: str, value: Value, environment: Environment) -> None:
        """Bind a name where a `global` or `nonlocal` statement says, else here."""
        scope: Environment | None = environment
        if name in environment.outer_names:
            scope = environment.outer
            while scope is not None and name not in scope.names and scope.outer is not None:
                scope = scope.outer
        (scope or environment).names[name] = value


def _heading(node: ast.For | ast.AsyncFor | ast.While) -> str:
    """A loop's first line, as far as it fits."""
    if isinstance(node, ast.While):
        return f"while {ast.unparse(node.test)}"[:_WIDTH]
    return f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}"[:_WIDTH]


def default_names(module: Module) -> Mapping[str, Value]:
    """What every module knows from the start."""
    return {"__file__": Const(module.path), "__name__": Const("__main__")}


def bind_method(function: Function, receiver: Value) -> Function:
    """The function as a method of `receiver`: of its class if it is a class method, unbound if it is static."""
    if "staticmethod" in function.decorators:
        return function
    if "classmethod" in function.decorators and isinstance(receiver, Instance):
        receiver = receiver.cls
    return Function(function.node, function.environment, function.defaults, bound=receiver)


def bind_class_method(function: Function, cls: Class) -> Function:
    """What a class gives for one of its functions."""
    return bind_method(function, cls) if "classmethod" in function.decorators else function
