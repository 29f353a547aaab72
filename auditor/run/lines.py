"""The reported scores of a run as facts: which are the same losses, what offends, what is score-first, what came before.

Kept apart from the judgement of single lines since these questions need all of them at once, with the order of all events.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property

from auditor.network import reaches_out
from auditor.run.facts import Offence, Reach, RunLine, Via
from auditor.run.judge import Judgement, ScoreLine
from auditor.run.sequence import Sources, chunks_of, step_after
from auditor.run.trace import Contact, Place, Step
from auditor.run.world import BOS_ID

_NETWORK_CALLS = ("socket.connect", "socket.getaddrinfo")
_LOCAL = re.compile(r"^\(?['\"b]*(?:localhost|127\.|::1|0\.0\.0\.0|/|\\x00|None\b|$)")

_Kind = tuple[Via, bool, Place | None]


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
        """Events of the gradients of each position, in order."""
        found: dict[int, list[int]] = {}
        for gradient in self.trace.gradients:
            for position in gradient.positions:
                found.setdefault(position, []).append(gradient.at)
        return found

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
            chunks=chunks_of(self.trace, losses),
            num_free_fits=self._num_free_fits(index),
            repeats=repeats,
        )

    def _offences(self, index: int) -> Iterator[Offence]:
        found: dict[_Kind, list[int]] = {}
        steps: dict[_Kind, Step | None] = {}
        gradients: dict[_Kind, int] = {}
        for number in self._losses[index]:
            position = self.trace.positions[number]
            if not self.trace.own[number] or self._tokens[position] == BOS_ID:
                continue
            gradient = self._last_gradient(position, self.trace.scored_at[number])
            step = self._step_between(gradient, self.trace.scored_at[number])
            key = (_via(step), self._is_again(index, position, gradient), step.place if step else None)
            found.setdefault(key, []).append(position)
            steps.setdefault(key, step)
            gradients.setdefault(key, gradient)
        for key, positions in found.items():
            step = steps[key]
            yield Offence(
                num_positions=len(set(positions)),
                first=positions[0],
                via=key[0],
                how=f"{step.optimizer}.step" if step else "a change without an optimizer",
                place=self._sources.locate(step.place if step else self._places.get(gradients[key])),
                again=key[1],
            )

    def _last_gradient(self, position: int, until: int) -> int:
        events = self._gradients_of.get(position, [])
        index = bisect.bisect_left(events, until)
        return events[index - 1] if index else -1

    def _step_between(self, gradient: int, until: int) -> Step | None:
        step = step_after(self.trace, gradient)
        return step if step is not None and step.at < until else None

    def _is_again(self, index: int, position: int, gradient: int) -> bool:
        """Was a position's first score counted in another line, by a pass that went on after it was trained on?"""
        return any(
            self._scored[other].get(position, gradient) < gradient <= self._ends[other]
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
            and self._gradients_of.get(position, [self.trace.scored_at[number]])[0] < self.trace.scored_at[number]
        }
        return len(found)

    def _begin_of_last(self) -> int | None:
        """The event of the first loss behind the last line that could be followed."""
        last = next((losses for losses in reversed(self._losses) if losses), None)
        return min(self.trace.scored_at[number] for number in last) if last else None

    def training_reads(self) -> tuple[str, ...]:
        """Training shards that were opened after the last line's first loss."""
        begin = self._begin_of_last()
        late = (each for each in self.trace.opened if begin is not None and each.at > begin and "_train_" in each.path)
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


def _via(step: Step | None) -> Via:
    if step is None:
        return Via.UNKNOWN
    return Via.FREE_TENSOR if step.is_free else Via.PARAMETERS


def _is_network(contact: Contact) -> bool:
    if contact.call in _NETWORK_CALLS:
        return not _LOCAL.match(contact.what)
    return contact.call != "ctypes.dlopen" and reaches_out(contact.what)
