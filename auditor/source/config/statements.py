"""Runs configuration code symbolically: module bodies, classes, presets and helpers, statement by statement.

Where a condition is known one arm runs; where it is not, whatever either arm binds becomes unknown. Functions are entered
while a module is being loaded; once the program proper has started (a call like ``main()``), only functions that set or
read configuration are. Loops over unknown things, generators and exceptions that a handler catches leave unknowns. The
number of statements is bounded; what lies beyond stays unknown.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from auditor.source.config.arguments import ArgumentParser
from auditor.source.config.calls import Call
from auditor.source.config.expressions import Evaluator, bind_pattern
from auditor.source.config.logged import Logged
from auditor.source.config.objects import LIBRARY, bind_import, bound_arguments, fill_fields
from auditor.source.config.syntax import (
    as_read,
    changed_container,
    is_dataclass,
    is_generator,
    kind_of,
    mentions_configuration,
    own_nodes,
)
from auditor.source.config.values import (
    Class,
    Function,
    Instance,
    Namespace,
    Symbol,
    Value,
    iterated,
    truth,
    unknown,
)
from auditor.source.parse import Answers, walk
from auditor.submission.script import Module

_MAX_STATEMENTS = 12_000  # ours: per script; the configuration of the largest real one takes about 1,500
_MAX_CALLS = 12
_MAX_ITERATIONS = 256
_RECORD_BASES = frozenset(["typing.NamedTuple", "NamedTuple"])


class Flow(Enum):
    """How a sequence of statements ends."""

    NEXT = auto()
    RETURN = auto()
    BREAK = auto()
    CONTINUE = auto()
    RAISE = auto()


@dataclass(slots=True)
class Interpreter(Evaluator):
    """Runs modules; `classes` and `instances` are everything that was made, `modules` what was loaded by path."""

    sources: Mapping[str, Module] = field(default_factory=dict)
    logged: Logged = field(default_factory=Logged)
    command_line: Sequence[str] = ()
    modules: dict[str, Namespace] = field(default_factory=dict)
    classes: list[Class] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    find_attribute: Callable[[object, str], Value | None] | None = None
    _statements: int = 0
    _calls: int = 0
    _in_program: bool = False
    _returned: Value = field(default_factory=lambda: Value(None))
    _may_have_returned: bool = False
    _answers: Answers = field(default_factory=Answers)

    def load(self, module: Module, name: str = "__main__") -> Namespace:
        """Run a module's body once and return its names."""
        loaded = self.modules.get(module.path)
        if loaded is None:
            loaded = Namespace(module, {"__name__": Value(name), "__file__": Value(module.path)})
            self.modules[module.path] = loaded
            if module.tree is not None:
                self._run(module.tree.body, loaded)
        return loaded

    def evaluate_aside(self, node: ast.expr, names: Namespace) -> Value:
        """The value of an expression of the program proper: failures there are not the configuration's."""
        failures, statements, in_program = dict(self.failures), self._statements, self._in_program
        self._statements, self._in_program = 0, True
        try:
            return self.evaluate(node, names)
        finally:
            self.failures, self._statements, self._in_program = failures, statements, in_program

    # --- statements

    def _run(self, body: Iterable[ast.stmt], names: Namespace) -> Flow:
        for statement in body:
            self._statements += 1
            if self._statements > _MAX_STATEMENTS:
                self._may_have_returned = True
                return Flow.NEXT
            flow = self._run_one(statement, names)
            if flow is not Flow.NEXT:
                return flow
        return Flow.NEXT

    def _run_one(self, statement: ast.stmt, names: Namespace) -> Flow:
        match statement:
            case ast.Return(value=value):
                self._returned = self.evaluate(value, names) if value is not None else Value(None)
                return Flow.RETURN
            case ast.Raise():
                self.raised(statement, names, ast.unparse(statement)[:120])
                return Flow.RAISE
            case ast.Break():
                return Flow.BREAK
            case ast.Continue():
                return Flow.CONTINUE
            case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try():
                return self._run_block(statement, names)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Import() | ast.ImportFrom():
                self._define(statement, names)
            case _:
                self._run_simple(statement, names)
        return Flow.NEXT

    def _run_simple(self, statement: ast.stmt, names: Namespace) -> None:
        match statement:
            case ast.Assign(targets=targets, value=value):
                result = self.evaluate(value, names)
                for target in targets:
                    self.assign(target, result, names)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self.assign(target, self.evaluate(value, names), names)
            case ast.AugAssign(target=target, op=op, value=value):
                self._augment(target, op, value, names)
            case ast.Expr(value=value):
                self._run_expression(value, names)
            case ast.Global(names=declared) | ast.Nonlocal(names=declared):
                names.declared_global |= set(declared)

    def _define(self, statement: ast.stmt, names: Namespace) -> None:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                names.names[statement.name] = Value(Function(statement, names, kind=kind_of(statement)))
            case ast.ClassDef():
                self._define_class(statement, names)
            case ast.Import() | ast.ImportFrom():
                bind_import(self, statement, names)

    def _run_block(self, statement: ast.stmt, names: Namespace) -> Flow:
        match statement:
            case ast.If(test=test, body=body, orelse=orelse):
                return self._run_if(self.evaluate(test, names), body, orelse, names)
            case ast.For(target=target, iter=source, body=body):
                return self._run_for(target, self.evaluate(source, names), body, names)
            case ast.With(items=items, body=body):
                for item in items:
                    value = self.evaluate(item.context_expr, names)
                    if item.optional_vars is not None:
                        self.assign(item.optional_vars, unknown("what a with block gives", value), names)
                return self._run(body, names)
            case ast.Try():
                return self._run_try(statement, names)
            case ast.While(test=test, body=body):
                if truth(self.evaluate(test, names)) is not False:
                    self._forget(body, names)
        return Flow.NEXT

    def _run_if(self, test: Value, body: list[ast.stmt], orelse: list[ast.stmt], names: Namespace) -> Flow:
        known = truth(test)
        if known is not None:
            return self._run(body if known else orelse, names)
        self._forget([*body, *orelse], names)
        if any(isinstance(node, ast.Return) for statement in (*body, *orelse) for node in walk(statement)):
            self._may_have_returned = True
        return Flow.NEXT

    def _run_for(self, target: ast.expr, source: Value, body: list[ast.stmt], names: Namespace) -> Flow:
        items = iterated(source.data)
        if items is None or len(items) > _MAX_ITERATIONS:
            self.assign(target, unknown("an item of what cannot be told", source), names)
            self._forget(body, names)
            return Flow.NEXT
        for item in items:
            if isinstance(target, ast.Name | ast.Tuple):
                bind_pattern(target, item, source.reads, names)
            flow = self._run(body, names)
            if flow in (Flow.RETURN, Flow.RAISE):
                return flow
            if flow is Flow.BREAK:
                break
        return Flow.NEXT

    def _run_try(self, statement: ast.Try, names: Namespace) -> Flow:
        before = dict(self.failures)
        flow = self._run([*statement.body, *statement.orelse], names)
        if statement.handlers and len(self.failures) > len(before):
            self.failures = before
            handled = [inner for handler in statement.handlers for inner in handler.body]
            self._forget([*statement.body, *handled], names)
            flow = Flow.NEXT
        self._run(statement.finalbody, names)
        return flow

    def _run_expression(self, node: ast.expr, names: Namespace) -> None:
        starts = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not self._calls
        was, self._in_program = self._in_program, self._in_program or starts
        self.evaluate(node, names)
        self._in_program = was

    def _forget(self, body: Iterable[ast.stmt], names: Namespace) -> None:
        """Whatever the statements may bind is unknown from here on; what they define keeps its definition."""
        for node in (inner for statement in body for inner in own_nodes(statement)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
                self._define(node, names)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.assign(node, unknown("bound under a condition that cannot be told"), names)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                self.assign(node, unknown("set under a condition that cannot be told"), names)
            elif (changed := changed_container(node)) is not None and isinstance(names.find(changed), Value):
                self.assign(ast.copy_location(ast.Name(id=changed), node), unknown("changed under a condition"), names)

    def _augment(self, target: ast.expr, op: ast.operator, value: ast.expr, names: Namespace) -> None:
        if isinstance(target, ast.Name | ast.Attribute):
            read = ast.copy_location(as_read(target), target)
            self.assign(target, self.evaluate(ast.copy_location(ast.BinOp(read, op, value), target), names), names)

    def attribute_of(self, owner: object, name: str, node: ast.expr, names: Namespace) -> Value:
        """``owner.name``, also where only the name tells what it is."""
        known = self.find_attribute(owner, name) if self.find_attribute else None
        return known if known is not None else Evaluator.attribute_of(self, owner, name, node, names)

    def raised(self, node: ast.AST, names: Namespace, text: str) -> Value:
        """Note a failure: anywhere before the program starts, later only where the script raises on purpose."""
        if self._in_program and not isinstance(node, ast.Raise):
            return unknown(text)
        return Evaluator.raised(self, node, names, text)

    # --- binding

    def assign(self, target: ast.expr, value: Value, names: Namespace) -> None:
        """Bind a target; what the log printed under the same name decides over what was computed."""
        location = self.location(target, names)
        match target:
            case ast.Name(id=name):
                level = self._level_of(name, names)
                is_setting = level.holds_settings or (level.parent is None and (bool(value.reads) or name.isupper()))
                bound = replace(value, location=location)
                level.names[name] = self._as_logged(name, bound) if is_setting else bound
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                parts = iterated(value.data)
                fits = parts is not None and len(parts) == len(targets)
                for index, inner in enumerate(targets):
                    part = Value(parts[index], value.reads) if fits and parts else unknown("unpacked", value)
                    self.assign(inner, part, names)
            case ast.Attribute(value=owner, attr=name):
                self.set_attribute(self.evaluate(owner, names).data, name, replace(value, location=location))
            case ast.Subscript(value=owner, slice=key):
                self._set_item(self.evaluate(owner, names), self.evaluate(key, names), value, target, names)

    def _level_of(self, name: str, names: Namespace) -> Namespace:
        level = names
        while name in level.declared_global and level.parent is not None:
            level = level.parent
        return level

    def _as_logged(self, name: str, value: Value) -> Value:
        return self.logged.adjusted(name, value, self.environment)

    def set_attribute(self, owner: object, name: str, value: Value) -> None:
        """Set an attribute of an object, a class or a module."""
        if isinstance(owner, Instance):
            owner.attributes[name] = self._as_logged(name, value)
        elif isinstance(owner, Class):
            owner.body.names[name] = self._as_logged(name, value)
        elif isinstance(owner, Namespace):
            owner.names[name] = value

    def _set_item(self, owner: Value, key: Value, value: Value, target: ast.Subscript, names: Namespace) -> None:
        if isinstance(owner.data, Symbol) and owner.data.name.rpartition(".")[2] == "environ" and isinstance(key.data, str):
            self.environment.assign(key.data, value, self.location(target, names))
        elif isinstance(owner.data, dict) and isinstance(key.data, str | int | bool | None):
            owner.data[key.data] = value.data

    # --- classes

    def _define_class(self, node: ast.ClassDef, names: Namespace) -> None:
        found = [self.evaluate(base, names).data for base in node.bases]
        bases = tuple(base for base in found if isinstance(base, Class))
        foreign = [base for base in found if not isinstance(base, Class) and base != Symbol("object")]
        records = [base for base in foreign if isinstance(base, Symbol) and base.name in _RECORD_BASES]
        body = Namespace(names.module, {}, names)
        made = Class(node.name, body, bases, is_record=bool(records) or any(is_dataclass(d) for d in node.decorator_list))
        made.is_foreign = len(foreign) > len(records) or any(base.is_foreign for base in bases)
        body.holds_settings = not made.is_foreign
        self._run(node.body, body)
        own = [
            item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        ]
        made.fields = tuple(dict.fromkeys([*(name for base in bases for name in base.fields), *own]))
        self.classes.append(made)
        names.names[node.name] = Value(made)

    def instantiate(self, cls: Class, call: Call) -> Value:
        """A new object: a dataclass's fields are filled, an `__init__` is run if it is worth it."""
        made = Instance(cls, is_open=cls.is_foreign or not call.complete)
        self.instances.append(made)
        if cls.is_record:
            fill_fields(self, made, cls, call)
        method = cls.find("__post_init__" if cls.is_record else "__init__")
        if method is not None and isinstance(method.data, Function) and not cls.is_foreign:
            if self._is_worth_entering(method.data, call):
                inner = Call(call.node, call.names, call.called) if cls.is_record else call
                self.call_function(Function(method.data.node, method.data.around, made), inner)
            else:
                made.is_open = True
        return Value(made)

    # --- calls

    def call_function(self, function: Function, call: Call) -> Value:
        """Run one of the script's functions with the arguments given, if it is worth it."""
        node = function.node
        if self._calls >= _MAX_CALLS or not self._is_worth_entering(function, call) or self._answers.of(is_generator, node):
            return unknown(f"the result of {function.name}", *call.values)
        inner = Namespace(function.around.module, bound_arguments(self, function, call), function.around)
        if isinstance(node, ast.Lambda):
            return self.evaluate(node.body, inner)
        outer = self._returned, self._may_have_returned
        self._returned, self._may_have_returned = Value(None), False
        self._calls += 1
        try:
            flow = self._run(node.body, inner)
            result, surely = self._returned, not self._may_have_returned
        finally:
            self._calls -= 1
            self._returned, self._may_have_returned = outer
        if flow is Flow.RAISE:
            return unknown(f"{function.name} raises")
        return result if surely else unknown(f"the result of {function.name}", result, *call.values)

    def _is_worth_entering(self, function: Function, call: Call) -> bool:
        """Before the program starts everything is; then what sets or reads configuration, and what takes no arguments."""
        if not self._in_program or isinstance(function.node, ast.Lambda) or function.kind == "property":
            return True
        starts = not call.positional and not call.keywords and function.owner is None
        return starts or self._answers.of(mentions_configuration, function.node)

    def call_library(self, name: str, call: Call) -> Value | None:
        """Builtins and library calls that work on objects."""
        handler = LIBRARY.get(name) or LIBRARY.get(name.rpartition(".")[2] if name.count(".") == 1 else "")
        return handler(self, call) if handler else None

    def call_method(self, owner: object, call: Call) -> Value | None:
        """Methods of an argument parser."""
        if not isinstance(owner, ArgumentParser):
            return None
        location = self.location(call.node, call.names)
        if call.called == "add_argument":
            owner.add(call.positional, call.keywords, location)
        elif call.called in ("add_argument_group", "add_mutually_exclusive_group"):
            return Value(owner)
        elif call.called in ("parse_args", "parse_known_args"):
            parsed = Instance(None)
            self.instances.append(parsed)
            for name, value in owner.parse(self.command_line, None):
                self.set_attribute(parsed, name, value)
            return Value((parsed, [])) if call.called == "parse_known_args" else Value(parsed)
        return Value(None)

    def own_module(self, dotted: str, importer: Module) -> Namespace | None:
        """The names of a module of the submission, run on its first import; None if it is not one."""
        stem = posixpath.join(posixpath.dirname(importer.path), *dotted.split("."))
        found = self.sources.get(f"{stem}.py") or self.sources.get(f"{stem}/__init__.py")
        if not dotted or found is None or found.path == importer.path:
            return None
        state = self._in_program, self._calls
        self._in_program, self._calls = False, 0
        loaded = self.load(found, dotted)
        self._in_program, self._calls = state
        return loaded
