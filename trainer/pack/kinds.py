"""Which class of the program an expression is an instance of, as far as the annotations tell.

Parameters, fields, properties and functions of the trainer are annotated; from these, and from what is assigned to
attributes of `self` and to local names, the class of `self.evaluator.config` follows. None is "cannot tell", and then
nothing is concluded. A name that is bound in any other way too is not told.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from trainer.pack.constants import stores
from trainer.pack.scopes import ScopedTransformer, parameters
from trainer.pack.walk import walk

Locals = Mapping[str, str]


class Kinds:
    """What the classes and functions of one module say about themselves."""

    def __init__(self, tree: ast.Module) -> None:
        self.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        bases = {
            (name, base.id)
            for name, node in self.classes.items()
            for base in node.bases
            if isinstance(base, ast.Name) and base.id in self.classes
        }
        self._related = {name for pair in bases for name in pair}
        self._returns = {
            node.name: self.of_annotation(node.returns) for node in tree.body if isinstance(node, ast.FunctionDef)
        }
        self._attributes: dict[str, dict[str, str | None]] = defaultdict(dict)
        self._locals: dict[int, dict[str, str]] = {}
        self._methods: dict[tuple[str, str], str | None] = {}
        for name, node in self.classes.items():
            self._declare(name, node)
        for name, node in self.classes.items():
            self._assign(name, node)

    def _declare(self, name: str, node: ast.ClassDef) -> None:
        for statement in node.body:
            match statement:
                case ast.AnnAssign(target=ast.Name(id=field), annotation=annotation):
                    self._attributes[name][field] = self.of_annotation(annotation)
                case ast.FunctionDef(name=method, returns=returns):
                    is_property = any(ast.unparse(each).endswith("property") for each in statement.decorator_list)
                    kind = self.of_annotation(returns)
                    if is_property:
                        self._attributes[name][method] = kind
                    else:
                        self._methods[name, method] = kind

    def _assign(self, name: str, node: ast.ClassDef) -> None:
        """Attributes of self; one that gets values of different classes is unknown."""
        for method in node.body:
            if not isinstance(method, ast.FunctionDef):
                continue
            known = self.locals_of(method, {}, name)
            for target, value in _assignments(method):
                if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self" and value is not None:
                    kind = self.of(value, known)
                    if self._attributes[name].setdefault(target.attr, kind) != kind:
                        self._attributes[name][target.attr] = None

    def has_relatives(self, name: str) -> bool:
        """Is a class derived from another one of the program, or another from it?"""
        return name in self._related

    def is_construction(self, node: ast.expr) -> bool:
        """Does an expression make an object of a class of the program?"""
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.classes

    def bases_of(self, name: str) -> list[str]:
        """The bases of a class of the program as they are written."""
        return [ast.unparse(base) for base in self.classes[name].bases]

    def of_annotation(self, annotation: ast.expr | None) -> str | None:
        """The class that an annotation names, a foreign one by its dotted name; `X | None` is X.

        A protocol tells nothing.
        """
        match annotation:
            case ast.Name(id=name) if name in self.classes and "Protocol" not in self.bases_of(name):
                return name
            case ast.Attribute():
                return ast.unparse(annotation)
            case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
                return self.of_annotation(left)
        return None

    def of(self, node: ast.expr, known: Locals) -> str | None:
        """The class of an expression, given those of the local names."""
        match node:
            case ast.Name(id=name):
                return known.get(name)
            case ast.Attribute(value=owner, attr=attr):
                return self._attributes[self.of(owner, known) or ""].get(attr)
            case ast.Call(func=ast.Name(id=name)):
                return name if name in self.classes else self._returns.get(name)
            case ast.Call(func=ast.Attribute(value=owner, attr=attr)):
                return self._methods.get((self.of(owner, known) or "", attr))
            case ast.IfExp(body=body, orelse=ast.Constant(value=None)):
                return self.of(body, known)
            case ast.BoolOp(op=ast.Or(), values=values):
                found = {self.of(value, known) for value in values}
                return found.pop() if len(found) == 1 else None
        return None

    def locals_of(self, function: ast.FunctionDef, outer: Locals, owner: str | None) -> dict[str, str]:
        """The classes of a function's names, those of the scopes around it included; `owner` is the class of a method."""
        if id(function) in self._locals:
            return self._locals[id(function)]
        counts = Counter(stores(*function.body))
        known = {name: kind for name, kind in outer.items() if not counts[name]}
        for index, parameter in enumerate(parameters(function.args)):
            kind = owner if index == 0 and owner is not None else self.of_annotation(parameter.annotation)
            known.pop(parameter.arg, None)
            if kind is not None and not counts[parameter.arg]:
                known[parameter.arg] = kind
        for target, value in _assignments(function):
            if isinstance(target, ast.Name) and counts[target.id] == 1 and value is not None:
                kind = self.of(value, known)
                if kind is not None:
                    known[target.id] = kind
        self._locals[id(function)] = known
        return known


def _assignments(function: ast.FunctionDef) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """Targets and values of all assignments inside, pairs of tuples taken apart; None for what cannot be told."""
    for node in walk(function):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)) if len(targets) == len(values):
                yield from zip(targets, values, strict=True)
            case ast.Assign(targets=targets, value=value):
                yield from ((target, value) for target in targets)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                yield target, value
            case ast.With(items=items):
                yield from ((item.optional_vars, item.context_expr) for item in items if item.optional_vars is not None)


class KindedTransformer(ScopedTransformer):
    """A transformer that knows the classes of the names around it; `self.known` are those of the innermost function."""

    def __init__(self, kinds: Kinds) -> None:
        super().__init__()
        self.kinds = kinds
        self.known: Locals = {}
        self.owner: str | None = None

    def kind_of(self, node: ast.expr) -> str | None:
        """The class of an expression, here."""
        return self.kinds.of(node, self.known)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Inside, functions are methods of this class."""
        before, self.owner = self.owner, node.name
        super().visit_ClassDef(node)
        self.owner = before
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Inside, the names of this function are known."""
        before, owner = self.known, self.owner
        is_static = any(ast.unparse(each) == "staticmethod" for each in node.decorator_list)
        self.known = self.kinds.locals_of(node, before, None if is_static else owner)
        self.owner = None
        super().visit_FunctionDef(node)
        self.known, self.owner = before, owner
        return node
