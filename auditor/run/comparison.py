"""What two runs of a script, of which one had something replaced, say about each reported line.

Pure functions of recorded traces; which runs there are is the business of `probes`, whose docstring says what each
comparison means. Not covered: whether a script repeats itself at all, which the prober asks first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from auditor.run.judge import ScoreLine, results
from auditor.run.series import Series
from auditor.run.streams import independent_of, order_of
from auditor.run.trace import Place, Trace

_FEWEST = 3  # replaced tokens that a finding rests on
_DEVIATIONS = 5  # standard ones, of a number of rare events
_ABOVE_ONE = 0.05  # what a distribution adds up to; its logarithms rounded to bfloat16 stay below
_UNCORRECTED = 1e-5  # nats; rounding of float32 losses
_CHANCE_NATS = 40.0  # exp(-40): never by chance
_UNFOLLOWED_NATS = 0.01  # per token, where it is not known which tokens a printed mean counts
_MOST = 0.5  # of the losses before a cut, that can be compared
_SIDE_BY_SIDE = "ranks score side by side, so that most losses before the cut may depend on tokens after it"
_NO_ORDER = "no variable holds the tokens or bytes in turn, so which number belongs to which is not known"
OWN_DISTRIBUTION = "the distribution that a replaced token is scored with is another one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One reported line under one probe. Something was found if `num_changed` is positive.

    suffix: `num_compared` losses are counted before the first replaced token, `num_changed` of them differ or are of
    another distribution; `first_changed` is the position of the first, `first_replaced` that of the first replaced token
    in the line's order, which counts as changed if its distribution is another one; `largest_change` is in nats. target:
    of so many replaced tokens, for how many it depends on the token whether its loss was corrected, or else of how many
    the distribution is another one, though that of the token before is not. mass: of so many losses, how many were picked
    from what adds up to more than one; `largest_change` is the excess. bound: tokens, all of them changed if they cost
    less than they can; `largest_change` is what was saved, in nats per token. artifact: losses that were scored after the
    files were put back. `problem` says why nothing could be compared, `detail` what was found, in words.
    """

    cut: float
    text: str
    probe: str = "suffix"
    num_compared: int = 0
    num_changed: int = 0
    first_changed: int | None = None
    first_replaced: int | None = None
    largest_change: float = 0.0
    problem: str | None = None
    detail: str | None = None

    @property
    def is_own_distribution(self) -> bool:
        """Did nothing change but the distributions that replaced tokens themselves are scored with?"""
        return self.detail == OWN_DISTRIBUTION


def compare_masses(trace: Trace, lines: Sequence[ScoreLine]) -> Iterator[Comparison]:
    """Whether what each line's losses were picked from adds up to more than one; only where the script made it."""
    yield from (found for line in results(lines) if (found := _compare_masses(trace, line)).num_compared)


def _scored(trace: Trace, line: ScoreLine) -> dict[int, list[tuple[float, int | None]]]:
    """For each position that a line counts its losses as counted, with the checksums of their distributions."""
    found: dict[int, list[tuple[float, int | None]]] = {}
    for loss, value in trace.counted(line.behind):
        found.setdefault(trace.positions[loss], []).append((value, trace.rows[loss]))
    return found


def compare_prefix(trace: Trace, line: ScoreLine, other: Trace, twin: ScoreLine, replaced: set[int],
                   cut: float) -> Comparison:  # fmt: skip
    """Suffix: the losses that a line counts before the first `replaced` position, and that position's distribution."""
    first, second = _scored(trace, line), _scored(other, twin)
    order, independent = order_of(trace, line), independent_of(trace, line, replaced)
    stop = next((index for index, position in enumerate(order) if position in replaced), len(order))
    before = [position for position in order[:stop] if position in independent]
    if len(before) < stop * _MOST:
        return Comparison(cut=cut, text=line.metric.text, problem=_SIDE_BY_SIDE)
    changed = [position for position in before if first[position] != second.get(position)]
    largest = max((_distance(first[each], second.get(each, [])) for each in changed), default=0.0)
    if math.isinf(largest):
        return Comparison(cut=cut, text=line.metric.text, problem="the second run counts other losses in this line")
    stopped = order[stop] if stop < len(order) and order[stop] in independent else None
    detail = None
    if not changed and stopped is not None and _rows(first[stopped]) != _rows(second.get(stopped, [])):
        changed, detail = [stopped], OWN_DISTRIBUTION
    return Comparison(
        cut=cut,
        text=line.metric.text,
        num_compared=len(before),
        num_changed=len(changed),
        first_changed=changed[0] if changed else None,
        first_replaced=stopped,
        largest_change=largest,
        detail=detail,
    )


def places_of(trace: Trace, line: ScoreLine) -> set[Place | None]:
    """Where the script sums what a line is made of."""
    return {trace.sums[number].place for number in line.sums or ()}


def losses_until(trace: Trace, line: ScoreLine, position: int) -> dict[int, list[float]]:
    """The losses before a position that plain numbers may be made of: they left, or were summed without autograd."""
    found: dict[int, list[float]] = {}
    left = set(line.behind)
    for number, each in enumerate(trace.sums):
        for loss in each.losses if each.at < line.at else ():
            at = trace.positions[loss]
            if at < position and (number in left or not trace.with_gradient[loss]):
                found.setdefault(at, []).append(trace.values[loss])
    return found


def compare_costs(text: str, first: Series, second: Series, replaced: int, spelled: Sequence[bytes],
                  cut: float) -> Comparison:  # fmt: skip
    """Suffix: the plain numbers, in nats, that stand for what comes before the position `replaced`."""
    if not (first.is_ordered and second.is_ordered) or (first.unit, first.first) != (second.unit, second.first):
        return Comparison(cut=cut, text=text, problem=_NO_ORDER)
    pairs = list(zip(first.costs, second.costs, strict=False))[: first.index_of(replaced, spelled)]
    changed = [index for index, (one, other) in enumerate(pairs) if one != other]
    return Comparison(
        cut=cut,
        text=text,
        num_compared=len(pairs),
        num_changed=len(changed),
        first_changed=first.position_of(changed[0], spelled) if changed else None,
        first_replaced=replaced,
        largest_change=max((abs(pairs[index][0] - pairs[index][1]) for index in changed), default=0.0),
        detail=f"of the numbers that the script adds up, one for each of its {first.unit}" if changed else None,
    )


def _rows(scored: Sequence[tuple[float, int | None]]) -> list[int | None]:
    return [row for _, row in scored]


def _distance(first: Sequence[tuple[float, object]], second: Sequence[tuple[float, object]]) -> float:
    if len(first) != len(second):
        return float("inf")
    return max(abs(one - other) for (one, _), (other, _) in zip(first, second, strict=True))


def compare_corrections(trace: Trace, line: ScoreLine, other: Trace, twin: ScoreLine, replaced: set[int]) -> Comparison:
    """Target: whether losses were corrected, and else the distributions, of the `replaced` tokens themselves."""
    first, second = _corrected(trace, line), _corrected(other, twin)
    both = first.keys() & second.keys()
    asked = [position for position in order_of(trace, line) if position in both & replaced]
    changed = _telling(asked, {position for position in both if first[position] != second[position]}, both)
    detail = "whether a loss is corrected depends on the token that it is the loss of"
    if not changed:
        changed, detail = _other_distributions(trace, line, other, twin, asked), OWN_DISTRIBUTION
    return Comparison(
        cut=0.0,
        text=line.metric.text,
        probe="target",
        num_compared=len(asked),
        num_changed=len(changed),
        first_changed=changed[0] if changed else None,
        first_replaced=asked[0] if asked else None,
        detail=detail if changed else None,
    )


def _telling(asked: Sequence[int], changed: set[int], among: AbstractSet[int]) -> list[int]:
    """The asked positions that changed, if they are more than what comes from the tokens before explains."""
    found, usual = _asked_and_usual(asked, changed, among)
    return found if len(found) >= _FEWEST and len(found) > 4 * usual else []


def _asked_and_usual(asked: Sequence[int], changed: set[int], among: AbstractSet[int]) -> tuple[list[int], float]:
    """The asked positions that changed, and how many would have, changed they as often as the others."""
    rate = len(changed.difference(asked)) / max(len(among) - len(asked), 1)
    return [position for position in asked if position in changed], rate * len(asked)


def _other_distributions(trace: Trace, line: ScoreLine, other: Trace, twin: ScoreLine, asked: Sequence[int]) -> list[int]:
    """The replaced tokens that are scored with another distribution.

    The first one's must be the same. Later ones follow replaced tokens, so those count whose neighbour before is unchanged,
    and a cache may still bring an earlier replacement to some of them: their number must be beyond chance.
    """
    first, second = _scored(trace, line), _scored(other, twin)
    differs = {position: _rows(scored) != _rows(second.get(position, [])) for position, scored in first.items()}
    if asked and differs[asked[0]]:
        return [asked[0]]
    changed = {position for position, is_other in differs.items() if is_other and not differs.get(position - 1, True)}
    found, usual = _asked_and_usual(asked, changed, differs.keys())
    return found if len(found) > usual + _DEVIATIONS * math.sqrt(usual + 1) else []


def _corrected(trace: Trace, line: ScoreLine) -> dict[int, bool]:
    """For each position whether what was counted for it is not what the model gave."""
    found: dict[int, bool] = {}
    for loss, value in trace.counted(line.behind):
        found.setdefault(trace.positions[loss], abs(value - trace.values[loss]) > _UNCORRECTED)
    return found


def _compare_masses(trace: Trace, line: ScoreLine) -> Comparison:
    """Losses that were counted as they were picked, by what they were picked from adds up to."""
    excess = {
        trace.positions[loss]: mass - 1
        for loss, value in trace.counted(line.sums or ())
        if (mass := trace.masses[loss]) is not None and abs(value - trace.values[loss]) <= _UNCORRECTED
    }
    above = [position for position, each in excess.items() if each > _ABOVE_ONE]
    largest = max(excess.values(), default=0.0)
    return Comparison(
        cut=0.0,
        text=line.metric.text,
        probe="mass",
        num_compared=len(excess),
        num_changed=len(above),
        first_changed=above[0] if above else None,
        largest_change=largest if above else 0.0,
        detail=f"what a token's probability was taken from adds up to {1 + largest:.4f}" if above else None,
    )


def compare_bound(trace: Trace, line: ScoreLine, costs: Sequence[float], num_bytes: int) -> Comparison:
    """Bound: what a line's tokens cost against `costs`, the least nats of each; `num_bytes` are those of the stream."""
    if line.sums is not None:
        counted = list(trace.counted(line.sums))
        count = len(counted)
        spent = sum(value for _, value in counted)
        least = sum(costs[trace.positions[loss]] for loss, _ in counted) - _CHANCE_NATS
    else:
        count = len(costs) - 1
        by_bytes = line.metric.val_bpb * math.log(2) * num_bytes
        spent = by_bytes if line.metric.val_loss is None else line.metric.val_loss * count
        least = sum(costs) - _CHANCE_NATS - _UNFOLLOWED_NATS * count
    saved = (least - spent) / count
    impossible = (
        f"{spent / count:.4f} nats a token, where no normalised prediction from the past gets below {least / count:.4f}"
    )
    return Comparison(
        cut=0.0,
        text=line.metric.text,
        probe="bound",
        num_compared=count,
        num_changed=count if saved > 0 else 0,
        largest_change=max(saved, 0.0),
        detail=impossible if saved > 0 else None,
    )
