"""Do the probabilities that a function takes logarithms of add up to one over the vocabulary?

Each function is read on its own, statement by statement. A value over the vocabulary, or the entry of one, carries its
mass: the sum over the alphabet of what the same expression gives for every token. A softmax has mass one, a row of a
table the mass of its own sum, a constant that is added to an entry the vocabulary's size times itself. Masses are kept
as quotients of polynomials (`polynomials`), so that a mixture, smoothed counts and a hint with its partition come out as
exactly one, whatever the numbers are, and others as more than one. What is neither is not told.

Small numbers that guard a logarithm count as nothing. Not covered: masks and weights that the realised token decides, what
helpers return, and arithmetic on logarithms.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from auditor.finding import Location
from auditor.source.parse import children, last_name
from auditor.source.polynomials import POSITIVE, VOCABULARY_SIZE, Quotient, constant, quantity
from auditor.source.scopes import Scope, is_library

_GUARD = 1e-3  # ours: no bonus is smaller, no guard of a logarithm larger
_NEARLY_ONE = 0.9
_VOCABULARY = re.compile(r"(?:\w+\.)*(?:vocab\w*|VOCAB\w*|n_vocab|V|num_embeddings)")
_VIEWS = frozenset(
    [
        *("squeeze", "unsqueeze", "view", "reshape", "flatten", "float", "double", "to", "cpu", "numpy", "item", "detach"),
        *("contiguous", "clone", "astype", "copy", "float64", "float32", "asarray", "array", "tensor", "view_as"),
    ]
)
_CONVERSIONS = frozenset({"unsqueeze", "long", "to", "view", "reshape", "int", "item", "astype"})
_OPERATIONS: dict[type[ast.operator], Callable[[Quotient, Quotient], Quotient]] = {
    ast.Add: Quotient.__add__,
    ast.Sub: Quotient.__sub__,
    ast.Mult: Quotient.__mul__,
    ast.Div: Quotient.__truediv__,
}
_ONE = Quotient(constant(1))
_ANY = "the target"  # the index of a loss whose targets are not looked at


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of an expression.

    `mass` is its sum over the vocabulary, if it is a row or an entry of one, `number` its value where it is one; both may
    be given, because an entry is a number too. `is_weak`: it may as well be no row, but one number of a list. `is_share`: a
    softmax or a quotient is in it, so that it can be meant as a probability, and is no mere count. `base` tells
    rows apart, `index` is the text of what picked the entry, `is_log` marks its logarithm, `made` the arithmetic behind it.
    """

    mass: Quotient | None = None
    number: Quotient | None = None
    is_weak: bool = False
    is_share: bool = False
    base: str = ""
    index: str | None = None
    is_log: bool = False
    made: ast.AST | None = None


_UNKNOWN = Value()


@dataclass(frozen=True, slots=True)
class Logarithm:
    """A logarithm of an entry: where and by what text the entry was made, and its mass; None if not told."""

    location: Location
    text: str
    mass: Quotient | None


def find_logarithms(scope: Scope) -> tuple[Logarithm, ...]:
    """The logarithms of probabilities that a function takes, one for each place at which such a probability is made."""
    if not isinstance(scope.node, ast.FunctionDef):
        return ()
    reader = _Reader(scope)
    reader.block(scope.node.body)
    return tuple(reader.found.values())


@dataclass(slots=True)
class _Reader:
    """Reads one function."""

    scope: Scope
    names: dict[str, Value] = field(default_factory=dict)
    found: dict[tuple[int, int], Logarithm] = field(default_factory=dict)

    # ---- statements ----

    def block(self, body: list[ast.stmt]) -> None:
        """Read statements in order; of two branches, only what both leave the same is known."""
        for node in body:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    continue
                case ast.If():
                    self._branches(node)
                case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._bind(target, value)
                case ast.AugAssign(target=target, op=op, value=value):
                    self._bind(target, ast.copy_location(ast.BinOp(left=target, op=op, right=value), node))
                case _:
                    self._others(node)

    def _others(self, node: ast.stmt) -> None:
        for child in children(node):
            if isinstance(child, ast.expr):
                self._read(child)
        for inner in ("body", "orelse", "finalbody"):
            self.block(getattr(node, inner, []))

    def _branches(self, node: ast.If) -> None:
        self._read(node.test)
        before = dict(self.names)
        self.block(node.body)
        first, self.names = self.names, before
        self.block(node.orelse)
        self.names = {
            name: value if self.names.get(name) == value else _UNKNOWN for name, value in {**self.names, **first}.items()
        }

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        known = self._read(value)
        if isinstance(target, ast.Name):
            self.names[target.id] = known
        elif isinstance(target, ast.Tuple):
            parts = value.elts if isinstance(value, ast.Tuple) else []
            for place, part in enumerate(target.elts):
                if isinstance(part, ast.Name):
                    self.names[part.id] = self._read(parts[place]) if place < len(parts) else _UNKNOWN
        elif isinstance(target, ast.Subscript):
            self.names[ast.unparse(target.value)] = _UNKNOWN

    # ---- expressions ----

    def _read(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number):
                return Value(number=Quotient(constant(number)))
            case ast.Name() | ast.Attribute():
                return self._named(node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._negative(self._read(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return _short(_operation(self._read(left), self._read(right), op, node))
            case ast.Subscript():
                return self._item(node)
            case ast.Call():
                return _short(self._call(node))
            case _:
                inside = [child for child in children(node) if isinstance(child, ast.expr)]
                for child in [] if isinstance(node, ast.Lambda) else inside:
                    self._read(child)
                return _UNKNOWN

    def _named(self, node: ast.Name | ast.Attribute) -> Value:
        text = ast.unparse(node)
        if text in self.names:
            return self.names[text]
        if _VOCABULARY.fullmatch(text):
            return Value(number=Quotient(VOCABULARY_SIZE))
        if isinstance(node, ast.Attribute) and node.attr == "values":
            return self._read(node.value)
        return Value(number=Quotient(quantity(text)))

    def _negative(self, value: Value) -> Value:
        if value.is_log or value.number is None:
            return value if value.is_log else _UNKNOWN
        return Value(number=Quotient(constant(0)) - value.number)

    def _item(self, node: ast.Subscript) -> Value:
        value = self._read(node.value)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if all(_is_no_choice(part) for part in parts):
            return value
        if value.is_log or any(isinstance(part, ast.Slice) for part in parts):
            return _UNKNOWN
        names = [_plain(part) for part in parts]
        if value.mass is not None:
            return _entry(value, names[-1]) if len(parts) > 1 and value.index is None else value
        if not isinstance(node.value, ast.Name | ast.Attribute):
            return _UNKNOWN
        row = f"{ast.unparse(node.value)}[{names[0]}]"
        table = Value(mass=_mass_of_row(row), number=Quotient(quantity(row)), is_weak=True, base=row, made=node)
        return table if len(parts) == 1 else replace(_entry(table, names[-1]), is_weak=False)

    def _call(self, node: ast.Call) -> Value:
        name = last_name(node.func)
        given = [self._read(argument) for argument in node.args]
        is_method = isinstance(node.func, ast.Attribute) and not is_library(node.func.value)
        value = self._read(node.func.value) if is_method and isinstance(node.func, ast.Attribute) else _first(given)
        rest = node.args if is_method else node.args[1:]
        match name:
            case "softmax" | "log_softmax":
                return Value(mass=_ONE, is_share=True, base=ast.unparse(node), is_log=name != "softmax", made=node)
            case "cross_entropy" | "nll_loss":
                return Value(mass=_ONE, is_share=True, base=ast.unparse(node), index=_ANY, is_log=True, made=node)
            case "exp":
                return replace(value, is_log=False) if value.is_log else _UNKNOWN
            case "log" if any(map(_is_size, node.args)):
                return _UNKNOWN
            case "log" if isinstance(node.func, ast.Attribute) and not (is_method and node.args):
                return self._logarithm(value, node)
            case "gather" | "take_along_dim" | "take_along_axis":
                return self._gathered(value, rest, node)
            case "where" if len(given) == 3:
                return _chosen(node, given[1], given[2])
            case _:
                return self._reduced(name, value, rest, node)

    def _reduced(self, name: str, value: Value, rest: list[ast.expr], node: ast.Call) -> Value:
        is_row = value.mass is not None and value.index is None and not value.is_log
        if name == "sum" and is_row:
            return Value(number=value.mass) if _is_over_last(rest, node) else _UNKNOWN
        if name in ("max", "amax") and is_row and value.mass == _mass_of_row(value.base):
            return Value(number=Quotient(quantity(f"max {value.base}"))) if _is_over_last(rest, node) else _UNKNOWN
        if name.startswith("clamp") or name in ("clip", "maximum", "minimum", "max", "min"):
            return value if self._is_guard(node, rest) else _UNKNOWN
        return value if name in _VIEWS else _UNKNOWN

    def _gathered(self, value: Value, rest: list[ast.expr], node: ast.Call) -> Value:
        index = rest[-1] if rest else next((k.value for k in node.keywords if k.arg in ("index", "indices")), None)
        if value.mass is None or index is None or value.index is not None:
            return _UNKNOWN
        entry = _entry(value, _plain(index))
        if value.is_log:
            self._note(entry, node)
        return entry

    def _is_guard(self, node: ast.Call, rest: list[ast.expr]) -> bool:
        """Does a bound only keep a logarithm finite?"""
        bounds = [self._read(bound).number for bound in (*rest, *(keyword.value for keyword in node.keywords))]
        told = [bound.above.terms.get((), 0.0) for bound in bounds if bound is not None and not bound.names]
        return len(told) == len(bounds) and all(bound <= _GUARD or bound >= _NEARLY_ONE for bound in told)

    def _logarithm(self, value: Value, node: ast.Call) -> Value:
        if value.index is not None:
            self._note(value, node)
        elif value.mass is None and (value.number is None or value.number.names - VOCABULARY_SIZE.names):
            self._note(Value(made=node), node)  # of something that is not told
        return replace(value, is_log=True) if value.mass is not None else _UNKNOWN

    def _note(self, value: Value, node: ast.Call) -> None:
        made = value.made or node
        mass = value.mass if value.is_share else None
        if mass is not None and any(name.endswith(f"[{value.index}]") for name in mass.names):
            mass = None  # it depends on the very token
        line = getattr(made, "lineno", node.lineno)
        place = self.scope.location_at(line)
        self.found.setdefault((line, getattr(made, "col_offset", 0)), Logarithm(place, ast.unparse(made)[:100], mass))


def _is_size(node: ast.expr) -> bool:
    """Is it the length of an axis, which is no probability?"""
    match node:
        case ast.Subscript(value=ast.Attribute(attr="shape")):
            return True
        case ast.Call(func=ast.Name(id="len") | ast.Attribute(attr="size" | "numel")):
            return True
        case _:
            return False


def _operation(left: Value, right: Value, op: ast.operator, node: ast.AST) -> Value:
    if left.is_log or right.is_log or type(op) not in _OPERATIONS:
        return _UNKNOWN
    number = None
    if left.number is not None and right.number is not None:
        number = _OPERATIONS[type(op)](left.number, right.number)
    main, mass = _mass(left, right, op)
    if main is None or mass is None:
        return Value(number=number, made=node)
    base = main.base if isinstance(op, ast.Mult | ast.Div) else ""
    by_own_sum = isinstance(op, ast.Div) and mass.is_one  # who is divided by its sum is a row
    divided = isinstance(op, ast.Div) and right.number is not None and bool(right.number.names)
    is_share = divided or any(side.is_share for side in (left, right))
    return Value(mass, number, main.is_weak and not by_own_sum, is_share, base, main.index, made=node)


def _mass(left: Value, right: Value, op: ast.operator) -> tuple[Value | None, Quotient | None]:
    """Which side is the row or entry, and the mass of the result."""
    if isinstance(op, ast.Add | ast.Sub):
        return _mass_of_sum(left, right, op)
    if isinstance(op, ast.Div):
        row, other = left, right
    else:
        rows = [side for side in (left, right) if side.mass is not None]
        firm = [side for side in rows if not side.is_weak] or rows
        if len(firm) != 1:
            return None, None
        row, other = (left, right) if firm[0] is left else (right, left)
    if row.mass is None or other.number is None:
        return None, None
    return row, _OPERATIONS[type(op)](row.mass, other.number)


def _mass_of_sum(left: Value, right: Value, op: ast.operator) -> tuple[Value | None, Quotient | None]:
    combine = _OPERATIONS[type(op)]
    if left.mass is not None and right.mass is not None:
        main = left if left.index is not None else right
        return (main, combine(left.mass, right.mass)) if _same_index(left, right) else (None, None)
    first, second = map(_spread_mass, (left, right))
    if first is None or second is None or (left.mass is None and right.mass is None):
        return None, None
    return left if left.mass is not None else right, combine(first, second)


def _spread_mass(value: Value) -> Quotient | None:
    """The mass of a row or entry; of a number, that of a row in which it stands everywhere."""
    if value.mass is not None or value.number is None:
        return value.mass
    return value.number * Quotient(VOCABULARY_SIZE)


def _same_index(left: Value, right: Value) -> bool:
    told = {side.index for side in (left, right)} - {_ANY}
    return len(told) == 1 or left.index == right.index


def _mass_of_row(row: str) -> Quotient:
    """The sum of a table's row, which is no less than its largest entry."""
    return Quotient(quantity(f"max {row}") + quantity(f"rest {row}"))


def _entry(value: Value, index: str) -> Value:
    return replace(value, index=index, number=Quotient(quantity(f"{POSITIVE}{value.base}[{index}]")))


def _chosen(node: ast.Call, first: Value, second: Value) -> Value:
    """``where(hint == token, k * p, p)``: a row, or an entry, that is scaled for one hinted token."""
    hint = _hint(node.args[0], second.index)
    if hint is None or first.mass is None or second.mass is None or not second.mass.is_one:
        return _UNKNOWN
    if not second.base or first.base != second.base or first.index != second.index:
        return _UNKNOWN
    picked = Quotient(quantity(f"{POSITIVE}{second.base}[{hint}]"))
    return replace(second, mass=second.mass + picked * (first.mass - _ONE), number=None, base="", made=node)


def _hint(condition: ast.expr, index: str | None) -> str | None:
    """The token that a comparison with the entry's own, or with every token, singles out."""
    if not (isinstance(condition, ast.Compare) and isinstance(condition.ops[0], ast.Eq) and len(condition.ops) == 1):
        return None
    sides = [_plain(condition.left), _plain(condition.comparators[0])]
    own = [side for side in sides if side == index or (index is None and "arange(" in side)]
    return next((side for side in sides if side not in own), None) if len(own) == 1 else None


def _short(value: Value) -> Value:
    """Sums that grow beyond what is worth following are given up."""
    long = any(part is not None and part.is_too_long for part in (value.mass, value.number))
    return Value(made=value.made) if long else value


def _first(given: list[Value]) -> Value:
    return given[0] if given else _UNKNOWN


def _is_no_choice(part: ast.expr) -> bool:
    """Does a part of an index keep every position: ``...``, ``:``, a new axis, the only one of an axis?"""
    if isinstance(part, ast.Slice):
        return part.lower is None and part.upper is None
    return isinstance(part, ast.Constant) and (part.value is None or part.value is Ellipsis or part.value == 0)


def _is_over_last(rest: list[ast.expr], node: ast.Call) -> bool:
    """Is a sum taken over the last axis only?"""
    dims = [keyword.value for keyword in node.keywords if keyword.arg in ("dim", "axis")] or rest[:1]
    return len(dims) == 1 and ast.unparse(dims[0]) in ("-1", "(-1,)")


def _plain(node: ast.expr) -> str:
    """The text of an index without new axes and conversions."""
    while True:
        match node:
            case ast.Subscript(value=inner, slice=index) if all(
                _is_no_choice(part) for part in (index.elts if isinstance(index, ast.Tuple) else [index])
            ):
                node = inner
            case ast.Call(func=ast.Attribute(value=inner, attr=name)) if name in _CONVERSIONS:
                node = inner
            case _:
                return ast.unparse(node)
