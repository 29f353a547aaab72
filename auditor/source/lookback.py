"""Where a network mixes each position with the one before it, and whether the mixing stops where a document begins.

A look-back is a sum of a tensor with itself shifted by one position along the sequence, in any spelling: slices, `cat`
with a first column, `pad`, `roll`, in place, over a variable in between. It is masked if something that depends on a
comparison of tokens with the first token of a document is a factor of the shifted part. Each function is read on its
own, names stand for what they were last bound to. Not covered: fused kernels, convolutions, shifts by a variable
number, and masks that a caller prepares under a name that does not tell.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from auditor.finding import Location
from auditor.source.parse import children, last_name, lines_of, names_in
from auditor.source.scopes import Scope, Scopes

_SHIFTS = re.compile(r":\s*-1\b|\broll\(")
_TOKENS = re.compile(r"ids?$|idx|tok(?:en)?s?$|targets?$|labels?$", re.IGNORECASE)
_MASK = re.compile(r"bos|mask|doc|boundar|keep|reset|segment", re.IGNORECASE)
_JOINS = frozenset(["cat", "concat", "concatenate", "pad", "roll"])
_MIXES = frozenset(["lerp", "addcmul", "add"])
_FRESH = frozenset(["zeros_like", "ones_like", "empty_like", "new_zeros"])


@dataclass(frozen=True, slots=True)
class LookBack:
    """One look-back: its place, the function, the expression, the tensor, and whether a document's start stops it."""

    location: Location
    scope: Scope
    node: ast.AST
    tensor: str
    is_masked: bool


@dataclass(frozen=True, slots=True)
class _Seen:
    """What an expression holds: tensors shifted by one, tensors as they are, and whether a document mask is in it."""

    shifted: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    masked: bool = False

    def __or__(self, other: _Seen) -> _Seen:
        return _Seen(self.shifted | other.shifted, self.plain | other.plain, self.masked or other.masked)


def find_look_backs(scopes: Scopes) -> tuple[LookBack, ...]:
    """Every look-back in the functions of a script, in order; one for each line."""
    found: dict[Location, LookBack] = {}
    for scope in scopes.all:
        if isinstance(scope.node, ast.FunctionDef) and _SHIFTS.search(_text(scope, scope.node)):
            for mix in _Reader(scope).look_backs():
                known = found.get(mix.location)
                if known is None or known.is_masked > mix.is_masked:
                    found[mix.location] = mix
    return tuple(found.values())


def _text(scope: Scope, node: ast.FunctionDef) -> str:
    return "\n".join(lines_of(scope.module.source)[node.lineno - 1 : node.end_lineno])


@dataclass(slots=True)
class _Reader:
    """Reads one function."""

    scope: Scope
    names: dict[str, _Seen] = field(default_factory=dict)
    found: list[LookBack] = field(default_factory=list)

    def look_backs(self) -> Iterator[LookBack]:
        """The look-backs of the function."""
        assert isinstance(self.scope.node, ast.FunctionDef)
        self._block(self.scope.node.body)
        yield from self.found

    def _block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            match statement:
                case ast.Assign(targets=[target], value=value):
                    self._bind(target, self._read(value))
                case ast.AnnAssign(target=target, value=value) if value is not None:
                    self._bind(target, self._read(value))
                case ast.AugAssign(target=target, op=op, value=value):
                    self._augment(target, op, value)
                case _:
                    for child in children(statement):
                        if isinstance(child, ast.expr):
                            self._read(child)
            for inner in ("body", "orelse", "finalbody"):
                self._block(getattr(statement, inner, []))

    def _bind(self, target: ast.expr, seen: _Seen) -> None:
        if isinstance(target, ast.Name):
            self.names[target.id] = seen if seen.shifted or seen.masked else _Seen(plain=frozenset((target.id,)))
        elif isinstance(target, ast.Subscript):
            name, index = _base(target.value), self._read(target.slice)
            if name and (seen.shifted or index.masked):
                self.names[name] = self.names.get(name, _Seen()) | _Seen(
                    seen.shifted - {name}, masked=index.masked or seen.masked
                )

    def _augment(self, target: ast.expr, op: ast.operator, value: ast.expr) -> None:
        seen, name = self._read(value), _base(target.value if isinstance(target, ast.Subscript) else target)
        if isinstance(op, ast.Add) and name in seen.shifted:
            self._note(target, name, seen.masked)
        elif isinstance(op, ast.Mult) and name in self.names and seen.masked:
            self.names[name] |= _Seen(masked=True)

    # --- expressions

    def _read(self, node: ast.expr) -> _Seen:
        match node:
            case ast.Name():
                return self._name(node.id)
            case ast.Attribute():
                return _Seen(plain=frozenset((ast.unparse(node),)), masked=_MASK.search(node.attr) is not None)
            case ast.Subscript():
                return self._item(node)
            case ast.Compare():
                return self._comparison(node)
            case ast.BinOp(op=ast.Mod() | ast.BitXor() | ast.FloorDiv()):
                return _Seen()  # a hash of tokens
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._sum(node, self._read(left), self._read(right))
            case ast.Call():
                return self._call(node)
            case ast.Lambda():
                return _Seen()
            case _:
                return _all(self._read(child) for child in children(node) if isinstance(child, ast.expr))

    def _name(self, name: str) -> _Seen:
        if name in self.names:
            return self.names[name]
        return _Seen(plain=frozenset((name,)), masked=_MASK.search(name) is not None)

    def _item(self, node: ast.Subscript) -> _Seen:
        name = _base(node.value)
        if name and _drops_last(node.slice):
            return _Seen(shifted=frozenset((name,)) if not _TOKENS.search(name) else frozenset())
        if name and _keeps_first_only(node.slice):
            return _Seen()
        return self._read(node.value)

    def _comparison(self, node: ast.Compare) -> _Seen:
        text = ast.unparse(node)
        equal = any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops)
        tokens = any(map(_TOKENS.search, names_in(node)))
        return _Seen(masked=equal and (tokens or re.search("bos", text, re.IGNORECASE) is not None))

    def _sum(self, node: ast.expr, left: _Seen, right: _Seen) -> _Seen:
        mixed = [(name, one) for one, other in ((left, right), (right, left)) for name in sorted(one.shifted & other.plain)]
        for name, one in mixed:
            self._note(node, name, one.masked)
        return _Seen(plain=left.plain | right.plain) if mixed else left | right

    def _call(self, node: ast.Call) -> _Seen:
        called = last_name(node.func)
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        if called in _FRESH:
            return _Seen()
        if called == "roll" and node.args:
            return self._rolled(node)
        seen = _all(self._read(value) for value in values)
        owner = self._read(node.func.value) if isinstance(node.func, ast.Attribute) else _Seen()
        if called in _MIXES:
            self._sum(node, owner, seen)
            for value in values:
                self._sum(node, self._read(value), seen)
        if called in _JOINS:
            return _Seen(seen.shifted, seen.plain - seen.shifted, seen.masked)
        return seen | owner

    def _rolled(self, node: ast.Call) -> _Seen:
        name = _base(node.args[0])
        by = [value for value in (*node.args[1:2], *(k.value for k in node.keywords if k.arg == "shifts"))]
        one = any(isinstance(value, ast.Constant) and value.value == 1 for value in by)
        return _Seen(shifted=frozenset((name,))) if name and one and not _TOKENS.search(name) else _Seen()

    def _note(self, node: ast.AST, name: str, masked: bool) -> None:
        place = self.scope.location_at(getattr(node, "lineno", None))
        self.found.append(LookBack(place, self.scope, node, name, masked))


def _all(parts: Iterator[_Seen]) -> _Seen:
    whole = _Seen()
    for part in parts:
        whole |= part
    return whole


def _base(node: ast.expr) -> str:
    """The name of a tensor, through conversions; empty if it has none."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        node = node.func.value
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def _axis(index: ast.expr) -> ast.expr | None:
    """The index of the sequence axis: the second of ``[:, i]`` and ``[:, i, :]``, the last but one of ``[..., i, :]``."""
    if not isinstance(index, ast.Tuple) or len(index.elts) < 2:
        return None
    if isinstance(index.elts[0], ast.Constant) and index.elts[0].value is Ellipsis:
        return index.elts[-2] if len(index.elts) > 2 else None
    return index.elts[1]


def _drops_last(index: ast.expr) -> bool:
    axis = _axis(index)
    is_open = isinstance(axis, ast.Slice) and (axis.lower is None or ast.unparse(axis.lower) == "0")
    return is_open and isinstance(axis, ast.Slice) and axis.upper is not None and ast.unparse(axis.upper) == "-1"


def _keeps_first_only(index: ast.expr) -> bool:
    axis = _axis(index)
    return isinstance(axis, ast.Slice) and axis.lower is None and axis.upper is not None and ast.unparse(axis.upper) == "1"
