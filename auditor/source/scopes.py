"""The functions of a script: what each defines, what it calls, and who calls it.

One pass over every module collects, for each scope (a function, or a module's own level), the calls made in it and every
expression that its names are bound to. Order and branches are not modelled here: a name stands for all of its bindings.
Class bodies count to the scope around them. Calls are resolved by name, methods by their last name; what a name is
bound to at run time by other means (``setattr``, decorators that replace) is not seen.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from auditor.finding import Location
from auditor.source.parse import children, last_name, names_in, snippet_at, walk
from auditor.submission.script import Module, Script

_LIBRARIES = frozenset(["torch", "np", "numpy", "math", "F", "nn", "dist", "os", "sys", "time", "json", "random"])

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


Branches = tuple[tuple[int, int], ...]  # outermost first: line of the `if` or `try`, which arm


class Binding(StrEnum):
    """How a name came by a value."""

    ASSIGNED = "assigned"  # the expression is the value
    ELEMENT = "element"  # the value is one element of the expression
    ADDED = "added"  # augmented assignment
    OTHER = "other"  # a loop over something unknown, a with, an import


@dataclass(frozen=True, slots=True)
class Definition:
    """One binding of a name: the line, how, the expression, which element of it, and in which branches it stands."""

    line: int
    binding: Binding
    value: ast.expr | None = None
    element: int | None = None
    branches: Branches = ()


@dataclass(slots=True, eq=False)
class Scope:
    """A function, or a module's own level (`node` is then None)."""

    module: Module
    name: str
    node: FunctionNode | None
    parent: Scope | None
    parameters: tuple[str, ...] = ()
    is_method: bool = False
    defaults: dict[str, ast.expr] = field(default_factory=dict)
    definitions: dict[str, list[Definition]] = field(default_factory=lambda: defaultdict(list))
    functions: dict[str, Scope] = field(default_factory=dict)
    calls: dict[ast.Call, Branches] = field(default_factory=dict)
    returns: list[ast.expr] = field(default_factory=list)

    def lookup(self, name: str) -> Scope | None:
        """The scope, from here outwards, that binds `name` as a variable or a parameter."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.parameters or name in scope.definitions:
                return scope
            scope = scope.parent
        return None

    def location_at(self, line: int | None) -> Location:
        """A line of it, quoted as it stands in the module's source."""
        snippet = snippet_at(self.module.source, line)
        return Location(path=self.module.source_path, line=line, symbol=self.name, snippet=snippet)


@dataclass(frozen=True, slots=True)
class CallSite:
    """A call and the scope that it stands in."""

    call: ast.Call
    scope: Scope


class Scopes:
    """Every scope of a script, with calls resolved to the script's own functions where the name allows it."""

    def __init__(self, script_modules: tuple[Module, ...]) -> None:
        self.all: list[Scope] = []
        self._named: dict[str, list[Scope]] = defaultdict(list)
        for module in script_modules:
            if module.tree is not None:
                _Collector(module, self.all).visit_module(module.tree)
        for scope in self.all:
            if scope.node is not None:
                self._named[scope.name].append(scope)

    @classmethod
    def of(cls, script: Script) -> Scopes:
        """The scopes of all modules of a script."""
        return cls(script.modules)

    def callees(self, function: ast.expr, scope: Scope, depth: int = 0) -> list[Scope]:
        """The script's functions that an expression in call position can name; empty if none is known."""
        if depth > 3:
            return []
        if isinstance(function, ast.Attribute):
            if is_library(function.value):
                return []
            return [found for found in self._named.get(function.attr, []) if found.is_method or found.parent is None]
        if isinstance(function, ast.IfExp):
            return self.callees(function.body, scope, depth + 1) + self.callees(function.orelse, scope, depth + 1)
        if not isinstance(function, ast.Name):
            return []
        return self._callees_of_name(function.id, scope, depth)

    def _callees_of_name(self, name: str, scope: Scope, depth: int) -> list[Scope]:
        around: Scope | None = scope
        while around is not None:
            if name in around.functions:
                return [around.functions[name]]
            if name in around.definitions:
                values = [d.value for d in around.definitions[name] if d.binding is Binding.ASSIGNED and d.value]
                return [found for value in values for found in self._aliased(value, around, depth)]
            if name in around.parameters:
                default = around.defaults.get(name)
                return self.callees(default, around, depth + 1) if default else []
            around = around.parent
        elsewhere = [found for found in self._named.get(name, []) if not found.is_method]
        return elsewhere if all(found.module is not scope.module for found in elsewhere) else []

    def _aliased(self, value: ast.expr, scope: Scope, depth: int) -> list[Scope]:
        if isinstance(value, ast.Lambda):
            return [found for found in self._named.get("<lambda>", []) if found.node is value]
        if isinstance(value, ast.Call) and value.args and last_name(value.func) in ("partial", "compile"):
            return self.callees(value.args[0], scope, depth + 1)
        return self.callees(value, scope, depth + 1)

    def attributes_of(self, function: str) -> Iterator[ast.Attribute]:
        """Every ``owner.name`` that stands in the script's functions of that name, nested ones included."""
        for scope in self._named.get(function, []):
            if scope.node is not None:
                yield from (node for node in walk(scope.node) if isinstance(node, ast.Attribute))

    def callers(self, scope: Scope) -> list[CallSite]:
        """Every call in the script that can reach `scope`."""
        return self._callers.get(scope, [])

    @cached_property
    def _callers(self) -> dict[Scope, list[CallSite]]:
        named: dict[Scope, list[CallSite]] = defaultdict(list)
        for site in self._calls():
            for callee in self.callees(site.call.func, site.scope):
                named[callee].append(site)
        handed: list[tuple[Scope, CallSite]] = []
        for site in self._calls():
            if isinstance(site.call.func, ast.Name) and site.call.func.id in site.scope.parameters:
                handed += [(callee, site) for callee in self._handed_over(site.call.func.id, site.scope, named)]
        for callee, site in handed:
            if site not in named[callee]:
                named[callee].append(site)
        return named

    def _handed_over(self, parameter: str, scope: Scope, callers: Mapping[Scope, list[CallSite]]) -> Iterator[Scope]:
        """The functions that callers of `scope` pass for `parameter`."""
        for site in callers.get(scope, ()):
            value = argument_of(site.call, scope, parameter)
            if value is not None:
                yield from self.callees(value, site.scope)

    def _calls(self) -> Iterator[CallSite]:
        return (CallSite(call, scope) for scope in self.all for call in scope.calls)


def is_library(node: ast.expr) -> bool:
    """Is it the usual name of a library's module, so that what is called on it is no method?"""
    return isinstance(node, ast.Name) and node.id in _LIBRARIES


def argument_of(call: ast.Call, callee: Scope, parameter: str) -> ast.expr | None:
    """The expression that `call` passes for `parameter`; None if it passes none, or if unpacking hides it."""
    for keyword in call.keywords:
        if keyword.arg == parameter:
            return keyword.value
    names = callee.parameters
    if callee.is_method and isinstance(call.func, ast.Attribute):
        names = names[1:]
    if parameter not in names:
        return None
    position = names.index(parameter)
    leading = call.args[: position + 1]
    if len(leading) <= position or any(isinstance(argument, ast.Starred) for argument in leading):
        return None
    return leading[position]


class _Collector(ast.NodeVisitor):
    """Fills the scopes of one module."""

    def __init__(self, module: Module, scopes: list[Scope]) -> None:
        self._scopes = scopes
        self._module = module
        self._in_class = False
        self._branches: Branches = ()
        self._scope = Scope(module, "<module>", None, None)
        scopes.append(self._scope)

    def visit_module(self, tree: ast.Module) -> None:
        self.generic_visit(tree)

    def generic_visit(self, node: ast.AST) -> None:
        for child in children(node):
            self.visit(child)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node, node.name)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node, node.name)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_function(node, "<lambda>")

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        was_in_class, self._in_class = self._in_class, True
        self.generic_visit(node)
        self._in_class = was_in_class

    def _visit_function(self, node: FunctionNode, name: str) -> None:
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        function = Scope(
            self._module,
            name,
            node,
            self._scope,
            parameters=tuple(argument.arg for argument in (*positional, *arguments.kwonlyargs)),
            is_method=self._in_class and bool(positional) and positional[0].arg in ("self", "cls"),
            defaults=_defaults(arguments),
        )
        self._scopes.append(function)
        if not function.is_method:
            self._scope.functions[name] = function
        outer, self._scope = self._scope, function
        was_in_class, self._in_class = self._in_class, False
        branches, self._branches = self._branches, ()
        if isinstance(node, ast.Lambda):
            function.returns.append(node.body)
            self.visit(node.body)
        else:
            for statement in node.body:
                self.visit(statement)
        self._scope, self._in_class, self._branches = outer, was_in_class, branches

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._visit_arms(node.lineno, [node.body, node.orelse])

    def visit_Try(self, node: ast.Try) -> None:
        self._visit_arms(node.lineno, [node.body + node.orelse, *(handler.body for handler in node.handlers)])
        for statement in node.finalbody:
            self.visit(statement)

    def _visit_arms(self, line: int, arms: Sequence[Sequence[ast.stmt]]) -> None:
        outside = self._branches
        for index, arm in enumerate(arms):
            self._branches = (*outside, (line, index))
            for statement in arm:
                self.visit(statement)
        self._branches = outside

    def visit_Call(self, node: ast.Call) -> None:
        self._scope.calls[node] = self._branches
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None:
            self._scope.returns.append(node.value)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._bind(target, node.value, node.lineno)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind(node.target, node.value, node.lineno)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._bind(node.target, node.value, node.lineno)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._define(node.target.id, Definition(node.lineno, Binding.ADDED, node.value))
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        if isinstance(node.iter, ast.Tuple | ast.List):
            for element in node.iter.elts:
                self._bind(node.target, element, node.lineno)
        else:
            self._bind_unknown(node.target, node.lineno)
        self.generic_visit(node)

    def visit_withitem(self, node: ast.withitem) -> None:
        if node.optional_vars is not None:
            self._bind_unknown(node.optional_vars, node.optional_vars.lineno)
        self.generic_visit(node)

    def _bind(self, target: ast.expr, value: ast.expr, line: int) -> None:
        if isinstance(target, ast.Name):
            self._define(target.id, Definition(line, Binding.ASSIGNED, value))
        elif isinstance(target, ast.Tuple | ast.List):
            pairs = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts)
            for index, inner in enumerate(target.elts):
                if pairs and isinstance(value, ast.Tuple | ast.List):
                    self._bind(inner, value.elts[index], line)
                elif isinstance(inner, ast.Name):
                    self._define(inner.id, Definition(line, Binding.ELEMENT, value, index))

    def _bind_unknown(self, target: ast.expr, line: int) -> None:
        for name in names_in(target):
            self._define(name, Definition(line, Binding.OTHER))

    def _define(self, name: str, definition: Definition) -> None:
        self._scope.definitions[name].append(replace(definition, branches=self._branches))


def _defaults(arguments: ast.arguments) -> dict[str, ast.expr]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip([a.arg for a in positional[::-1]], arguments.defaults[::-1], strict=False))
    keyword = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return defaults | {argument.arg: default for argument, default in keyword if default is not None}
