"""The reported scores of a run as facts: which are the same losses, what offends, what is score-first, what came before.

Kept apart from the judgement of single lines since these questions need all of them at once, with the order of all events.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

from auditor.network import reaches_out
from auditor.run.facts import KeptNumbers, Offence, RankFacts, Reach, RunLine, Via
from auditor.run.judge import Judgement, ScoreLine
from auditor.run.sequence import Sources, chunks_of, gradients_by_position, spans_of, steps_after
from auditor.run.series import Series
from auditor.run.trace import Contact, Place, Step
from auditor.run.world import BOS_ID

_NETWORK_CALLS = ("socket.connect", "socket.getaddrinfo")
_LOCAL = re.compile(r"^\(?['\"b]*(?:localhost|127\.|::1|0\.0\.0\.0|/|\\x00|None\b|$)")

_Kind = tuple[Via, bool, Place | None, bool]


@dataclass(frozen=True, slots=True)
class _Update:
    """A gradient of a position, by its event, and the step of an optimizer that followed it, if one did."""

    gradient: int
    step: Step | None
    beneath: bool = False

    @property
    def via(self) -> Via:
        """What carried the update on."""
        if self.step is None:
            return Via.UNKNOWN
        return Via.FREE_TENSOR if self.step.is_free else Via.PARAMETERS


class Lines:
    """All results of a run. `labels` are those of the submitted number's log lines."""

    def __init__(self, judgement: Judgement, tokens: Sequence[int], labels: AbstractSet[str], sources: Sources) -> None:
        self.trace = judgement.trace
        self.results = judgement.results
        self.size = len(tokens)
        self._tokens = tokens
        self._labels = labels
        self._sources = sources

    def is_headline(self, line: ScoreLine) -> bool:
        """Does a line carry the label of the submitted number?"""
        return line.metric.label in self._labels and line.metric.step is None

    def beginnings(self) -> frozenset[int]:
        """The positions of document beginnings."""
        return frozenset(at for at, token in enumerate(self._tokens) if token == BOS_ID)

    def groups(self) -> dict[int, int]:
        """The first line that counts each loss, by the loss's number."""
        found: dict[int, int] = {}
        for index, losses in enumerate(self._losses):
            for number in losses:
                found.setdefault(number, index)
        return found

    def told(self) -> tuple[RunLine, ...]:
        """Every line with what it shows."""
        return tuple(self._line(index) for index in range(len(self.results)))

    @cached_property
    def _losses(self) -> list[list[int]]:
        return [line.losses(self.trace) for line in self.results]

    @cached_property
    def _gradients_of(self) -> dict[int, list[int]]:
        return gradients_by_position(self.trace)

    @cached_property
    def _places(self) -> dict[int, Place | None]:
        """Where the script asked for gradients, by their event."""
        return {gradient.at: gradient.place for gradient in self.trace.gradients}

    def _line(self, index: int) -> RunLine:
        line, losses = self.results[index], self._losses[index]
        repeats = next((i for i in range(index) if line.sums is not None and self.results[i].sums == line.sums), None)
        return RunLine(
            label=line.metric.label,
            text=line.metric.text,
            at=line.at,
            val_bpb=line.metric.val_bpb,
            is_headline=self.is_headline(line),
            is_reconciled=line.sums is not None,
            recomputed_bpb=line.recomputed_bpb,
            num_bytes=line.num_bytes,
            byte_ratio=line.byte_ratio,
            coverage=line.coverage,
            offences=tuple(self._offences(index)),
            num_early_bos=line.num_early_bos,
            num_left=line.num_left,
            with_gradient=line.with_gradient,
            chunks=chunks_of(self.trace, losses, self._gradients_of),
            num_free_fits=self._num_free_fits(index),
            num_unordered=self._num_unordered(index),
            kept=self._kept(line.series),
            repeats=repeats,
        )

    def _kept(self, series: Series | None) -> KeptNumbers | None:
        if series is None:
            return None
        place = self._sources.locate(series.place)
        return KeptNumbers(place=place, unit=series.unit, num_numbers=len(series.costs), is_ordered=series.is_ordered)

    def _offences(self, index: int) -> Iterator[Offence]:
        found: dict[_Kind, list[int]] = {}
        updates: dict[_Kind, _Update] = {}
        for number in self._losses[index]:
            position = self.trace.positions[number]
            if not self.trace.own[number] or self._tokens[position] == BOS_ID:
                continue
            for update in self._updates(number):
                again = self._is_again(index, position, update.gradient)
                kind = (update.via, again, update.step.place if update.step else None, update.beneath)
                found.setdefault(kind, []).append(position)
                updates.setdefault(kind, update)
        for kind, positions in found.items():
            yield self._offence(kind, positions, updates[kind])

    def _offence(self, kind: _Kind, positions: Sequence[int], update: _Update) -> Offence:
        step = update.step
        return Offence(
            num_positions=len(set(positions)),
            first=positions[0],
            via=update.via,
            how=f"{step.optimizer}.step" if step else "a change without an optimizer",
            place=self._sources.locate(step.place if step else self._places.get(update.gradient)),
            again=kind[1],
            beneath=update.beneath,
        )

    def _updates(self, number: int) -> Iterator[_Update]:
        """The last update by a loss's own position before its score, and the last of parameters beneath a free tensor."""
        position, until = self.trace.positions[number], self.trace.scored_at[number]
        newest = self._last_gradient(position, until)
        last = _Update(newest, self._step_between(newest, until))
        yield last
        if last.via is not Via.FREE_TENSOR or not self.trace.own_in_weights[number]:
            return
        before = self._gradients_before(position, until)
        earlier = (_Update(each, self._step_between(each, until), beneath=True) for each in before)
        yield from itertools.islice((update for update in earlier if update.via is Via.PARAMETERS), 1)

    def _gradients_before(self, position: int, until: int) -> Iterator[int]:
        """The gradients that a position had a part in before an event, the newest first."""
        events = self._gradients_of.get(position, [])
        before = reversed(events[: bisect.bisect_left(events, until)])
        return (event for event in before if self.trace.precedes(event, until))

    def _last_gradient(self, position: int, until: int) -> int:
        return next(self._gradients_before(position, until), -1)

    def _step_between(self, gradient: int, until: int) -> Step | None:
        steps = itertools.takewhile(lambda step: step.at < until, steps_after(self.trace, gradient))
        return next((step for step in steps if self.trace.precedes(step.at, until)), None)

    def _is_again(self, index: int, position: int, gradient: int) -> bool:
        """Was a position's first score counted in another line, by a pass that went on after it was trained on?"""
        return gradient >= 0 and any(
            self.trace.precedes(self._scored[other].get(position, gradient), gradient) and gradient <= self._ends[other]
            for other in range(len(self.results))
            if self.results[other].sums not in (None, self.results[index].sums)
        )

    @cached_property
    def _scored(self) -> list[dict[int, int]]:
        """For each line the event at which each of its positions was scored."""
        return [
            {self.trace.positions[number]: self.trace.scored_at[number] for number in reversed(losses)}
            for losses in self._losses
        ]

    @cached_property
    def _ends(self) -> list[int]:
        """For each line the event at which the last of its positions was first scored, -1 if it has none."""
        return [max(scored.values(), default=-1) for scored in self._scored]

    def _num_free_fits(self, index: int) -> int:
        if not self._losses[index]:
            return 0
        last = max(self.trace.scored_at[number] for number in self._losses[index])
        others = (other for other in range(index) if self.results[other].sums != self.results[index].sums)
        before = max((self._ends[other] for other in others), default=-1)
        return sum(step.is_free and before < step.at < last for step in self.trace.steps)

    def num_discarded(self) -> int:
        """Positions with a gradient before a score of theirs that nothing of it had reached."""
        found = {
            position
            for losses in self._losses
            for number in losses
            if not self.trace.own[number]
            and self._tokens[position := self.trace.positions[number]] != BOS_ID
            and self._last_gradient(position, self.trace.scored_at[number]) >= 0
        }
        return len(found)

    def _num_unordered(self, index: int) -> int:
        """Positions that one rank scored while another trained on them, with nothing between that orders both."""
        trace, gradients = self.trace, self._gradients_of
        scores = ((trace.positions[each], trace.scored_at[each]) for each in self._losses[index] if not trace.own[each])
        found = {
            position for position, at in scores if any(trace.is_unordered(each, at) for each in gradients.get(position, ()))
        }
        return len(found)

    def ranks(self) -> tuple[RankFacts, ...]:
        """What each of several ranks scored, of what was reported, and trained on; none of one alone."""
        if self.trace.num_ranks == 1:
            return ()
        scored: list[set[int]] = [set() for _ in range(self.trace.num_ranks)]
        trained: list[set[int]] = [set() for _ in range(self.trace.num_ranks)]
        for number in itertools.chain.from_iterable(self._losses):
            scored[self.trace.ranks[self.trace.scored_at[number]]].add(self.trace.positions[number])
        for gradient in self.trace.gradients:
            trained[self.trace.ranks[gradient.at]].update(gradient.positions)
        return tuple(
            RankFacts(rank=rank, num_scored=len(own), scored=spans_of(own), num_trained=len(used), trained=spans_of(used))
            for rank, (own, used) in enumerate(zip(scored, trained, strict=True))
        )

    def _begin_of_last(self) -> int | None:
        """The event of the first loss behind the last line that could be followed."""
        last = next((losses for losses in reversed(self._losses) if losses), None)
        return min(self.trace.scored_at[number] for number in last) if last else None

    def training_reads(self) -> tuple[str, ...]:
        """Training shards that were opened after the last line's first loss."""
        begin = self._begin_of_last()
        after = (each for each in self.trace.opened if begin is not None and self.trace.precedes(begin, each.at))
        late = (each for each in after if "_train_" in each.path)
        return tuple(dict.fromkeys(each.path.rsplit("/", 1)[-1] for each in late))

    def connections(self) -> tuple[Reach, ...]:
        """Attempts to use the network, each kind once."""
        first = min(self.trace.scored_at, default=None)
        found = (
            Reach(what=f"{each.call}: {each.what[:80]}", after_scoring=first is not None and each.at > first)
            for each in self.trace.contacts
            if _is_network(each)
        )
        return tuple(dict.fromkeys(found))


def _is_network(contact: Contact) -> bool:
    if contact.call in _NETWORK_CALLS:
        return not _LOCAL.match(contact.what)
    return contact.call != "ctypes.dlopen" and reaches_out(contact.what)
