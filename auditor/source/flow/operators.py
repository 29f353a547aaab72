"""Arithmetic, comparisons and logic on abstract values.

Constants are folded. Data keep what they depend on, and a few operations leave marks that rules ask for: bit operations
and remainders make a key a hash, a division of a score by token-derived counts makes it a score per byte, a token's log
probability divided over its bytes is `spread`, and a comparison of what a table says is a test of it.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from auditor.events import View, validation
from auditor.source.flow import values as v

_MAX_POWER = 4096
_LARGEST_SHIFT = 16  # ours: a larger constant is a length, not a shift against the stream
_FOLDED: Mapping[type[ast.operator], Callable[[Any, Any], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.Pow: operator.pow,
}
_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_HASHING = (ast.BitXor, ast.BitAnd, ast.Mod, ast.RShift)


def truth(value: v.Value) -> bool | None:
    """Whether a condition holds; None if it cannot be told."""
    match value:
        case v.Const():
            return bool(value.value)
        case v.Sequence():
            return bool(value.items) if value.exact else None
        case v.Mapping():
            return True if value.entries else None
        case v.Function() | v.Class() | v.Instance() | v.Optimizer() | v.File() | v.Method():
            return True
        case v.Choice():
            known = {truth(option) for option in value.options}
            return known.pop() if len(known) == 1 else None
        case _:
            return None


def negated(value: v.Value) -> v.Value:
    """``not value``."""
    known = truth(value)
    if known is None:
        data = v.summary(value)
        result = v.derived(data)
        result.by_token = data.by_token
        return result
    return v.Const(not known, switches_of(value))


def combined(left: v.Value, right: v.Value, op: ast.operator) -> v.Value:
    """``left op right``."""
    if isinstance(left, v.Const) and isinstance(right, v.Const):
        return _folded(left, right, op)
    if isinstance(op, ast.Add) and isinstance(left, v.Sequence) and isinstance(right, v.Sequence):
        return v.Sequence(left.items + right.items, left.exact and right.exact, left.is_tuple)
    if isinstance(op, ast.Mult) and isinstance(left, v.Sequence):
        count = right.value if isinstance(right, v.Const) else None
        if isinstance(count, int) and 0 <= count * len(left.items) <= 64:
            return v.Sequence(left.items * count, left.exact, left.is_tuple)
        return v.Sequence(list(left.items), False, left.is_tuple)
    if isinstance(left, v.File) and isinstance(op, ast.Div):
        return joined_path(left, right)
    if isinstance(op, ast.Mult) and v.Const(0) in (left, right) and any(_is_number(side) for side in (left, right)):
        return v.Const(0)  # rank 0 times anything
    return _data(v.summary(left), v.summary(right), left, right, op)


def joined_path(left: v.File, right: v.Value) -> v.File:
    """``path / name``."""
    name = str(right.value) if isinstance(right, v.Const) else right.path if isinstance(right, v.File) else "\0"
    return v.File(f"{left.path}/{name}", left.files)


def _is_table_word(left: v.Data, right: v.Data, op: ast.operator) -> bool:
    """Is the result, too, what a table says about the realised token: a share, a smoothed or a discounted count?"""
    if isinstance(op, ast.Add | ast.Sub):
        return (left.table_word or right.table_word) and not (left.losses or right.losses)  # else it is a mixture
    return (left.table_word and isinstance(op, ast.Div | ast.Mult)) or (right.table_word and isinstance(op, ast.Mult))


def _folded(left: v.Const, right: v.Const, op: ast.operator) -> v.Value:
    switches = left.switches | right.switches
    if isinstance(op, ast.Pow | ast.LShift) and not _is_small(right.value):
        return v.Data(switches=switches)
    try:
        result = _FOLDED[type(op)](left.value, right.value)
    except (TypeError, ValueError, ArithmeticError, KeyError):
        return v.Data(switches=switches)
    if isinstance(result, str | bytes | tuple | list) and len(result) > 100_000:
        return v.Data(switches=switches)
    return v.Const(result, switches)


def _is_number(value: v.Value) -> bool:
    return isinstance(value, v.Data) and v.is_plain(value) and not value.switches


def _is_small(number: object) -> bool:
    return isinstance(number, int | float) and abs(number) <= _MAX_POWER


def _data(left: v.Data, right: v.Data, first: v.Value, second: v.Value, op: ast.operator) -> v.Data:
    result = v.derived(left, right)
    result.mask = left.mask and right.mask
    result.rows = left.rows if isinstance(op, ast.Div) else left.rows | right.rows
    result.shift = _shift(left, right, first, second, op)
    result.table_word = _is_table_word(left, right, op)
    result.by_token = isinstance(op, ast.Add) and (left.by_token or right.by_token)
    result.is_length = left.is_length if isinstance(second, v.Const) else isinstance(op, ast.Sub) and result.shift is None
    if left.span or right.span:
        result.span = left.span or right.span
    if isinstance(op, _HASHING) and result.tokens and not result.mask:
        result.hashed = result.tokens
    if isinstance(op, ast.Div | ast.Mult):
        _mark_quotients(result, left, right, op)
    return result


def _mark_quotients(result: v.Data, left: v.Data, right: v.Data, op: ast.operator) -> None:
    for score, other in ((left, right), (right, left)):
        if score.scores and other.tokens and not other.scores:
            result.per_byte = True
        if isinstance(op, ast.Div) and score is left and score.losses and _is_length(other):
            result.spread = True


def _is_length(data: v.Data) -> bool:
    """A count that the tokens decide (their bytes), which is no loss, no model output and no table's word."""
    return bool(data.tokens) and not (data.losses or data.stores or data.lookups)


def _shift(left: v.Data, right: v.Data, first: v.Value, second: v.Value, op: ast.operator) -> int | None:
    """How far a position stands from where it was: constants add up, a width that is taken off leads behind."""
    if isinstance(op, ast.Add):
        known = [_offset(part, value) for part, value in ((left, first), (right, second))]
        told = [shift for shift in known if shift is not None]
        return sum(told) if told else None
    if isinstance(op, ast.Sub) and not left.is_length:
        number = _offset(right, second)
        if isinstance(second, v.Const):
            behind = None if left.shift is None else -1
            return behind if number is None else (left.shift or 0) - number
        return None if _is_distance(left, right) and not (left.all_of and not right.all_of) else -1
    return None


def _offset(data: v.Data, value: v.Value) -> int | None:
    if isinstance(value, v.Const):
        number = value.value
        small = isinstance(number, int) and not isinstance(number, bool) and abs(number) <= _LARGEST_SHIFT
        return number if small and isinstance(number, int) else None
    return None if data.is_length else data.shift


def _is_distance(left: v.Data, right: v.Data) -> bool:
    """The difference of two positions: the right one moves with every turn that the left one moves with."""
    return left.turns <= right.turns and right.shift is None


def compared(left: v.Value, right: v.Value, op: ast.cmpop) -> v.Value:
    """``left op right`` for one comparison."""
    if isinstance(op, ast.Is | ast.IsNot):
        known = _is_same(left, right)
        if known is not None:
            return v.Const(known is isinstance(op, ast.Is), switches_of(left) | switches_of(right))
    elif isinstance(left, v.Const) and isinstance(right, v.Const):
        try:
            return v.Const(bool(_COMPARED[type(op)](left.value, right.value)), left.switches | right.switches)
        except (TypeError, ValueError):
            pass
    elif isinstance(op, ast.In | ast.NotIn) and isinstance(right, v.Sequence | v.Mapping):
        found = _contains(right, left)
        if found is not None:
            return v.Const(found is isinstance(op, ast.In))
    result = _test_of(v.summary(left), v.summary(right))
    result.hit = isinstance(op, ast.Eq | ast.NotEq) and _compares_target(left, right)
    result.judged = isinstance(op, _ORDERS) and any(_tells_losses(v.summary(side)) for side in (left, right))
    return result


def _compares_target(left: v.Value, right: v.Value) -> bool:
    """Is the token being predicted held against another one that is not constant?"""
    sides = [side for side in (left, right) if not isinstance(side, v.Const)]
    views = [{region.view for region in validation(v.summary(side).tokens)} for side in sides]
    return len(sides) == 2 and any(View.TARGET in found for found in views)


def _tells_losses(data: v.Data) -> bool:
    return bool(data.scores or validation(data.losses))


def _test_of(left: v.Data, right: v.Data) -> v.Data:
    """A mask: it tells which turns, settings and gates it depends on; which tokens it tests is no dependence of note."""
    result = v.derived(left, right)
    result.mask = True
    result.tokens, result.losses, result.scores, result.stores = v.NO_REGIONS, v.NO_REGIONS, v.NO_NUMBERS, v.NO_STORES
    result.weights = result.per_byte = result.spread = False
    result.hashed = v.NO_REGIONS
    return result


def switches_of(value: v.Value) -> frozenset[str]:
    """The settings that a value was read from."""
    return value.switches if isinstance(value, v.Const | v.Data) else frozenset()


def _is_same(left: v.Value, right: v.Value) -> bool | None:
    """``left is right`` where `right` is None or another constant; None if it cannot be told."""
    if isinstance(left, v.Choice):
        known = {_is_same(option, right) for option in left.options}
        return known.pop() if len(known) == 1 else None
    if isinstance(left, v.Const) and isinstance(right, v.Const):
        return left.value is right.value or (left.value == right.value and type(left.value) is type(right.value))
    if isinstance(right, v.Const) and right.value is None:
        if isinstance(left, v.Data) and left.optional:
            return None
        if isinstance(left, v.Data):
            return False if (left.tokens or left.stores or left.losses or left.scores or left.turns) else None
        return False
    return None


def _contains(container: v.Sequence | v.Mapping, item: v.Value) -> bool | None:
    if not isinstance(item, v.Const):
        return None
    if isinstance(container, v.Mapping):
        if item.value in container.entries:
            return True
        return None if container.others or container.rest.table else False
    if not container.exact or not all(isinstance(known, v.Const) for known in container.items):
        return None
    return any(isinstance(known, v.Const) and known.value == item.value for known in container.items)
