"""Where a network lets a position see later ones: what its functions mix along the sequence, and in which direction.

Read are attention calls, convolutions, shifts, flips, running sums and reductions, each only where the axis of the
positions is known (`sequence`), so that a reduction over heads or over a weight's columns is none over the window. What is
told is that a position sees later ones, that it does not, or, where an attention's mask or a tensor's layout is not
known, neither. Not covered: attention by hand, loops over positions, blocks made by a reshape, kernels, hooks.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from auditor.finding import Location
from auditor.source.parse import children, last_name, names_in
from auditor.source.scopes import Scope, Scopes
from auditor.source.sequence import IDS, UNKNOWN, Layouts, Value, moved, number_of

_ATTENTION = re.compile(r"scaled_dot_product_attention|flash_attn\w*|flash_attention\w*|flex_attention")
_REDUCTIONS = frozenset(
    ["mean", "sum", "amax", "amin", "max", "min", "std", "var", "norm", "logsumexp", "prod", "median", "nanmean"]
)
_OVER_ALL = frozenset({"softmax", "log_softmax", "normalize"})
_RUNNING = frozenset({"cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"})
_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})
_JOINS = frozenset({"cat", "concat", "concatenate"})
_STATES = frozenset(["x", "h", "y", "z", "hidden", "hidden_states", "states", "out", "emb", "feats", "features"])

Truth = Callable[[ast.expr, Scope], bool | None]


@dataclass(frozen=True, slots=True)
class Mixing:
    """A place where positions are mixed. `sees_later` is None where its direction could not be told."""

    location: Location
    scope: Scope
    node: ast.AST
    what: str
    sees_later: bool | None


def find_mixing(scopes: Scopes, truth: Truth) -> tuple[Mixing, ...]:
    """Every place in the functions of a script that mixes positions; `truth` tells what a setting comes to, if known."""
    convolutions = {name: call for scope in scopes.all for name, call in _convolutions(scope)}
    found: dict[tuple[str, int | None, str], Mixing] = {}
    for scope in scopes.all:
        if isinstance(scope.node, ast.FunctionDef):
            for mixing in _Reader(scope, truth, convolutions).mixings():
                found.setdefault((mixing.location.path, mixing.location.line, mixing.what), mixing)
    return tuple(found.values())


def _convolutions(scope: Scope) -> Iterator[tuple[str, ast.Call]]:
    """The attributes that hold one-dimensional convolutions."""
    for name, definitions in scope.definitions.items():
        for definition in definitions:
            if isinstance(definition.value, ast.Call) and last_name(definition.value.func) == "Conv1d":
                yield name.removeprefix("self."), definition.value


@dataclass(slots=True)
class _Reader:
    """Reads one function."""

    scope: Scope
    truth: Truth
    convolutions: dict[str, ast.Call]
    layouts: Layouts = field(default_factory=Layouts)
    found: list[Mixing] = field(default_factory=list)
    padded: dict[ast.AST, bool | None] = field(default_factory=dict)
    trimmed: set[ast.AST] = field(default_factory=set)

    def mixings(self) -> list[Mixing]:
        """What the function mixes."""
        assert isinstance(self.scope.node, ast.FunctionDef)
        self.layouts.take_parameters(self.scope.node)
        self._block(self.scope.node.body)
        for node, sees_later in self.padded.items():
            if node not in self.trimmed:
                self._note(node, "a convolution that is padded on both sides reaches later positions", sees_later)
        return self.found

    # ---- statements ----

    def _block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            self._statement(statement)
            skip = isinstance(statement, ast.If) and _is_training(statement.test)
            for inner in ("orelse", "finalbody") if skip else ("body", "orelse", "finalbody"):
                self._block(getattr(statement, inner, []))

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=targets) | ast.List(elts=targets)], value=value):
                self._unpack(targets, value)
            case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, value)
            case ast.AugAssign(target=target, value=value):
                written = self._read(ast.copy_location(ast.BinOp(left=target, op=node.op, right=value), node))
                self._write(target, written)
            case _:
                for child in children(node):
                    if isinstance(child, ast.expr):
                        self._read(child)

    def _unpack(self, targets: list[ast.expr], value: ast.expr) -> None:
        if self.layouts.take_shape(targets, value):
            return
        values = [self._read(part) for part in value.elts] if isinstance(value, ast.Tuple) else [self._read(value)]
        for place, target in enumerate(targets):
            if isinstance(target, ast.Name):
                self.layouts.values[target.id] = values[place] if len(values) == len(targets) else values[0]

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.layouts.take_length(target.id, value)
            self.layouts.values[target.id] = self._read(value)
        else:
            self._write(target, self._read(value))

    def _write(self, target: ast.expr, written: Value) -> None:
        """What is written to the front positions must not come from positions further back."""
        if isinstance(target, ast.Subscript) and written.dropped and written.is_hidden:
            axis = _on_axis(target.slice, written.axis)
            if isinstance(axis, ast.Slice) and not _from(axis) and (number_of(axis.upper) or 0) < 0:
                self._note(target, "later positions are written to earlier ones", True)

    # ---- expressions ----

    def _read(self, node: ast.expr) -> Value:
        match node:
            case ast.Name() | ast.Attribute():
                return self.layouts.values.get(ast.unparse(node), UNKNOWN)
            case ast.BinOp():
                return self._combined(self._read(node.left), self._read(node.right))
            case ast.UnaryOp():
                return self._read(node.operand)
            case ast.IfExp():
                first, second = self._read(node.body), self._read(node.orelse)
                return first if first.axis is not None else second
            case ast.Subscript():
                return self._item(node)
            case ast.Call():
                return self._call(node)
            case _:
                return self._others(node)

    def _others(self, node: ast.expr) -> Value:
        """What is inside any other expression is read, and its own layout is not told."""
        for child in children(node) if not isinstance(node, ast.Lambda) else ():
            if isinstance(child, ast.expr):
                self._read(child)
        return UNKNOWN

    def _combined(self, left: Value, right: Value) -> Value:
        for pooled, other in ((left, right), (right, left)):
            if pooled.pooled is not None and pooled.axis is None and other.is_hidden:
                self._note(pooled.pooled, "a value over all positions of the window enters each of them", True)
        known = [value for value in (left, right) if value.axis is not None]
        if not known:
            return left if left.pooled is not None else right
        main = max(known, key=lambda value: value.rank or 0)
        return replace(main, dropped=left.dropped or right.dropped, conv=left.conv or right.conv)

    def _item(self, node: ast.Subscript) -> Value:
        value = self._read(node.value)
        if value.conv is not None and any(
            isinstance(part, ast.Slice) and (part.lower or part.upper) for part in _parts(node.slice)
        ):
            self.trimmed.add(value.conv)
        if value.axis is None:
            return UNKNOWN
        parts = _parts(node.slice)
        if not all(isinstance(part, ast.Slice) or _is_ellipsis(part) for part in parts):
            return UNKNOWN
        axis = _on_axis(node.slice, value.axis, value.rank)
        if not isinstance(axis, ast.Slice):
            return value
        if axis.step is not None:
            return UNKNOWN
        return replace(value, dropped=value.dropped or _from(axis) > 0)

    def _call(self, node: ast.Call) -> Value:
        name = last_name(node.func)
        receiver = self._read(node.func.value) if isinstance(node.func, ast.Attribute) else UNKNOWN
        given = [self._read(argument) for argument in node.args]
        given += [self._read(keyword.value) for keyword in node.keywords if keyword.arg not in ("is_causal", "causal")]
        of_library = receiver is UNKNOWN and given
        value, rest = (given[0], node.args[1:]) if of_library else (receiver, node.args)
        if _ATTENTION.fullmatch(name):
            return self._attention(node, name, given)
        if name in _RECURRENT and self._keyword(node, "bidirectional") is True:
            self._note(node, "a recurrent layer runs over the window in both directions", True)
        if name in self.convolutions and _is_self(node.func):
            return self._convolution(node, self.convolutions[name], value)
        if name in _JOINS or name == "pad":
            return self._joined(node, name, value)
        if name == "conv1d":
            return self._convolution(node, node, value)
        if name in _REDUCTIONS | _OVER_ALL | _RUNNING | {"flip", "roll"}:
            return self._along(node, name, value, rest)
        if value.is_hidden and self._cuts(value, name, rest):
            self._note(node, "positions are put together in blocks, and what becomes of these is not told", None)
            return UNKNOWN
        result = moved(value, name, rest, self.layouts)
        if result is not None:
            return result
        return (Value(3, 1) if value == IDS else value) if _is_self(node.func) and given else UNKNOWN

    def _cuts(self, value: Value, name: str, rest: list[ast.expr]) -> bool:
        """Does a reshape cut the window's positions into blocks?"""
        if name == "unflatten":
            return bool(rest) and value.number(number_of(rest[0])) == value.axis
        divided = [part for size in rest for part in _parts(size) if isinstance(part, ast.BinOp)]
        by_length = [
            part
            for part in divided
            if isinstance(part.op, ast.FloorDiv) and not self.layouts.lengths.isdisjoint(names_in(part))
        ]
        return name == "unfold" or (name in ("view", "reshape") and bool(by_length))

    def _along(self, node: ast.Call, name: str, value: Value, rest: list[ast.expr]) -> Value:
        """A function that works along one axis."""
        if name == "roll":
            return self._rolled(node, value, rest)
        dims = self._dims(node, rest)
        if value.axis is None:
            if name in _REDUCTIONS and {1, -2} & set(dims) and _base(node) in _STATES:
                self._note(node, f"`{name}` over an axis that may be the sequence", None)
            return UNKNOWN
        along = value.axis in [value.number(dim) for dim in dims]
        if name == "flip":
            return replace(value, flipped=value.flipped is not along)
        if name in _RUNNING:
            if along and value.flipped:
                self._note(node, "a running sum over the window runs from its end", True)
            return value
        if name in _OVER_ALL:
            if along and value.is_hidden:
                self._note(node, f"`{name}` over all positions of the window", True)
            return value
        if not along:
            return value if self._keyword(node, "keepdim") is True else UNKNOWN
        return Value(pooled=node)

    def _rolled(self, node: ast.Call, value: Value, rest: list[ast.expr]) -> Value:
        shifts = number_of(_argument(node, "shifts", rest, 0))
        dim = number_of(_argument(node, "dims", rest, 1))
        if value.is_hidden and shifts is not None and shifts < 0 and dim is not None and value.number(dim) == value.axis:
            self._note(node, "later positions are moved to earlier ones", True)
        return value

    def _joined(self, node: ast.Call, name: str, value: Value) -> Value:
        """``cat`` and ``pad``: positions that lost their first stand one place too early, if nothing is put before them."""
        if name == "pad":
            pads = [number_of(pad) for pad in _parts(node.args[1])] if len(node.args) > 1 else []
            place = None if value.rank is None or value.axis is None else 2 * (value.rank - 1 - value.axis)
            before, after = pads[place : place + 2] if place is not None and len(pads) >= place + 2 else (None, None)
            if value.dropped and value.is_hidden and before == 0 and after:
                self._note(node, "later positions are moved to earlier ones", True)
            return replace(value, dropped=False)
        parts = [self._read(part) for part in _parts(node.args[0])] if node.args else []
        first = parts[0] if parts else UNKNOWN
        dim = number_of(_argument(node, "dim", node.args[1:], 0))
        if first.axis is None or first.number(dim) != first.axis:
            return next((part for part in parts if part.axis is not None), UNKNOWN)
        if first.dropped and first.is_hidden and len(parts) > 1:
            self._note(node, "later positions are moved to earlier ones", True)
        return replace(first, dropped=False)

    def _convolution(self, node: ast.Call, made: ast.Call, value: Value) -> Value:
        padding = next((keyword.value for keyword in made.keywords if keyword.arg == "padding"), None)
        pads = number_of(padding)
        if padding is None or pads == 0:
            return replace(value, conv=None)
        same = (
            pads is not None
            or (isinstance(padding, ast.Constant) and padding.value == "same")
            or "//" in ast.unparse(padding)
        )
        self.padded[node] = True if same and value.axis == 2 else None
        return replace(value, conv=node)

    def _attention(self, node: ast.Call, name: str, given: list[Value]) -> Value:
        query = given[0] if given else UNKNOWN
        causal = next((keyword.value for keyword in node.keywords if keyword.arg in ("is_causal", "causal")), None)
        is_causal = False if causal is None else self.truth(causal, self.scope)
        masks = [keyword.value for keyword in node.keywords if keyword.arg in ("attn_mask", "block_mask", "score_mod")]
        masks += node.args[3:4] if name == "scaled_dot_product_attention" else []
        is_masked = any(not (isinstance(mask, ast.Constant) and mask.value is None) for mask in masks)
        if is_causal is True:
            self._note(node, "attention is causal", False)
        elif is_causal is None or is_masked or any(keyword.arg is None for keyword in node.keywords):
            self._note(node, "attention under a mask that is not read", None)
        else:
            self._note(node, *self._both_ways(name, query, given[1] if len(given) > 1 else UNKNOWN))
        return query

    def _both_ways(self, name: str, query: Value, key: Value) -> tuple[str, bool | None]:
        """What attention without a mask mixes: the positions of the window, another axis, or what is no window."""
        if query.axis is None or query.rank is None or key.axis is None:
            return "attention without a causal mask over an axis that is not told", None
        attended = 1 if name.startswith("flash") else query.rank - 2
        if query.axis == attended:
            return "attention without a causal mask sees later positions", True
        return "attention mixes another axis than the sequence", False

    # ---- small things ----

    def _dims(self, node: ast.Call, rest: list[ast.expr]) -> list[int]:
        named = [keyword.value for keyword in node.keywords if keyword.arg in ("dim", "dims", "axis")]
        parts = [part for given in (named or rest) for part in _parts(given)]
        return [number for part in parts if (number := number_of(part)) is not None]

    def _keyword(self, node: ast.Call, name: str) -> bool | None:
        given = next((keyword.value for keyword in node.keywords if keyword.arg == name), None)
        return None if given is None else self.truth(given, self.scope)

    def _note(self, node: ast.AST, what: str, sees_later: bool | None) -> None:
        place = self.scope.location_at(getattr(node, "lineno", None))
        self.found.append(Mixing(place, self.scope, node, what, sees_later))


def _is_self(function: ast.expr) -> bool:
    """Is it a submodule or method of the object: ``self.blocks[i]``?"""
    while isinstance(function, ast.Attribute | ast.Subscript):
        function = function.value
    return isinstance(function, ast.Name) and function.id == "self"


def _base(node: ast.Call) -> str:
    """The name of the tensor that a method, or a function of ``torch`` or ``F``, works on; empty if it has none."""
    base = node.func.value if isinstance(node.func, ast.Attribute) else None
    if isinstance(base, ast.Name) and base.id in ("torch", "F") and node.args:
        base = node.args[0]
    return base.id if isinstance(base, ast.Name) else ""


def _argument(node: ast.Call, name: str, rest: list[ast.expr], place: int) -> ast.expr | None:
    named = next((keyword.value for keyword in node.keywords if keyword.arg == name), None)
    return named if named is not None else rest[place] if place < len(rest) else None


def _parts(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple | ast.List) else [node]


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


def _on_axis(index: ast.expr, axis: int | None, rank: int | None = None) -> ast.expr | None:
    """The part of an index that stands on an axis."""
    parts = _parts(index)
    if axis is None:
        return None
    if parts and _is_ellipsis(parts[0]):
        place = None if rank is None else axis - rank
        return parts[place] if place is not None and -place < len(parts) else None
    return parts[axis] if axis < len(parts) else None


def _from(part: ast.Slice) -> int:
    """How many positions a slice leaves out at its beginning."""
    return max(number_of(part.lower) or 0, 0)


def _is_training(test: ast.expr) -> bool:
    """Is it true while training only?"""
    parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
    return any(isinstance(part, ast.Attribute) and part.attr == "training" for part in parts)
