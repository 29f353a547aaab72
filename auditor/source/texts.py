"""What an expression's text can be: abstract evaluation of string expressions to templates.

Follows f-strings, ``%`` and ``str.format``, concatenation, repetition, join, conditional expressions, names (every binding
is an alternative), parameters (through the chosen caller) and the script's own functions that return text. An
expression that is no text, or whose text cannot be told, leaves a hole. The number of alternatives is bounded; beyond the
bound they become a hole too, which can only make a template match more.
"""

from __future__ import annotations

import ast
import itertools
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from auditor.source.parse import walk
from auditor.source.scopes import Binding, Definition, Scope, Scopes, argument_of
from auditor.source.templates import (
    ANYTHING,
    PADDING,
    Hole,
    Template,
    hole_of_format,
    joined,
    pads_text,
    split_percent_format,
)

_MAX_ALTERNATIVES = 48
_MAX_DEPTH = 40
_SOURCE_CHARACTERS = 400  # ours: longer expressions are kept out of holes

Alternatives = tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """A scope, and the calls that led to it: for each level the scope and the call in the next level (None outermost)."""

    chain: tuple[tuple[Scope, ast.Call | None], ...]

    @property
    def scope(self) -> Scope:
        """The innermost scope."""
        return self.chain[0][0]

    @property
    def outermost(self) -> Scope:
        """The scope whose own callers have not been chosen."""
        return self.chain[-1][0]

    def caller(self) -> Context:
        """The context of the call that led to the innermost scope."""
        return Context(self.chain[1:])

    def inside(self, scope: Scope, call: ast.Call) -> Context:
        """The context within `scope` when `call`, made here, leads there."""
        return Context(((scope, call), *self.chain))

    def called_from(self, call: ast.Call, scope: Scope) -> Context:
        """The same context with a caller chosen for the outermost scope."""
        return Context((*self.chain[:-1], (self.outermost, call), (scope, None)))


class Texts:
    """Evaluates expressions of one script to the texts that they can be."""

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self._handlers: dict[type[ast.expr], Callable[..., Alternatives | None]] = {
            ast.Constant: self._constant,
            ast.JoinedStr: self._fstring,
            ast.BinOp: self._operation,
            ast.IfExp: self._conditional,
            ast.BoolOp: self._either,
            ast.Name: self._name,
            ast.Call: self._call,
            ast.NamedExpr: lambda node, context, depth: self._text(node.value, context, depth),
        }

    def texts(self, node: ast.expr, context: Context) -> Alternatives:
        """Every text that `node` can be in `context`; what is no text is a hole."""
        return self._filling(node, context, 0)

    def _filling(self, node: ast.expr, context: Context, depth: int) -> Alternatives:
        known = self._text(node, context, depth)
        if known is not None:
            return known
        if isinstance(node, ast.Constant):
            return ((str(node.value),),)
        return ((Hole(source_of(node)),),)

    def _text(self, node: ast.expr, context: Context, depth: int) -> Alternatives | None:
        """The texts of an expression that is known to be text, else None."""
        handler = self._handlers.get(type(node))
        if handler is None or depth > _MAX_DEPTH:
            return None
        found = handler(node, context, depth + 1)
        return found if found is None else _bounded(found)

    def _constant(self, node: ast.Constant, context: Context, depth: int) -> Alternatives | None:
        return ((node.value,),) if isinstance(node.value, str) else None

    def _fstring(self, node: ast.JoinedStr, context: Context, depth: int) -> Alternatives:
        return _product([self._fstring_piece(piece, context, depth) for piece in node.values])

    def _fstring_piece(self, piece: ast.expr, context: Context, depth: int) -> Alternatives:
        if not isinstance(piece, ast.FormattedValue):
            return self._filling(piece, context, depth)
        if piece.format_spec is None:
            return (
                self._filling(piece.value, context, depth)
                if piece.conversion in (-1, 115)
                else ((Hole(source_of(piece.value)),),)
            )
        specs = [part.value for part in _spec_parts(piece.format_spec) if isinstance(part, ast.Constant)]
        if len(specs) != len(_spec_parts(piece.format_spec)):
            return ((Hole(source_of(piece.value)),),)
        return self._formatted(piece.value, "".join(map(str, specs)), context, depth)

    def _formatted(self, value: ast.expr, spec: str, context: Context, depth: int) -> Alternatives:
        if not spec:
            return self._filling(value, context, depth)
        if pads_text(spec):
            padded = self._text(value, context, depth)
            if padded is not None:
                return tuple(joined((PADDING, *template, PADDING)) for template in padded)
        return ((hole_of_format(source_of(value), spec),),)

    def _operation(self, node: ast.BinOp, context: Context, depth: int) -> Alternatives | None:
        if isinstance(node.op, ast.Add):
            return self._added(node, context, depth)
        left = self._text(node.left, context, depth)
        if isinstance(node.op, ast.Mult):
            return self._repeated(node, left, context, depth)
        if isinstance(node.op, ast.Mod) and left is not None:
            values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
            return tuple(filled for template in left for filled in self._percent(template, values, context, depth))
        return None

    def _added(self, node: ast.BinOp, context: Context, depth: int) -> Alternatives | None:
        left, right = self._text(node.left, context, depth), self._text(node.right, context, depth)
        if left is None and right is None:
            return None
        left = left if left is not None else ((Hole(source_of(node.left)),),)
        right = right if right is not None else ((Hole(source_of(node.right)),),)
        return _product([left, right])

    def _repeated(self, node: ast.BinOp, left: Alternatives | None, context: Context, depth: int) -> Alternatives | None:
        text, count = (left, node.right) if left is not None else (self._text(node.right, context, depth), node.left)
        if text is None:
            return None
        if isinstance(count, ast.Constant) and isinstance(count.value, int) and 0 <= count.value <= 1000:
            return tuple(joined(template * count.value) for template in text)
        return ((ANYTHING,),)

    def _percent(self, template: Template, values: Sequence[ast.expr], context: Context, depth: int) -> Alternatives:
        if len(template) != 1 or not isinstance(template[0], str):
            return ((ANYTHING,),)
        remaining = iter(values)
        pieces: list[Alternatives] = []
        for literal, hole, takes_text in split_percent_format(template[0]):
            pieces.append(((literal,),))
            if hole is None:
                continue
            value = next(remaining, None)
            pieces.append(self._filling(value, context, depth) if value is not None and takes_text else ((hole,),))
        return _product(pieces)

    def _conditional(self, node: ast.IfExp, context: Context, depth: int) -> Alternatives | None:
        return self._any_of([node.body, node.orelse], context, depth)

    def _either(self, node: ast.BoolOp, context: Context, depth: int) -> Alternatives | None:
        return self._any_of(node.values, context, depth)

    def _any_of(self, nodes: Iterable[ast.expr], context: Context, depth: int) -> Alternatives | None:
        """The alternatives of several expressions; None if none of them is known to be text."""
        found = [(node, self._text(node, context, depth)) for node in nodes]
        if all(texts is None for _, texts in found):
            return None
        return tuple(
            template
            for node, texts in found
            for template in (texts if texts is not None else self._filling(node, context, depth))
        )

    def _name(self, node: ast.Name, context: Context, depth: int) -> Alternatives | None:
        scope = context.scope.lookup(node.id)
        if scope is None:
            return None
        passed = self._parameter(node.id, scope, context, depth) if node.id in scope.parameters else None
        if node.id not in scope.definitions:
            return passed
        within = context if scope is context.scope else Context(((scope, None),))
        texts = self._defined(scope.definitions[node.id], node.id, within, depth)
        return texts if passed is None else (texts or ()) + passed

    def _defined(self, definitions: Sequence[Definition], name: str, context: Context, depth: int) -> Alternatives | None:
        assigned = [d.value for d in definitions if d.binding is Binding.ASSIGNED and d.value is not None]
        fresh = [value for value in assigned if not _mentions(value, name)]
        texts = self._any_of(fresh, context, depth)
        if texts is None:
            return None
        if len(fresh) < len(assigned) or any(d.binding is Binding.ADDED for d in definitions):
            texts += tuple(joined((ANYTHING, *template, ANYTHING)) for template in texts)
        if any(d.binding in (Binding.ELEMENT, Binding.OTHER) for d in definitions):
            texts += ((ANYTHING,),)
        return texts

    def _parameter(self, name: str, scope: Scope, context: Context, depth: int) -> Alternatives | None:
        if scope is not context.scope:
            return None
        call = context.chain[0][1]
        if call is None:
            return ((Hole(name, parameter=name),),)
        value = argument_of(call, scope, name)
        if value is not None:
            return self._text(value, context.caller(), depth)
        default = scope.defaults.get(name)
        outside = scope.parent
        return self._text(default, Context(((outside, None),)), depth) if default and outside else None

    def _call(self, node: ast.Call, context: Context, depth: int) -> Alternatives | None:
        if isinstance(node.func, ast.Attribute):
            method = self._method(node.func, node, context, depth)
            if method is not None:
                return method
        if isinstance(node.func, ast.Name) and node.func.id == "str" and len(node.args) == 1:
            return self._filling(node.args[0], context, depth)
        returned = [
            (value, context.inside(callee, node))
            for callee in self._scopes.callees(node.func, context.scope)
            for value in callee.returns
            if len(context.chain) < 6
        ]
        texts = [self._text(value, inside, depth) for value, inside in returned]
        return tuple(template for text in texts for template in text or ((ANYTHING,),)) if any(texts) else None

    def _method(self, method: ast.Attribute, node: ast.Call, context: Context, depth: int) -> Alternatives | None:
        if method.attr == "join" and len(node.args) == 1:
            return self._join(method.value, node.args[0], context, depth)
        text = self._text(method.value, context, depth)
        if text is None:
            return None
        if method.attr == "format":
            return tuple(filled for template in text for filled in self._str_format(template, node, context, depth))
        if method.attr in ("upper", "lower", "strip", "rstrip", "lstrip") and not node.args:
            return tuple(
                tuple(getattr(part, method.attr)() if isinstance(part, str) else part for part in template)
                for template in text
            )
        return ((ANYTHING,),)

    def _join(self, separator: ast.expr, items: ast.expr, context: Context, depth: int) -> Alternatives | None:
        between = self._text(separator, context, depth)
        if between is None:
            return None
        if not isinstance(items, ast.List | ast.Tuple) or any(isinstance(item, ast.Starred) for item in items.elts):
            return ((Hole(source_of(items)),),)
        pieces = [self._filling(item, context, depth) for item in items.elts]
        return _product([piece for pair in zip(pieces, itertools.repeat(between)) for piece in pair][:-1])

    def _str_format(self, template: Template, node: ast.Call, context: Context, depth: int) -> Alternatives:
        if len(template) != 1 or not isinstance(template[0], str):
            return ((ANYTHING,),)
        named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        positions = itertools.count()
        pieces: list[Alternatives] = []
        try:
            fields = list(string.Formatter().parse(template[0]))
        except ValueError:  # braces that are no format: the call would raise when run
            return ((ANYTHING,),)
        for literal, name, spec, _ in fields:
            pieces.append(((literal,),))
            if name is None:
                continue
            key = name or str(next(positions))
            value = node.args[int(key)] if key.isdecimal() and int(key) < len(node.args) else named.get(key)
            known = value is not None and "{" not in (spec or "")
            pieces.append(self._formatted(value, spec or "", context, depth) if known and value else ((ANYTHING,),))
        return _product(pieces)


def source_of(node: ast.expr) -> str:
    """The expression as source text; empty if it is too long to be worth keeping."""
    text = ast.unparse(node)
    return text if len(text) <= _SOURCE_CHARACTERS else ""


def _spec_parts(spec: ast.expr) -> list[ast.expr]:
    return spec.values if isinstance(spec, ast.JoinedStr) else [spec]


def _mentions(node: ast.expr, name: str) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id == name for inner in walk(node))


def _product(pieces: Sequence[Alternatives]) -> Alternatives:
    """Every concatenation of one alternative per piece; pieces that would exceed the bound become holes."""
    total = 1
    bounded: list[Alternatives] = []
    for piece in pieces:
        if total * len(piece) > _MAX_ALTERNATIVES:
            piece = ((ANYTHING,),)
        total *= len(piece)
        bounded.append(piece)
    return tuple(joined(itertools.chain.from_iterable(choice)) for choice in itertools.product(*bounded))


def _bounded(texts: Alternatives) -> Alternatives:
    distinct = tuple(dict.fromkeys(texts))
    return distinct if len(distinct) <= _MAX_ALTERNATIVES else ((ANYTHING,),)
