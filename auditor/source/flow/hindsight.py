"""Choices made in hindsight: losses of the same tokens are compared, and the comparison decides which of them counts.

A choice is remembered with the tokens whose losses decided it. What it decides carries it on, until these tokens are scored
with it; for later tokens it is memory, and no hindsight. Where a chosen loss is taken out before an exponential, as
log-sum-exp does to stay in range, the choice may cancel out: it is marked so, and a rule has to leave it open. Not
covered: choices by a sorted order, by a softmax over losses, and among whole passes over the split.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Sequence

from auditor.source.flow import values as v
from auditor.source.flow.recorder import Recorder

_CHOOSERS = frozenset({"minimum", "fmin", "min", "amin", "argmin", "sign", "heaviside"})
_PAIRWISE = frozenset({"minimum", "fmin"})


def of_comparison(left: v.Value, right: v.Value, node: ast.AST, recorder: Recorder) -> v.Numbers:
    """A comparison of losses with other losses of the same tokens, or with the infinity that a search begins with."""
    sides = [v.summary(side) for side in (left, right)]
    known = [side for side in sides if recorder.selects(side.losses)]
    searching = any(isinstance(side, v.Const) and side.value in (math.inf, -math.inf) for side in (left, right))
    return _choice(known, node, recorder) if len(known) == 2 or (known and searching) else v.NO_NUMBERS


def of_call(name: str, given: Sequence[v.Value], node: ast.AST, recorder: Recorder) -> v.Numbers:
    """The lowest of several losses of the same tokens, or the sign of what is computed from them."""
    tells = recorder.current if name in _PAIRWISE else recorder.selects
    known = [data for data in map(v.summary, given) if tells(data.losses)]
    alone = len(given) == 1 and name not in _PAIRWISE
    return _choice(known, node, recorder) if known and (alone or len(known) > 1) else v.NO_NUMBERS


def marked(result: v.Data, name: str, given: Sequence[v.Value], node: ast.AST, recorder: Recorder) -> v.Data:
    """The result of a tensor function or method, with the choice that it makes or takes out again."""
    if name in _CHOOSERS:
        operands = [value for value in given if not (isinstance(value, v.Const) and isinstance(value.value, int))]
        result.hindsight |= of_call(name, operands[:2], node, recorder)  # an integer is an axis
    elif name == "exp":
        recorder.cancelled |= result.hindsight
    return result


def of_key(by: v.Data, node: ast.AST, recorder: Recorder) -> v.Numbers:
    """A choice among candidates by a key; `by` is what the key gives for one of them."""
    return _choice([by], node, recorder) if recorder.selects(by.losses) else v.NO_NUMBERS


def _choice(losses: Iterable[v.Data], node: ast.AST, recorder: Recorder) -> v.Numbers:
    tokens = frozenset(region for data in losses for region in recorder.current(data.losses))
    return frozenset((recorder.choice(node, tokens),))
