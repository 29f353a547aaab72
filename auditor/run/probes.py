"""Prefix invariance: the script is run again with later validation tokens replaced, and no earlier loss may change.

This needs no idea of how an influence travels: whatever reaches a score from a token that comes later in the order of
evaluation changes the score's bits. The order is that of the reported sum, not of the stream: documents may be scored in
any order, each token by what was scored before. So the tokens that the headline's sum counts after a cut are replaced
(documents keep their beginnings and lengths), and for each reported line every loss that it counts before the first
replaced token must be the same, bit by bit. Clock, seeds, paths and threads are fixed, so that runs are comparable; where
something changed, one more run of the first stream shows that they are.

Not covered: influence that does not reach a loss at toy scale, or reaches only so few tokens ahead that no cut meets it;
scripts that behave otherwise when watched or when small.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from auditor.run.judge import ScoreLine, judge_lines
from auditor.run.session import Session
from auditor.run.trace import Trace, read_trace
from auditor.run.world import BOS_ID, World

CUTS = (0.02, 0.5, 0.9)
_SEED = 20260318
_OFFSET = 37  # tokens; a cut at the edge of a window or chunk misses what reaches ahead only inside of one
_NOT_REPEATED = "the script does not repeat itself on the same stream either"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One reported line under one cut.

    `num_compared` losses are counted before the first replaced token, `num_changed` of them differ; `first_changed` is the
    position of the first, `first_replaced` that of the first replaced token in the line's order. `problem` says why nothing
    could be compared.
    """

    cut: float
    text: str
    num_compared: int = 0
    num_changed: int = 0
    first_changed: int | None = None
    first_replaced: int | None = None
    largest_change: float = 0.0
    problem: str | None = None


def order_of(trace: Trace, line: ScoreLine) -> list[int]:
    """The positions of a reported score in the order of their first counting; within one sum, by position."""
    order: dict[int, None] = {}
    for number in line.sums or ():
        for position in sorted({trace.positions[each] for each in trace.sums[number].losses}):
            order.setdefault(position)
    return list(order)


def replace_after(order: Sequence[int], cut: float, world: World) -> tuple[list[int], set[int]]:
    """The validation stream with the tokens after a share of the order replaced, and which positions those are.

    Tokens that are never counted (the stream's tail) are replaced as well. Document beginnings stay.
    """
    tokens = world.validation()
    kept = set(order[: int(len(order) * cut) + _OFFSET])
    generator = random.Random(_SEED)
    replaced = {at for at, token in enumerate(tokens) if at > 0 and at not in kept and token != BOS_ID}
    for position in sorted(replaced):
        tokens[position] = generator.choice(world.unlike(tokens[position]))
    return tokens, replaced


def compare(trace: Trace, lines: Sequence[ScoreLine], other: Trace, others: Sequence[ScoreLine], cut: float,
            replaced: set[int]) -> Iterator[Comparison]:  # fmt: skip
    """Each reconciled result of the first run against the same line of the second."""
    for index, line in enumerate(lines):
        if line.sums is None or line.metric.progress:
            continue
        text = line.metric.text
        twin = others[index] if index < len(others) else None
        if twin is None or twin.metric.label != line.metric.label or twin.sums is None:
            yield Comparison(cut=cut, text=text, problem="the second run has no such reconciled line")
            continue
        yield _compare_line(_losses(trace, line), _losses(other, twin), order_of(trace, line), replaced, cut, text)


def _losses(trace: Trace, line: ScoreLine) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for number in line.sums or ():
        for loss, value in zip(trace.sums[number].losses, trace.sums[number].values, strict=True):
            found.setdefault(trace.positions[loss], []).append(value)
    return found


def _compare_line(first: dict[int, list[float]], second: dict[int, list[float]], order: Sequence[int], replaced: set[int],
                  cut: float, text: str) -> Comparison:  # fmt: skip
    before: list[int] = []
    stop = None
    for position in order:
        if position in replaced:
            stop = position
            break
        before.append(position)
    changed = [position for position in before if first[position] != second.get(position)]
    return Comparison(
        cut=cut,
        text=text,
        num_compared=len(before),
        num_changed=len(changed),
        first_changed=changed[0] if changed else None,
        first_replaced=stop,
        largest_change=max((_distance(first[each], second.get(each)) for each in changed), default=0.0),
    )


def _distance(first: Sequence[float], second: Sequence[float] | None) -> float:
    if second is None or len(first) != len(second):
        return float("inf")
    return max(abs(one - other) for one, other in zip(first, second, strict=True))


def prefix_invariance(
    session: Session, trace: Trace, lines: Sequence[ScoreLine], headline: ScoreLine, cuts: Sequence[float] = CUTS
) -> Iterator[Comparison]:
    """Run again for each cut and compare. `headline` decides what is replaced.

    The first change that is seen is held against one more run of the first stream: a script that does not repeat itself
    shows nothing.
    """
    order = order_of(trace, headline)
    unsteady: dict[str, str] | None = None
    for cut in cuts:
        tokens, replaced = replace_after(order, cut, session.world)
        found = _rerun(session, trace, lines, headline, tokens, cut, replaced)
        if unsteady is None and any(each.num_changed for each in found):
            control = _rerun(session, trace, lines, headline, session.world.validation(), cut, set())
            unsteady = {each.text: _NOT_REPEATED for each in control if each.num_changed or each.problem is not None}
        for each in found:
            problem = (unsteady or {}).get(each.text)
            yield each if problem is None else Comparison(cut=cut, text=each.text, problem=problem)


def _rerun(session: Session, trace: Trace, lines: Sequence[ScoreLine], headline: ScoreLine, tokens: Sequence[int],
           cut: float, replaced: set[int]) -> tuple[Comparison, ...]:  # fmt: skip
    outcome = session.run(tokens)
    if outcome.failure is not None:
        return (Comparison(cut=cut, text=headline.metric.text, problem=f"the second run: {outcome.failure}"),)
    other = read_trace(outcome.events, len(tokens))
    return tuple(compare(trace, lines, other, tuple(judge_lines(other, session.world, tokens)), cut, replaced))
