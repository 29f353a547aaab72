"""What an index or a slice selects: tokens by loop turn, input and target views, positions within a window, table entries.

Views are told apart by the shift against the stream: ``chunk[:-1]`` are inputs, ``chunk[1:]`` targets; a position array
that starts one later points at targets, one that reaches back by a width at inputs. An index that depends on tokens
asks a table, if tokens were written into it, or a fixed lookup array."""

from __future__ import annotations

import ast
from dataclasses import replace

from auditor.events import Region, Role, Span, Turn, View, holds_target, validation
from auditor.source.flow import values as v
from auditor.source.flow.recorder import Recorder

Limits = tuple[str | None, str | None]


def with_turns(region: Region, turns: frozenset[Turn]) -> Region:
    """The part of a region that a turn selects; turns of loops that already select it stay."""
    if region.role is not Role.VALIDATION:
        return region
    known = {loop for loop, _ in region.turns}
    latest = dict(sorted(turns))  # a value that is carried from turn to turn counts for the last
    new = frozenset(turn for turn in latest.items() if turn[0] not in known)
    return Region(region.role, region.view, region.turns | new, region.span) if new else region  # no piece any more


def turned(value: v.Value, turns: frozenset[Turn]) -> v.Value:
    """One element of a container, selected by `turns`."""
    if not turns:
        return value
    match value:
        case v.Data():
            return view_of(value, turns)
        case v.Sequence():
            base = None if value.is_tuple else value
            return v.Sequence([turned(item, turns) for item in value.items], value.exact, value.is_tuple, turns, base)
        case v.Const() if isinstance(value.value, int | float) and not isinstance(value.value, bool):
            return v.Data(turns=turns, switches=value.switches)
        case v.Choice():
            return v.choice([turned(option, turns) for option in value.options])
        case _:
            return value


def view_of(data: v.Data, turns: frozenset[Turn]) -> v.Data:
    """A view of a tensor: reads what is known now, writes through."""
    result = v.derived(data)
    result.base, result.alias, result.table = data, data.alias, data.table
    result.mask, result.shift, result.span = data.mask, data.shift, data.span
    result.table_word, result.counted, result.by_token = data.table_word, data.counted, data.by_token
    result.rows = data.rows
    result.peeks = data.peeks
    if turns:
        known = {loop for loop, _ in data.turns}
        result.turns = data.turns | frozenset(turn for turn in turns if turn[0] not in known)
        result.tokens = frozenset(with_turns(region, turns) for region in data.tokens)
        result.losses = frozenset(with_turns(region, turns) for region in data.losses)
    return result


def select(data: v.Data, index: v.Value, node: ast.expr, recorder: Recorder) -> v.Data:
    """``data[index]``; `node` is the syntax of the index."""
    key = v.summary(index)
    result = view_of(data, key.turns)
    if index == v.NONE:
        result.index = data.index  # another axis, the same positions
    if not data.hashed and _set_view(result, index, node) is View.TARGET:  # a key stands where its tokens stood
        result.gates |= data.tests
    if not key.turns and _is_fixed(index, node):
        result.tokens = frozenset(_piece(region) for region in result.tokens)
    limits = limits_of_index(node)
    in_window = data.losses or any(region.view is not View.STREAM for region in data.tokens)
    if limits is not None and (isinstance(node, ast.Tuple) or in_window):
        result.span = limits
        result.tokens = _within(result.tokens, limits)
        result.losses = _within(result.losses, limits)
    if key.tokens or key.mask:
        result.base = None  # indexing by a tensor copies
    if key.tokens and not key.mask:
        if isinstance(node, ast.Tuple) and validation(key.tokens) and not key.stores and _is_row_of_predictions(data):
            result.losses = key.tokens  # position by position, what was predicted for the token
        recorder.pick(data.rows)
        ask(result, data, key, node, recorder)
    if key.mask and key.span:
        result.tokens, result.losses = _within(result.tokens, key.span), _within(result.losses, key.span)
    result.gates |= key.gates
    result.hindsight |= key.hindsight
    result.native |= key.native
    return result


def _piece(region: Region) -> Region:
    """Of the whole validation stream, the positions that the script's text fixes."""
    if region.role is not Role.VALIDATION or region.turns:
        return region
    return replace(region, is_piece=True)


def _is_fixed(index: v.Value, node: ast.expr) -> bool:
    """Does an index name a piece of the stream by a constant: a slice that ends there, positions counted from zero?"""
    if isinstance(node, ast.Slice) and isinstance(index, v.Sequence) and len(index.items) > 1:
        end = index.items[1]
        return isinstance(end, v.Const) and isinstance(end.value, int) and end.value > 0
    return isinstance(index, v.Data) and index.index is not None and index.index.loop == v.POSITIONS


def ask(result: v.Data, table: v.Data, key: v.Data, node: ast.AST, recorder: Recorder) -> None:
    """`result` is what a table (or a fixed array) says under a key that depends on tokens."""
    for loop in recorder.loops:
        loop.used = True  # what is empty in the first turn may have been filled by the next
    result.rows = v.NO_NUMBERS
    is_counted = table.table or _is_count_under(table, key)
    if key.hashed and not is_counted:
        return  # nothing has been counted yet
    v.merge_into(result, key)
    result.hashed, result.all_of = v.NO_REGIONS, False
    if not is_counted:
        result.by_token = True
        if key.by_token:  # a flat array, entered where another says that the token's part begins
            result.of_bytes = True
            recorder.spells(key.turns, key.tokens)
        return
    result.influences = recorder.met(table.influences, key.tokens, key.of_bytes) | (result.influences - table.influences)
    if key.of_bytes:
        result.spelled |= recorder.spelled(table.influences, key.tokens)
    by_target = holds_target(recorder.current(key.tokens))
    name = table.name or (table.base.name if table.base else None) or "table"
    number = recorder.lookup(node, name, key, by_target)
    result.lookups |= {number}
    result.table_word = by_target
    if key.hashed and not by_target:
        result.rows = frozenset((number,))


def _is_row_of_predictions(data: v.Data) -> bool:
    """Is this what a network computed from tokens, before the realised one is looked at?"""
    return bool(data.stores and data.tokens) and data.alias is None and not (data.losses or data.scores)


def _is_count_under(table: v.Data, key: v.Data) -> bool:
    """Is an array that nothing here has counted into asked under a hash of context and target: counts from a file?"""
    return (
        holds_target(key.hashed)
        and len({region.view for region in validation(key.hashed)}) > 1
        and table.alias is None
        and not table.tokens
    )


def keyed(value: v.Value, key: v.Data, recorder: Recorder) -> v.Value:
    """What a table of tables holds under a key: of its updates, those that used the tokens that the key selects now."""
    if not (isinstance(value, v.Mapping) and key.tokens):
        return value
    rest = view_of(value.rest, v.NO_TURNS)
    rest.influences = recorder.met(value.rest.influences, key.tokens, key.of_bytes)
    if key.of_bytes:
        rest.spelled |= recorder.spelled(value.rest.influences, key.tokens)
    return v.Mapping(value.entries, rest, value.others)


def _within(regions: v.Regions, limits: Limits) -> v.Regions:
    span = Span(*limits)
    return frozenset(replace(region, span=region.span or span) for region in regions)


def _set_view(result: v.Data, index: v.Value, node: ast.expr) -> View | None:
    """Inputs or targets, from the last axis of a slice or from a position array."""
    last = node.elts[-1] if isinstance(node, ast.Tuple) and node.elts else node
    value = index.items[-1] if isinstance(index, v.Sequence) and index.items and isinstance(node, ast.Tuple) else index
    if isinstance(last, ast.Slice):
        view = _view_of_slice(last, value)
    else:
        shift = value.shift if isinstance(value, v.Data) else None
        view = None if not shift else View.TARGET if shift >= 1 else View.INPUT
    if view is not None:
        result.tokens = frozenset(
            replace(region, view=view)
            if region.view is View.STREAM or (view is View.TARGET and isinstance(last, ast.Slice))
            else region
            for region in result.tokens
        )
    return view


def _view_of_slice(node: ast.Slice, value: v.Value) -> View | None:
    bounds = value.items if isinstance(value, v.Sequence) else [v.NONE, v.NONE]
    lower, upper = bounds[0], bounds[1] if len(bounds) > 1 else v.NONE
    if isinstance(lower, v.Const) and lower.value == 1 and not isinstance(lower.value, bool):
        return View.TARGET
    if isinstance(lower, v.Data) and lower.shift is not None and lower.turns:
        return View.TARGET if lower.shift >= 1 else View.INPUT if lower.shift < 0 else None
    if isinstance(upper, v.Const) and upper.value == -1 and _is_open(lower):
        return View.INPUT
    return None


def _is_open(bound: v.Value) -> bool:
    return isinstance(bound, v.Const) and bound.value in (None, 0)


def limits_of_index(node: ast.expr) -> Limits | None:
    """The bounds on the last axis as text, where that axis is sliced by more than a constant shift."""
    last = node.elts[-1] if isinstance(node, ast.Tuple) and node.elts else node
    if isinstance(node, ast.Tuple) and not isinstance(last, ast.Slice):
        slices = [element for element in node.elts if isinstance(element, ast.Slice) and (element.lower or element.upper)]
        last = slices[-1] if slices else last
    if not isinstance(last, ast.Slice) or last.step is not None:
        return None
    low = None if last.lower is None or _is_number(last.lower) else ast.unparse(last.lower)
    high = None if last.upper is None or _is_number(last.upper) else ast.unparse(last.upper)
    return None if low is None and high is None else (low, high)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant))


def token_data(role: Role) -> v.Data:
    """The whole stream of tokens of a role."""
    return v.Data(tokens=frozenset((Region(role),)))
