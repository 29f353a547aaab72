"""How long the evaluation behind a seed's number took: its own timer, and what ran outside that timer.

A score is often printed several times, rounded and in full, and only one printing carries the time; a total printed for
the whole evaluation replaces it. Adaptation and precomputation that are timed on lines of their own may run inside the
evaluation's timer or before it. They are outside if a line says so, if the model was serialised after them, if they took
longer than the evaluation, or if its timer is said to start after them; inside if it started before them; else it is not
known. Not covered: work that prints no time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from auditor.headline_search import Score, same_to_shown_digits
from auditor.submission.logs.model import Duration, DurationKind, Log, Metric, Run, SizeKind
from rules.budget.span import Span, span_of

_TWIN_LINES = 4  # ours: printings of one score in few digits stand no further apart
_TELLING_DECIMALS = 6  # ours: two evaluations do not agree in so many decimals
_OUTSIDE = re.compile(r"outside", re.IGNORECASE)
_TIMER_START = re.compile(r"\b(?:begin\w*|start\w*)\b.{0,20}\btimer\b", re.IGNORECASE)
_WITH_COMPILE = re.compile(r"compile", re.IGNORECASE)
_SUMMARY = re.compile(r"\{.*:")  # a dump of a whole job, whose times are not the evaluation's
_RANK = re.compile(r"\brank\W?\d+.*", re.IGNORECASE)
_TABLE = re.compile(r"n-?gram|cache|table|oracle|phrase|precompute|hint", re.IGNORECASE)
_WRAPPER = 1.01  # ours: a timer around an evaluation shows at most so much more than the evaluation's own


class _Side(Enum):
    """On which side of the headline evaluation's timer a piece of work ran."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNSURE = "unsure"
    ELSEWHERE = "for another score"


@dataclass(frozen=True, slots=True)
class HeadlineEvaluation:
    """The times that count for the number of one seed.

    `own` is the evaluation that printed the number. `outside` also reads validation data for it and surely ran outside
    that timer, `unsure` ran inside or outside. `apart` are the other evaluations and the warm-up: not counted in practice.
    """

    own: Duration
    outside: tuple[Duration, ...] = ()
    unsure: tuple[Duration, ...] = ()
    apart: tuple[Duration, ...] = ()

    @property
    def least(self) -> Span:
        """The time that it surely took."""
        return span_of(self.own, *self.outside)

    @property
    def most(self) -> Span:
        """The time that it took if everything unsure ran outside its timer."""
        return span_of(self.own, *self.outside, *self.unsure)

    @property
    def whole(self) -> Span:
        """The time of everything after training that may read validation data."""
        return span_of(self.own, *self.outside, *self.unsure, *self.apart)


def is_table(duration: Duration) -> bool:
    """Is it the time of building an n-gram table, a cache or hints?"""
    return _TABLE.search(duration.label) is not None


def headline_evaluation(run: Run, metric: Metric, log: Log) -> HeadlineEvaluation | None:
    """The evaluation behind `metric`, a line of `run` in `log`; None if no time is printed for it."""
    own = _own_time(run, metric)
    if own is None:
        return None
    first = min(_printings(run, metric), default=metric.line)
    timer = _timer_start(log, run, own.line)
    sides = {each: _side(each, run, own, first, timer) for each in _adaptations(run, first)}
    return HeadlineEvaluation(
        own,
        outside=tuple(each for each, side in sides.items() if side is _Side.OUTSIDE),
        unsure=tuple(each for each, side in sides.items() if side is _Side.UNSURE),
        apart=tuple(_apart(run, own, first)),
    )


def _own_time(run: Run, metric: Metric) -> Duration | None:
    """The longest time printed with the score, or the total that follows it where that is longer."""
    if metric.progress:  # a running value inside an evaluation whose end is printed later
        return next((each for each in run.durations if each.line > metric.line and _is_evaluation(each)), None)
    lines = set(_printings(run, metric))
    printed = [each for each in run.durations if each.line in lines and _is_evaluation(each)]
    printed = printed or [
        each for each in run.durations if 0 < each.line - metric.line <= _TWIN_LINES and _tells_time(each)
    ]
    own = max(printed, key=lambda each: each.seconds, default=None)
    after = (each for each in run.durations if each.line > metric.line and each not in printed and _is_evaluation(each))
    total = next((each for each in after if each.line not in lines), None)
    if total is None or not _is_total(total) or (own is not None and not span_of(total).is_over(own.seconds)):
        return own
    return total


def _printings(run: Run, metric: Metric) -> Iterator[int]:
    """The lines that carry the same score as `metric`, near it or in so many digits that it is no accident."""
    for other in run.metrics:
        near = abs(other.line - metric.line) <= _TWIN_LINES
        exact = min(other.num_decimals, metric.num_decimals) >= _TELLING_DECIMALS or _name(other) == _name(metric)
        same = _is_same_score(metric, other) and other.step == metric.step
        if same and (near or exact) and not other.progress and not _SUMMARY.search(other.text):
            yield other.line


def _name(metric: Metric) -> str:
    return metric.label.removesuffix("_exact")


def _is_evaluation(duration: Duration) -> bool:
    return duration.kind is DurationKind.EVALUATE or _is_total(duration)


def _is_total(duration: Duration) -> bool:
    return duration.kind is DurationKind.EVALUATE_TOTAL and not _WITH_COMPILE.search(duration.label)


def _tells_time(duration: Duration) -> bool:
    """A time of its own line, without a score, such as a total that follows the score."""
    return duration.kind in (DurationKind.EVALUATE, DurationKind.ADAPT) and "bpb" not in duration.text.lower()


def _trained_until(run: Run, line: int) -> int:
    """The last line before `line` that tells of training; a log may hold one run's output twice."""
    return max((each.line for each in run.durations if each.kind is DurationKind.TRAIN and each.line < line), default=0)


def _adaptations(run: Run, first: int) -> list[Duration]:
    """What adapted or precomputed between training and the score; of the lines of several ranks the slowest."""
    trained = _trained_until(run, first)
    found = [each for each in run.durations if each.kind is DurationKind.ADAPT and trained < each.line < first]
    slowest = {_RANK.sub("", each.label): each for each in sorted(found, key=lambda each: each.seconds)}
    return _pieces(run, (each for each in found if not _RANK.search(each.label) or each in slowest.values()))


def _pieces(run: Run, durations: Iterable[Duration]) -> list[Duration]:
    """Each piece of work once: of lines near each other the first, if they carry one score or, without scores, one time."""
    scores = {metric.line: metric for metric in run.metrics}
    pieces: list[Duration] = []
    for each in durations:
        near = [other for other in pieces if each.line - other.line <= _TWIN_LINES]
        again = any(_is_same_work(each, other, scores) for other in near)
        if not again and each.text not in {other.text for other in pieces}:
            pieces.append(each)
    return pieces


def _is_same_work(one: Duration, other: Duration, scores: Mapping[int, Metric]) -> bool:
    first, second = scores.get(one.line), scores.get(other.line)
    if first is not None and second is not None:
        return _is_same_score(first, second)
    return max(one.seconds, other.seconds) <= _WRAPPER * min(one.seconds, other.seconds)


def _is_same_score(one: Metric, other: Metric) -> bool:
    return same_to_shown_digits(Score(one.val_bpb, one.num_decimals), other.val_bpb, other.num_decimals)


def _timer_start(log: Log, run: Run, end: int) -> int | None:
    """The last line before `end` that says that a timer starts."""
    lines: Sequence[str] = log.lines[run.first_line - 1 : end]
    found = [run.first_line + index for index, text in enumerate(lines) if _TIMER_START.search(text)]
    return found[-1] if found else None


def _side(duration: Duration, run: Run, own: Duration, first: int, timer_start: int | None) -> _Side:
    """Where a piece of work between training and the score ran."""
    end = duration.line
    serialized = next((size.line for size in run.sizes if size.kind is SizeKind.MODEL and end < size.line < first), None)
    if serialized is not None and is_table(duration):
        return _Side.ELSEWHERE  # a table that is stored in the artifact is made of training data
    if any(_holds(other, duration) for other in run.durations if end < other.line < (serialized or first)):
        return _Side.ELSEWHERE
    if timer_start is not None:
        return _Side.OUTSIDE if end < timer_start else _Side.INSIDE
    if serialized is not None or _OUTSIDE.search(duration.text) or duration.seconds > _WRAPPER * own.seconds:
        return _Side.OUTSIDE
    return _Side.INSIDE if duration.seconds > own.seconds else _Side.UNSURE


def _holds(evaluation: Duration, duration: Duration) -> bool:
    """Can the work be a part of that other evaluation?"""
    return _is_evaluation(evaluation) and evaluation.seconds >= duration.seconds


def _apart(run: Run, own: Duration, first: int) -> list[Duration]:
    """Evaluations of other scores after training, and warm-up that reads the model alone."""
    trained = _trained_until(run, first)
    beside = (each for each in run.durations if each.line > trained and not first <= each.line <= own.line)
    return _pieces(run, (each for each in beside if each.kind in (DurationKind.EVALUATE, DurationKind.WARMUP)))
