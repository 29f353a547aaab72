"""Validation streams for probes: the same documents with other tokens in some places, and one of a known random source.

A replacement differs from what it replaces in kind (begins a word or does not) and lies in the other half of the
vocabulary, so that what depends on a token's class moves too. Documents keep their beginnings and lengths.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from auditor.run.judge import ScoreLine
from auditor.run.trace import Trace
from auditor.run.world import BOS_ID, SPECIAL, World

_SEED = 20260318
_INSIDE = 37  # tokens; a cut at the edge of a window or chunk misses what reaches ahead only inside of one
_APART = 97  # tokens between targets that are replaced at once; prime, to meet every place of a window
_COPIED = 0.4  # share of steps that repeat what followed a token before
KINDS = ("inside", "boundary", "past")


def order_of(trace: Trace, line: ScoreLine) -> list[int]:
    """The positions of a reported score in the order of their first counting; within one sum, by position.

    Sums of several ranks come in no order of their own: then it is the order of scoring.
    """
    order: dict[int, None] = {}
    if trace.num_ranks > 1:
        losses = sorted(trace.losses_of(line.behind), key=lambda each: (trace.scored_at[each], trace.positions[each]))
        return list(dict.fromkeys(trace.positions[each] for each in losses))
    for number in line.behind:
        for position in sorted({trace.positions[each] for each in trace.sums[number].losses}):
            order.setdefault(position)
    return list(order)


def independent_of(trace: Trace, line: ScoreLine, replaced: AbstractSet[int]) -> set[int]:
    """The positions of a score that replaced tokens may not reach, as far as ranks go.

    A token that stands earlier in the stream may be scored later by another rank, and yet be read: positions with such a
    token before them are left out.
    """
    if trace.num_ranks == 1:
        return {trace.positions[each] for each in trace.losses_of(line.behind)}
    rank_of = {trace.positions[each]: trace.ranks[trace.scored_at[each]] for each in trace.losses_of(line.behind)}
    found: set[int] = set()
    seen: set[int] = set()
    for position in sorted(rank_of.keys() | replaced):
        if position in rank_of and seen <= {rank_of[position]}:
            found.add(position)
        if position in replaced:
            seen.add(rank_of.get(position, -1))
    return found


def boundaries(trace: Trace, line: ScoreLine) -> list[int]:
    """Where in the order of a score something begins: a window, a document, a batch, or scores after an update."""
    scored_at: dict[int, int] = {}
    for loss in trace.losses_of(line.behind):
        scored_at.setdefault(trace.positions[loss], trace.scored_at[loss])
    order = order_of(trace, line)
    pairs = itertools.pairwise(order)
    return [index + 1 for index, (one, two) in enumerate(pairs) if two != one + 1 or scored_at[one] != scored_at[two]]


def cut_points(size: int, edges: Sequence[int], cuts: Sequence[float]) -> list[int]:
    """For each share of an order of so many positions how many are kept: inside of something, at an edge, one past it."""
    points = []
    for index, cut in enumerate(cuts):
        kind = KINDS[index % len(KINDS)]
        kept = int(size * cut)
        edge = next((each for each in edges if each >= kept), kept)
        points.append({"inside": kept + _INSIDE, "boundary": edge, "past": edge + 1}[kind])
    return [max(1, min(point, size - 1)) for point in points]


def replace_after(order: Sequence[int], num_kept: int, world: World) -> tuple[list[int], set[int]]:
    """The validation stream with the tokens replaced that an order holds after its first, and which positions those are.

    Tokens that are never counted (the stream's tail) are replaced as well.
    """
    kept = set(order[:num_kept])
    tokens = world.validation()
    return _replaced(tokens, [at for at in range(1, len(tokens)) if at not in kept], world)


def replace_apart(order: Sequence[int], world: World) -> tuple[list[int], set[int]]:
    """The validation stream with single counted tokens replaced that are far apart, and which positions those are."""
    counted = set(order)
    tokens = world.validation()
    return _replaced(tokens, [at for at in range(_APART, len(tokens), _APART) if at in counted], world)


def _replaced(tokens: list[int], positions: Sequence[int], world: World) -> tuple[list[int], set[int]]:
    generator = random.Random(_SEED)
    replaced = {at for at in positions if tokens[at] != BOS_ID}
    for position in sorted(replaced):
        tokens[position] = generator.choice(world.unlike(tokens[position]))
    return tokens, replaced


def coded_stream(world: World) -> tuple[list[int], list[float]]:
    """A validation stream drawn from a known source, and the negative logarithm of the probability of each token, in nats.

    Tokens are uniform; in the second half a token that occurred in the first is followed, with a probability of `_COPIED`,
    by what followed it there. Predictors that assign probabilities from the past alone cannot, on average, give these
    tokens more probability than the source does: the chance to save s nats in all is at most exp(-s).
    """
    generator = random.Random(_SEED)
    tokens = world.validation()
    first, size, half = len(SPECIAL), world.vocab_size - len(SPECIAL), len(tokens) // 2
    follower: dict[int, int] = {}
    costs = [0.0] * len(tokens)
    for at in range(1, len(tokens)):
        before = tokens[at - 1]
        if tokens[at] == BOS_ID:
            continue
        habit = follower.get(before) if at > half else None
        tokens[at] = first + generator.randrange(size)
        if habit is not None and generator.random() < _COPIED:
            tokens[at] = habit
        share = (1 - _COPIED if habit is not None else 1.0) / size + _COPIED * (habit == tokens[at])
        costs[at] = -math.log(share)
        if at <= half and before != BOS_ID:
            follower.setdefault(before, tokens[at])
    return tokens, costs
