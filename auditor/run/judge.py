"""What a run shows, as facts for rules and for people: each reported score against the losses that it was made of.

A reported line is reconciled by following the number back: reads of sums of losses before it are tried, latest first,
then what was read (anywhere, or by one line of the script) or summed since some earlier event, until mean loss and bits per
byte, computed anew from the recorded losses and our own byte counts, equal what was printed to its last digit. Only then is
it known which losses stand behind the line, and only then is anything said about their order, their coverage, or what had
influenced them.

Influence is exact about weights: a position is *trained before scored* if gradients of that very position went into numbers
that its reported loss was computed from. Training that was discarded or undone before does not count. The first token of
a document (BOS) is told apart: it is the same everywhere, and training on it as the end of the document before is no leak.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from auditor.run.runner import Outcome
from auditor.run.series import Series, Stream, find_series
from auditor.run.trace import Place, Read, Trace, read_trace
from auditor.run.world import BOS_ID, World
from auditor.submission.logs.lines import Line
from auditor.submission.logs.metrics import read_metrics
from auditor.submission.logs.model import Metric

_SINGLE_PRECISION = 2e-6  # relative: scripts add up in float32
_DECIMAL = re.compile(r"\d+\.(\d+)")
_MAX_READS = 1500  # reads tried for one line
_MAX_BASES = 3  # of those, tried together with others
_Total = tuple[float, int, int]  # of a sum: nats, losses, bytes
_Item = TypeVar("_Item")
_EXACT_DECIMALS, _MOST = 6, 0.9  # of a loss that is followed without its bits per byte: digits, share of the stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often positions were counted in a score. The first position of the stream has no prediction."""

    num_once: int
    num_repeated: int
    num_missing: int
    first_missing: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreLine:
    """One reported score: the metric as printed, and the losses behind it (None if it could not be reconciled).

    `num_bytes` is our own count of bytes over these losses. Where the printed loss can be followed, but the printed bits
    per byte cannot, `byte_ratio` is what they were divided by, over our own count.

    `early` are positions that were trained before they were scored, in the order in which they were scored. For a line that
    is not reconciled they are among the `num_left` losses that left for numpy or Python since the line before (the sums
    `left`): a score computed there is made of those, or of nothing that was seen. `series` are the plain numbers that such
    a score was added up from, where they could be told.
    """

    metric: Metric
    at: int
    sums: tuple[int, ...] | None
    coverage: Coverage | None = None
    early: tuple[int, ...] = ()
    num_early_bos: int = 0
    num_left: int = 0
    with_gradient: bool = False
    recomputed_loss: float | None = None
    recomputed_bpb: float | None = None
    num_bytes: int | None = None
    byte_ratio: float | None = None
    left: tuple[int, ...] = ()
    series: Series | None = None

    def losses(self, trace: Trace) -> list[int]:
        """The numbers of the losses that the score is made of, in order of summing."""
        return trace.losses_of(self.sums or ())

    @property
    def behind(self) -> tuple[int, ...]:
        """The sums that the score is made of, or else may be made of."""
        return self.left if self.sums is None else self.sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one run showed."""

    failure: str | None
    trace: Trace
    lines: tuple[ScoreLine, ...]
    num_located: int
    num_unlocated: int
    num_trained_unlocated: int
    num_trained_validation: int

    @property
    def results(self) -> tuple[ScoreLine, ...]:
        """Reported scores that are results, not progress."""
        return results(self.lines)


def results(lines: Iterable[ScoreLine]) -> tuple[ScoreLine, ...]:
    """Those of some reported scores that are results, not progress."""
    return tuple(line for line in lines if not line.metric.progress)


def judge(outcome: Outcome, world: World) -> Judgement:
    """The facts of a run on the world's own validation stream. ValueError if the events are damaged."""
    tokens = world.validation()
    trace = read_trace(outcome.events, len(tokens))
    lines = tuple(judge_lines(trace, world, tokens))
    return Judgement(
        failure=outcome.failure,
        trace=trace,
        lines=lines,
        num_located=len(trace.positions),
        num_unlocated=trace.num_unlocated,
        num_trained_unlocated=trace.num_trained_unlocated,
        num_trained_validation=len({position for each in trace.gradients for position in each.positions}),
    )


def judge_lines(trace: Trace, world: World, tokens: Sequence[int], like: Sequence[ScoreLine] = ()) -> Iterator[ScoreLine]:
    """Every reported score of a run on a validation stream.

    `like` are the scores of an earlier run of the same script: where several sets of sums fit a number, those are meant
    that were meant there.
    """
    stream = Stream(tokens, world.spell(tokens))
    ledger = _Ledger(trace, [len(each) for each in stream.spelled])
    before = last = 0
    meant = iter(like)
    for at, text in trace.lines:
        for metric in read_metrics(Line(number=at, text=text), "stdout", 0):
            model = next(meant, None)
            sums = ledger.reconcile(metric, at, None if model is None else model.sums)
            if sums is None:
                left = _unreconciled(trace, metric, at, before, tokens)
                series = find_series(trace, at, (last, before, -1), stream, partial(ledger.fits, metric))
                yield replace(left, byte_ratio=ledger.byte_ratio(metric, at), series=series)
                last = at
                continue
            before = last = at
            losses = trace.losses_of(sums)
            early, num_bos = _early(trace, losses, tokens)
            loss, bpb = ledger.means(sums)
            yield ScoreLine(
                metric=metric,
                at=at,
                sums=sums,
                coverage=_coverage([trace.positions[number] for number in losses], len(tokens)),
                early=early,
                num_early_bos=num_bos,
                with_gradient=any(trace.with_gradient[number] for number in losses),
                recomputed_loss=loss,
                recomputed_bpb=bpb,
                num_bytes=ledger.num_bytes(sums),
            )


def _unreconciled(trace: Trace, metric: Metric, at: int, before: int, tokens: Sequence[int]) -> ScoreLine:
    """A line that nothing fits: what left for numpy or Python since the line before it."""
    left = [number for number, each in enumerate(trace.sums) if before <= each.at < at and not each.linked]
    losses = trace.losses_of(left)
    early, _ = _early(trace, losses, tokens)
    return ScoreLine(metric=metric, at=at, sums=None, early=early, num_left=len(losses), left=tuple(left))


def _early(trace: Trace, losses: Sequence[int], tokens: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """Positions trained before scored among losses, without BOS, and how many BOS."""
    early = list(dict.fromkeys(trace.positions[number] for number in losses if trace.own[number]))
    others = tuple(each for each in early if tokens[each] != BOS_ID)
    return others, len(early) - len(others)


def _coverage(positions: Sequence[int], size: int) -> Coverage:
    counts = Counter(positions)
    missing = [position for position in range(1, size) if position not in counts]
    return Coverage(
        num_once=sum(count == 1 for count in counts.values()),
        num_repeated=sum(count > 1 for count in counts.values()),
        num_missing=len(missing),
        first_missing=missing[0] if missing else None,
    )


class _Union:
    """Sums taken together: their numbers, and what they come to in nats, losses and bytes."""

    def __init__(self, totals: Sequence[_Total]) -> None:
        self._totals = totals
        self.sums: set[int] = set()
        self.nats, self.count, self.num_bytes = 0.0, 0, 0

    def add(self, part: frozenset[int]) -> bool:
        """Take more sums; False if all of them were there. The cost is that of the part, however large the whole is."""
        new = part - self.sums
        for number in new:
            nats, count, num_bytes = self._totals[number]
            self.nats, self.count, self.num_bytes = self.nats + nats, self.count + count, self.num_bytes + num_bytes
        self.sums |= new
        return bool(new)

    def means(self) -> tuple[float, float | None]:
        """Mean loss in nats, and bits per byte."""
        return self.nats / self.count, self.nats / math.log(2) / self.num_bytes if self.num_bytes else None

    def in_order(self) -> tuple[int, ...]:
        """The sums in order of time."""
        return tuple(sorted(self.sums))


class _Ledger:
    """Totals of sums, and the search for those behind a printed number."""

    def __init__(self, trace: Trace, num_bytes: Sequence[int]) -> None:
        self.trace = trace
        self.size = len(num_bytes)
        self.totals: list[_Total] = [
            (sum(each.values), len(each.losses), sum(num_bytes[trace.positions[number]] for number in each.losses))
            for each in trace.sums
        ]

    def means(self, sums: Iterable[int]) -> tuple[float, float | None]:
        """Mean loss in nats, and bits per byte, over sums."""
        return self._together(frozenset(sums)).means()

    def num_bytes(self, sums: Sequence[int]) -> int:
        """Bytes of the tokens behind sums."""
        return sum(self.totals[each][2] for each in sums)

    def byte_ratio(self, metric: Metric, at: int) -> float | None:
        """By how much the printed bits per byte were divided, over our own count; None where the loss cannot be followed.

        Losses of toy models are all alike, so only a loss that is printed exactly, over most of the stream, is followed.
        """
        decimals = 0 if metric.val_loss is None else _num_decimals(metric.text, metric.val_loss)
        if metric.val_loss is None or decimals < _EXACT_DECIMALS or not metric.val_bpb:
            return None
        for union in self._candidates(at):
            loss, bpb = union.means()
            if bpb and union.count > _MOST * self.size and _equals(metric.val_loss, loss, decimals):
                return bpb / metric.val_bpb
        return None

    def reconcile(self, metric: Metric, at: int, meant: tuple[int, ...] | None = None) -> tuple[int, ...] | None:
        """The sums behind a printed metric, in order of time; None if none fit.

        Losses of a toy model lie close together, so that several sets of sums can fit: those that are `meant` go first, and
        one that counts no position twice goes before one that does.
        """
        if meant and self._precede(meant, at) and self.fits(metric, *self.means(meant)):
            return meant
        twice = None
        for union in self._candidates(at):
            if self.fits(metric, *union.means()):
                if self._counts_once(union.sums):
                    return union.in_order()
                twice = twice or union.in_order()
        return twice

    def _precede(self, sums: tuple[int, ...], at: int) -> bool:
        return sums[-1] < len(self.totals) and self.trace.sums[sums[-1]].at < at

    def _counts_once(self, sums: Iterable[int]) -> bool:
        positions = [self.trace.positions[loss] for loss in self.trace.losses_of(sums)]
        return len(set(positions)) == len(positions)

    def _candidates(self, at: int) -> Iterator[_Union]:
        """Sets of sums that are not empty; each is valid until the next is asked for."""
        return (union for union in self._sets(at) if union.count)

    def _sets(self, at: int) -> Iterator[_Union]:
        reads = [read for read in self.trace.reads if read.at < at][-_MAX_READS:]
        seen = dict.fromkeys(read.sums for read in reversed(reads))
        yield from (self._together(sums) for sums in seen)
        yield from self._growing(read.sums for read in reversed(reads))
        yield from self._by_place(reads, list(seen))
        for linked in (True, False):
            before = [number for number, each in enumerate(self.trace.sums) if each.at < at and each.linked is linked]
            yield from self._growing(frozenset((number,)) for number in reversed(before))
            for here in _grouped(before, [self.trace.sums[number].place for number in before]):
                yield from self._growing(frozenset((number,)) for number in here)

    def _by_place(self, reads: Sequence[Read], distinct: Sequence[frozenset[int]]) -> Iterator[_Union]:
        """What one line of the script read: alone, or beside what a number holds that was read last."""
        for parts in _grouped([read.sums for read in reads], [read.place for read in reads]):
            yield from self._growing(parts)
            for base in distinct[:_MAX_BASES]:
                yield from self._growing([base, *parts])

    def _together(self, sums: frozenset[int]) -> _Union:
        union = _Union(self.totals)
        union.add(sums)
        return union

    def _growing(self, parts: Iterable[frozenset[int]]) -> Iterator[_Union]:
        """Unions of ever more parts."""
        union = _Union(self.totals)
        yield from (union for part in parts if union.add(part))

    @staticmethod
    def fits(metric: Metric, loss: float, bpb: float | None) -> bool:
        """Are these what a metric prints, to its last digit?"""
        if bpb is None or not _equals(metric.val_bpb, bpb, metric.num_decimals):
            return False
        return metric.val_loss is None or _equals(metric.val_loss, loss, _num_decimals(metric.text, metric.val_loss))


def _grouped(items: Sequence[_Item], places: Sequence[Place | None]) -> Iterable[list[_Item]]:
    """Items by the place of each, latest first."""
    groups: dict[Place | None, list[_Item]] = {}
    for item, place in zip(reversed(items), reversed(places), strict=True):
        groups.setdefault(place, []).append(item)
    return groups.values()


def _num_decimals(text: str, value: float) -> int:
    """Decimals with which a value is printed in a line."""
    return max((len(match[1]) for match in _DECIMAL.finditer(text) if float(match.group()) == value), default=0)


def _equals(printed: float, computed: float, num_decimals: int) -> bool:
    return abs(printed - computed) <= 0.501 * 10.0**-num_decimals + _SINGLE_PRECISION * abs(computed)
