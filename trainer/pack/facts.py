"""What is constant in a program beyond its settings: attributes, results of functions, and parameters.

- An attribute that one statement of the program sets, in `__init__`, to a literal, is that literal.
- A function that does nothing but return a literal is that literal.
- A parameter that every call gives the same literal, or leaves at the same default, is that literal; it goes from the
  signature and from the calls.

All three look at the whole program. A function that is used other than by calling it, a call that unpacks its arguments and
a method call on something of unknown class settle nothing.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from trainer.pack.constants import NotConstantError, is_constant, stores, to_node, to_value
from trainer.pack.fold import Substitute
from trainer.pack.kinds import KindedTransformer, Kinds
from trainer.pack.scopes import parameters
from trainer.pack.walk import walk

CALLED_BY_TORCH = frozenset({"forward"})  # methods that torch calls by their name

Key = tuple[str, str]  # (class, method); ("", function)


def constant_results(tree: ast.Module) -> dict[str, object]:
    """Functions at the top that only return a literal, or do nothing."""
    found: dict[str, object] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.decorator_list:
            match [statement for statement in node.body if not isinstance(statement, ast.Expr)]:
                case [ast.Return(value=value)] if value is not None and is_constant(value):
                    found[node.name] = to_value(value)
                case [ast.Pass() | ast.Return(value=None)]:
                    found[node.name] = None
    return found


def constructed_attributes(tree: ast.Module, kinds: Kinds) -> tuple[dict[Key, object], set[Key]]:
    """Of the attributes that are set once in the whole program, by the constructor of their class: literals, and objects.

    An object is one of a class of the program, so it is never None.
    """
    num_set = Counter(_set_attributes(tree))
    once = [(name, attr, value) for name, attr, value in _set_by_constructors(kinds) if num_set[attr] == 1]
    literals = {(name, attr): to_value(value) for name, attr, value in once if is_constant(value)}
    objects = {(name, attr) for name, attr, value in once if kinds.is_construction(value)}
    return literals, objects


def _set_by_constructors(kinds: Kinds) -> Iterator[tuple[str, str, ast.expr]]:
    """Class, attribute and value of each unconditional `self.attribute = value` in an `__init__`."""
    for name, node in kinds.classes.items():
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                for statement in method.body:
                    match statement:
                        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=attr)], value=value):
                            yield name, attr, value


def _set_attributes(tree: ast.Module) -> Iterator[str]:
    """Names of attributes that anything sets: assignments, fields and methods of classes, names given to setattr."""
    for node in walk(tree):
        match node:
            case ast.Attribute(attr=attr, ctx=ast.Store() | ast.Del()):
                yield attr
            case ast.ClassDef(body=body):
                yield from stores(*(each for each in body if not isinstance(each, ast.FunctionDef)))
                yield from (each.name for each in body if isinstance(each, ast.FunctionDef))
            case ast.Call(func=ast.Name(id="setattr") | ast.Attribute(attr="__setattr__" | "register_buffer"), args=args):
                yield from (str(each.value) for each in args if isinstance(each, ast.Constant))


@dataclass(slots=True)
class _Signature:
    """A function, and what every call gives each of its parameters."""

    node: ast.FunctionDef
    skip: int  # parameters that no call passes: self
    given: dict[str, list[ast.expr | None]] = field(default_factory=lambda: defaultdict(list))
    num_calls: int = 0
    is_settled: bool = True

    def names(self) -> list[str]:
        """Parameters that can be passed by position."""
        return [each.arg for each in self.node.args.args[self.skip :]]

    def note(self, call: ast.Call) -> None:
        """What one call gives."""
        self.num_calls += 1
        if any(isinstance(each, ast.Starred) for each in call.args) or any(each.arg is None for each in call.keywords):
            self.is_settled = False
            return
        given: dict[str, ast.expr] = dict(zip(self.names(), call.args, strict=False))
        given |= {each.arg: each.value for each in call.keywords if each.arg is not None}
        defaults = self._defaults()
        for parameter in parameters(self.node.args)[self.skip :]:
            self.given[parameter.arg].append(given.get(parameter.arg, defaults.get(parameter.arg)))

    def _defaults(self) -> dict[str, ast.expr]:
        """The defaults of the parameters that have one."""
        arguments = self.node.args
        positional = arguments.args[len(arguments.args) - len(arguments.defaults) :]
        pairs = [
            *zip(positional, arguments.defaults, strict=True),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]
        return {each.arg: value for each, value in pairs if value is not None}

    def remove(self, constants: Mapping[str, object]) -> None:
        """Take these parameters out of the signature, and put the literals where they were read."""
        arguments, defaults = self.node.args, self._defaults()
        arguments.args = [each for each in arguments.args if each.arg not in constants]
        arguments.kwonlyargs = [each for each in arguments.kwonlyargs if each.arg not in constants]
        arguments.defaults = [defaults[each.arg] for each in arguments.args if each.arg in defaults]
        arguments.kw_defaults = [defaults.get(each.arg) for each in arguments.kwonlyargs]
        substitute = Substitute({name: to_node(value) for name, value in constants.items()})
        self.node.body = [substitute.visit(statement) for statement in self.node.body]

    def constants(self) -> dict[str, object]:
        """Parameters that are always the same literal, and never bound again."""
        if not self.is_settled or not self.num_calls or self.node.args.vararg or self.node.args.kwarg:
            return {}
        rebound = set(stores(*self.node.body))
        found: dict[str, object] = {}
        for name, values in self.given.items():
            try:
                literals = [to_value(value) for value in values if value is not None]
            except NotConstantError:
                continue
            is_same = len({(type(value), value) for value in literals}) == 1
            if is_same and len(literals) == self.num_calls and name not in rebound:
                found[name] = literals[0]
        return found


class _CallReader(KindedTransformer):
    """Knows which function of the program a call calls. Functions that may be called unseen are not in `signatures`."""

    def __init__(self, tree: ast.Module, kinds: Kinds) -> None:
        super().__init__(kinds)
        self.signatures = dict(_signatures(tree, kinds))

    def key_of(self, call: ast.Call) -> Key | None:
        """The function of the program that a call calls; None if it is none or cannot be told."""
        match call.func:
            case ast.Name(id=name) if self.is_global(name):
                keys = [("", name), (name, "__init__")]
            case ast.Attribute(value=owner, attr=method):
                keys = [(self.kind_of(owner) or "", method)] if self.kind_of(owner) else []
            case _:
                keys = []
        return next((key for key in keys if key in self.signatures), None)


class _ParameterFinder(_CallReader):
    """Notes what all calls of a module give; `found` are the constant parameters of each function."""

    def __init__(self, tree: ast.Module, kinds: Kinds) -> None:
        super().__init__(tree, kinds)
        self._understood = _harmless(tree)
        self.visit(tree)
        self.found = {key: constants for key, each in self.signatures.items() if (constants := each.constants())}

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Note what a call gives."""
        key = self.key_of(node)
        if key is not None:
            self.signatures[key].note(node)
        if key is not None or (
            isinstance(node.func, ast.Attribute) and self.kind_of(node.func.value) in self.kinds.classes
        ):
            self._understood.add(id(node.func))
        self.generic_visit(node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """A method of something unknown, or one that is not called here."""
        if id(node) not in self._understood:
            for (owner, method), signature in self.signatures.items():
                if owner and method == node.attr:
                    signature.is_settled = False
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A function or class that is passed on."""
        if id(node) not in self._understood and isinstance(node.ctx, ast.Load) and self.is_global(node.id):
            for key in (("", node.id), (node.id, "__init__")):
                if key in self.signatures:
                    self.signatures[key].is_settled = False
        return node


class _ParameterRemover(_CallReader):
    """Takes parameters out of signatures and calls."""

    def __init__(self, tree: ast.Module, kinds: Kinds, found: Mapping[Key, Mapping[str, object]]) -> None:
        super().__init__(tree, kinds)
        self._found = found
        self.visit(tree)
        for key, constants in found.items():
            self.signatures[key].remove(constants)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Leave out what the function no longer takes."""
        key = self.key_of(node)
        if key in self._found:
            assert key is not None
            names = self.signatures[key].names()
            gone = self._found[key]
            node.args = [each for index, each in enumerate(node.args) if names[index] not in gone]
            node.keywords = [each for each in node.keywords if each.arg not in gone]
        self.generic_visit(node)
        return node


def remove_constant_parameters(tree: ast.Module, kinds: Kinds) -> None:
    """Replace every parameter that is always the same literal by it, in place."""
    found = _ParameterFinder(tree, kinds).found
    if found:
        _ParameterRemover(tree, kinds, found)


def _signatures(tree: ast.Module, kinds: Kinds) -> Iterator[tuple[Key, _Signature]]:
    """Functions and methods whose every call can be seen: not the special ones, nor those of base or derived classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield ("", node.name), _Signature(node, skip=0)
    for name, owner in kinds.classes.items():
        for method in owner.body:
            if not isinstance(method, ast.FunctionDef) or kinds.has_relatives(name):
                continue
            if method.name == "__init__" or not (method.name.startswith("__") or method.name in CALLED_BY_TORCH):
                is_static = any(ast.unparse(each) == "staticmethod" for each in method.decorator_list)
                yield (name, method.name), _Signature(method, skip=0 if is_static else 1)


def _harmless(tree: ast.Module) -> set[int]:
    """Expressions that name a class without making one: annotations, and the second argument of isinstance."""
    found: list[ast.expr | None] = []
    for node in walk(tree):
        match node:
            case ast.arg(annotation=annotation) | ast.AnnAssign(annotation=annotation):
                found.append(annotation)
            case ast.FunctionDef(returns=returns):
                found.append(returns)
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, kind]):
                found.append(kind)
            case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")))):
                found.append(node.func)
    return {id(inner) for node in found if node is not None for inner in walk(node)}
