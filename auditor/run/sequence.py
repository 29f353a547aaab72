"""In which order validation tokens were scored and trained on: the turns of a run, its chunks, and a picture of them.

Scores and gradients alternate. Neighbouring events of one kind are one turn; a chunk is what a turn of training uses for
the first time. For a picture, turns are joined until few are left, but never so that an offence seems to come before its
cause.

Not covered: states that were put back in between (their training is a turn like any other, and offends nobody).
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import pairwise

from auditor.finding import Basis, Location
from auditor.run.facts import Chunk
from auditor.run.trace import Place, Step, Trace
from auditor.timeline import Action, Timeline
from auditor.timeline import Step as Row

_MAX_ROWS = 60  # of a picture; ours: more are not read
_MAX_SPANS = 64  # of a row
_DECODED = "!decoded"  # as the source analysis names what a packed script runs
_NO_GROUP = -1


@dataclass(slots=True)
class Turn:
    """Neighbouring scores of one `group` (a reported line), or neighbouring gradients, from event `begin` to `end`.

    `early` are the positions that had been trained on before, `num_events` the scores or the backward passes.
    """

    action: Action
    group: int
    begin: int
    end: int
    positions: set[int] = field(default_factory=set)
    early: set[int] = field(default_factory=set)
    num_events: int = 0
    with_gradient: bool = False
    place: Place | None = None
    ranks: set[int] = field(default_factory=set)


def turns_of(trace: Trace, groups: Mapping[int, int], excused: AbstractSet[int] = frozenset()) -> list[Turn]:
    """Turns of the losses in `groups` (their numbers, with the group of each) and of all gradients, in order of time.

    Training on the positions `excused` before their score is no offence (document beginnings are all the same token).
    """
    turns: list[Turn] = []
    for at, group, index in _events(trace, groups):
        action = Action.TRAIN if group == _NO_GROUP else Action.SCORE
        if not turns or turns[-1].group != group:
            turns.append(Turn(action, group, at, at))
        turn = turns[-1]
        turn.end = at
        turn.ranks.add(trace.ranks[at])
        turn.num_events += 1
        if action is Action.SCORE:
            _add_score(trace, turn, index, excused)
        else:
            turn.positions.update(trace.gradients[index].positions)
            turn.place = trace.gradients[index].place
    return turns


def _events(trace: Trace, groups: Mapping[int, int]) -> Iterator[tuple[int, int, int]]:
    scores = ((trace.scored_at[number], group, number) for number, group in groups.items())
    gradients = ((each.at, _NO_GROUP, index) for index, each in enumerate(trace.gradients))
    yield from sorted((*scores, *gradients))


def _add_score(trace: Trace, turn: Turn, number: int, excused: AbstractSet[int]) -> None:
    position = trace.positions[number]
    turn.positions.add(position)
    turn.with_gradient |= trace.with_gradient[number]
    turn.place = trace.summed_in.get(number, turn.place)
    if trace.own[number] and position not in excused:
        turn.early.add(position)


def chunks_of(trace: Trace, losses: Sequence[int], trained: Mapping[int, Sequence[int]]) -> tuple[Chunk, ...]:
    """What each turn of training uses for the first time, where it alternates with the scoring of these losses.

    `trained` are the events of the gradients of each position (`gradients_by_position`).
    """
    turns = turns_of(trace, dict.fromkeys(losses, 0))
    scores = [index for index, turn in enumerate(turns) if turn.action is Action.SCORE]
    if not scores or scores[-1] - scores[0] < 2:  # nothing was trained on in between
        return ()
    scored: dict[int, tuple[int, bool]] = {}
    for number in losses:
        scored.setdefault(trace.positions[number], (trace.scored_at[number], trace.with_gradient[number]))
    used: set[int] = set()
    found = []
    for index, turn in enumerate(turns):
        if turn.action is Action.TRAIN:
            fresh = turn.positions - used
            used |= turn.positions
            if fresh and index > scores[0]:
                found.append(_chunk(trace, turn, fresh, scored, trained))
    return tuple(found)


def gradients_by_position(trace: Trace) -> dict[int, list[int]]:
    """Events of the gradients of each position, in order."""
    found: dict[int, list[int]] = {}
    for gradient in trace.gradients:
        for position in gradient.positions:
            found.setdefault(position, []).append(gradient.at)
    return found


def _chunk(trace: Trace, turn: Turn, fresh: set[int], scored: Mapping[int, tuple[int, bool]],
           trained: Mapping[int, Sequence[int]]) -> Chunk:  # fmt: skip
    before, num_unordered = [], 0
    for position in fresh & scored.keys():
        gradients = [each for each in trained[position] if each <= turn.end]
        if not any(trace.precedes(each, scored[position][0]) for each in gradients):
            before.append(scored[position])
            num_unordered += any(trace.is_unordered(each, scored[position][0]) for each in gradients)
    return Chunk(
        first=min(fresh),
        last=max(fresh),
        num_positions=len(fresh),
        num_scored_before=len(before),
        num_unordered=num_unordered,
        with_gradient=any(with_gradient for _, with_gradient in before),
        num_updates=turn.num_events,
        scored_at=max((at for at, _ in before), default=None),
        trained_at=turn.begin,
    )


def steps_after(trace: Trace, at: int) -> Iterator[Step]:
    """The steps of optimizers that are known to come after an event."""
    index = bisect.bisect_right(trace.steps, at, key=lambda step: step.at)
    yield from (step for step in itertools.islice(trace.steps, index, None) if trace.precedes(at, step.at))


@dataclass(frozen=True, slots=True)
class Sources:
    """What the source analysis calls a file that was executed: `script` is the name of the one that ran as `ran`."""

    script: str
    ran: str

    def locate(self, place: Place | None) -> Location | None:
        """A place in the terms of the source analysis; code that was compiled from a string is the decoded script."""
        if place is None:
            return None
        path = self.script if place.file == self.ran else place.file
        if place.file.startswith("<"):
            path = f"{self.script}{_DECODED}"
        return Location(path=path, line=place.line, symbol=None if place.function.startswith("<") else place.function)


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture is drawn from: losses by number with their group, and a label for each group; `headline` is one.

    Positions that are `excused` offend nobody.
    """

    groups: Mapping[int, int]
    labels: Sequence[str]
    headline: int | None
    sources: Sources
    size: int
    excused: AbstractSet[int] = frozenset()


def draw(trace: Trace, picture: Picture) -> Timeline | None:
    """The scores and the training of a run; None where neither was seen."""
    turns = _joined(turns_of(trace, picture.groups, picture.excused))
    if not turns:
        return None
    rows = tuple(_row(turn, trace, picture) for turn in turns[:_MAX_ROWS])
    rest = f"; {len(turns) - _MAX_ROWS} more are left out" if len(turns) > _MAX_ROWS else ""
    caption = f"recorded in a run on a toy stream of {picture.size:,} tokens; like steps are joined{rest}"
    return Timeline(basis=Basis.RUN, num_positions=picture.size, steps=rows, caption=caption)


def _row(turn: Turn, trace: Trace, picture: Picture) -> Row:
    spans = spans_of(turn.positions)
    where = picture.sources.locate(turn.place)
    if turn.action is Action.TRAIN:
        step = next(steps_after(trace, turn.begin), None)
        by = (f" by {step.optimizer}" if step else "") + _who(trace, turn)
        text = f"{turn.num_events} backward passes use {len(turn.positions):,} positions{by}"
        return Row(action=turn.action, spans=spans, text=text, location=where)
    early = f"{_who(trace, turn)}, {len(turn.early):,} of them trained on before" if turn.early else _who(trace, turn)
    mode = "with autograd on" if turn.with_gradient else "without autograd"
    return Row(
        action=turn.action,
        spans=spans,
        text=f"{len(turn.positions):,} positions scored for `{picture.labels[turn.group]}`, {mode}{early}",
        counted=turn.group == picture.headline,
        offence=bool(turn.early),
        location=where,
    )


def _who(trace: Trace, turn: Turn) -> str:
    """Which ranks did it, where there are several."""
    if trace.num_ranks == 1:
        return ""
    return f", on rank{'s' * (len(turn.ranks) > 1)} {' and '.join(map(str, sorted(turn.ranks)))}"


def spans_of(positions: set[int]) -> tuple[tuple[int, int], ...]:
    """Half-open ranges; where there are many, the narrowest gaps are closed."""
    spans: list[tuple[int, int]] = []
    for position in sorted(positions):
        if spans and spans[-1][1] == position:
            spans[-1] = (spans[-1][0], position + 1)
        else:
            spans.append((position, position + 1))
    if len(spans) > _MAX_SPANS:
        gaps = sorted((second[0] - first[1], index) for index, (first, second) in enumerate(pairwise(spans)))
        closed = {index for _, index in gaps[: len(spans) - _MAX_SPANS]}
        return tuple(_closed(spans, closed))
    return tuple(spans)


def _closed(spans: Sequence[tuple[int, int]], closed: set[int]) -> Iterator[tuple[int, int]]:
    begin = spans[0][0]
    for index, (_, end) in enumerate(spans):
        if index not in closed:
            yield begin, end
            begin = spans[index + 1][0] if index + 1 < len(spans) else end


def _joined(turns: Sequence[Turn]) -> list[Turn]:
    """Fewer turns: pairs of a score and a training that follow each other are taken together."""
    if len(turns) <= _MAX_ROWS:
        return list(turns)
    pairs = list(_pairs(turns))
    most = -(-2 * len(pairs) // _MAX_ROWS)  # how many are taken together, rounded up
    found: list[list[Turn]] = []
    size = most
    for pair in pairs:
        if size < most and _is_alike(found[-1], pair):
            for whole, part in zip(found[-1], pair, strict=True):
                _absorb(whole, part)
            size += 1
        else:
            found.append(pair)
            size = 1
    return [turn for pair in found for turn in pair]


def _pairs(turns: Sequence[Turn]) -> Iterator[list[Turn]]:
    """Turns by twos of different kinds; what follows its like stands alone."""
    index = 0
    while index < len(turns):
        alternate = index + 1 < len(turns) and turns[index].action is not turns[index + 1].action
        yield list(turns[index : index + 1 + alternate])
        index += 1 + alternate


def _is_alike(whole: Sequence[Turn], pair: Sequence[Turn]) -> bool:
    """Same kinds and groups, and no score in front that an earlier training of these pairs offends."""
    leads_with_offence = pair[0].action is Action.SCORE and bool(pair[0].early)
    return [turn.group for turn in whole] == [turn.group for turn in pair] and not leads_with_offence


def _absorb(whole: Turn, part: Turn) -> None:
    whole.end = part.end
    whole.positions |= part.positions
    whole.early |= part.early
    whole.num_events += part.num_events
    whole.ranks |= part.ranks
    whole.with_gradient |= part.with_gradient
