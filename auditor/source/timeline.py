"""The timeline of an evaluation from the events of its source: which part of the validation stream is touched, in order.

Positions are nominal. A loop that selects tokens and both scores and changes state within a turn is drawn as a few chunks,
the first by what its first turn does and the others by what a later turn does; a loop that only scores, or only trains, is
one step over its whole share of the stream. What an offence is follows the rules: a score that is printed and whose state
the same tokens had changed, unless the change kept to earlier positions of the window.

Not covered: how long chunks are, and in which order a sampler draws them; a score in the training loop is left out unless
it is the submitted number, and so are scores of other numbers where the submitted one is known and stands apart from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from auditor.events import Event, Report, Role, Score, Statistics, Update, roles_of, validation
from auditor.finding import Basis, Place
from auditor.headline import Headline
from auditor.source.flow.analysis import Trace
from auditor.source.reach import label_of, submitted_scores
from auditor.source.story import tell_change, tell_score
from auditor.timeline import Action, Step, Timeline

_NUM_POSITIONS = 48  # ours: divides by the numbers of chunks below
_NUM_CHUNKS = 6  # ours: enough to see a staircase
_NUM_OUTER, _NUM_INNER = 3, 4  # ours: of chunks within chunks, such as those of a document
_WINDOW = 2  # ours: nominal length of a window's scored part
_MAX_CHUNK = 16  # ours: in a shorter share of the stream windows are not told apart
_MAX_STEPS = 60  # ours: more rows show nothing more

_Touch = Score | Update


def draw(trace: Trace, headline: Headline) -> Timeline | None:
    """The timeline of the submitted configuration; None where no validation token is scored."""
    counted = submitted_scores(trace, headline)
    offences = frozenset(meeting.score for meeting in trace.offending())
    touches = list(_relevant(trace, counted, offences))
    if not any(isinstance(event, Score) for event in touches):
        return None
    label = headline.lines[0].metric.label if headline.lines else None
    drawing = _Drawing(trace, counted, offences, _apart(trace), label)
    steps = _merged(drawing.with_restores(drawing.lay(touches, 0, 0, _NUM_POSITIONS)))
    return Timeline(
        basis=Basis.SOURCE,
        num_positions=_NUM_POSITIONS,
        steps=tuple(steps[:_MAX_STEPS]),
        caption=" ".join(_caption(trace, bool(counted), len(steps) > _MAX_STEPS)),
    )


def _caption(trace: Trace, is_counted: bool, is_cut: bool) -> Iterator[str]:
    yield "A few chunks stand for all turns of a loop, and lengths are nominal."
    if not is_counted:
        yield "No print of the submitted number was found."
    for event in trace.events:
        if isinstance(event, Statistics) and event.live:
            yield f"Statistics of validation tokens, taken at {event.location}, are not drawn."
            break
    if trace.error or is_cut:
        yield "What follows is not drawn."


def _relevant(trace: Trace, counted: frozenset[int], offences: frozenset[int]) -> Iterator[_Touch]:
    """The scores to show, and the changes by validation tokens outside the training loop or behind these scores."""
    training = {loop for event in trace.events if _trains_on_training(event) for loop in event.loops}
    reported = frozenset(event.number for event in trace.scores() if not training.intersection(event.loops))
    shown = counted | offences.intersection(event.number for event in trace.scores()) if counted else reported
    scores = {event.number: event for event in trace.scores() if event.number in shown}
    behind = frozenset[int]().union(*(score.influences for score in scores.values()))
    for event in trace.events:
        if event.number in scores:
            yield scores[event.number]
        elif isinstance(event, Update) and validation(event.tokens):
            matters = event.number in behind or not training.intersection(event.loops)
            if matters:
                yield event


def _apart(trace: Trace) -> frozenset[int]:
    """Changes by the earlier positions of a window and scores of its later ones, which are drawn beside each other."""
    offending = trace.offending()
    return frozenset(
        number for meeting in trace.meetings if meeting not in offending for number in (meeting.update, meeting.score)
    )


def _trains_on_training(event: Event) -> bool:
    return isinstance(event, Update) and Role.TRAINING in roles_of(event.tokens)


@dataclass(frozen=True, slots=True)
class _Drawing:
    trace: Trace
    counted: frozenset[int]
    offences: frozenset[int]
    apart: frozenset[int]
    submitted_label: str | None

    def lay(self, events: Sequence[_Touch], depth: int, low: int, high: int) -> Iterator[tuple[_Touch, Step]]:
        """The steps of `events`, which share their first `depth` loops, over positions `low` to `high`."""
        for loop, group in groupby(events, lambda event: event.loops[depth] if len(event.loops) > depth else None):
            inside = list(group)
            if loop is None:
                yield from ((event, self._step(event, low, high)) for event in inside)
            elif not _selects(loop, inside):
                yield from self._turns(inside, depth, low, high)
            elif _interleaves(inside):
                yield from self._chunks(inside, depth, low, high)
            else:
                yield from ((event, self._step(event, low, high)) for event in inside)

    def _turns(self, events: Sequence[_Touch], depth: int, low: int, high: int) -> Iterator[tuple[_Touch, Step]]:
        """A loop that selects nothing, such as epochs: all tokens in its first turn, and again in later ones."""
        for turn in (0, 1):
            yield from self.lay([event for event in events if event.turns[depth] == turn], depth + 1, low, high)

    def _chunks(self, events: Sequence[_Touch], depth: int, low: int, high: int) -> Iterator[tuple[_Touch, Step]]:
        first = [event for event in events if event.turns[depth] == 0]
        later = [event for event in events if event.turns[depth] == 1] or first
        num_chunks = min(_num_chunks(first, depth, high - low), high - low)
        bounds = [low + (high - low) * number // num_chunks for number in range(num_chunks + 1)]
        for number, (start, end) in enumerate(pairwise(bounds)):
            yield from self.lay(later if number else first, depth + 1, start, end)

    def _step(self, event: _Touch, low: int, high: int) -> Step:
        is_score, middle = isinstance(event, Score), (low + high) // 2
        if event.number in self.apart:
            low, high = (middle, high) if is_score else (low, middle)
        spans: tuple[tuple[int, int], ...] = ((low, high),)
        if isinstance(event, Update):
            text = tell_change(event, self.trace)
            return Step(action=Action.TRAIN, spans=spans, text=text, location=event.location)
        if any(region.span for region in event.tokens) and high - low > _MAX_CHUNK:
            spans = tuple((start, min(start + _WINDOW, high)) for start in range(low, high, _WINDOW))
        told = tell_score(event, self.trace)
        label = self._label(event)
        return Step(
            action=Action.SCORE,
            spans=spans,
            text=f"{told}; printed as {label}" if label else told,
            counted=event.number in self.counted,
            offence=event.number in self.offences,
            location=event.location,
        )

    def _label(self, score: Score) -> str | None:
        """How the metric is printed into which a score goes: under the submitted label, else under the last one."""
        reports = (event for event in self.trace.events if isinstance(event, Report) and event.is_metric)
        labels = [label for event in reports if score.number in event.scores and (label := label_of(event)).strip(".")]
        own = [label for label in labels if label == self.submitted_label]
        return next(reversed(own or labels), None)

    def with_restores(self, laid: Iterable[tuple[_Touch, Step]]) -> Iterator[Step]:
        """The steps, and between them where a score of trained state carries nothing of that training any more."""
        trained: dict[Place, tuple[Update, Step]] = {}
        for event, step in laid:
            if isinstance(event, Update):
                trained[event.location.place] = (event, step)
            elif trained and self._is_restored(event, [update for update, _ in trained.values()]):
                lows, highs = zip(*(span for _, before in trained.values() for span in before.spans), strict=True)
                text = "the next score carries nothing of what was trained before"
                yield Step(action=Action.RESTORE, spans=((min(lows), max(highs)),), text=text, location=event.location)
                trained.clear()
            yield step

    def _is_restored(self, score: Score, updates: Sequence[Update]) -> bool:
        carried = {self.trace.events[number].location.place for number in score.influences | score.lookups}
        same_state = any(set(update.states) & set(score.states) for update in updates)
        return same_state and not any(update.location.place in carried for update in updates)


def _selects(loop: int, events: Iterable[_Touch]) -> bool:
    """Do the turns of a loop select the tokens of these events?"""
    return any(turn[0] == loop for event in events for region in validation(event.tokens) for turn in region.turns)


def _interleaves(events: Sequence[_Touch]) -> bool:
    return len({isinstance(event, Score) for event in events}) == 2


def _num_chunks(events: Sequence[_Touch], depth: int, width: int) -> int:
    """Into how many chunks a loop's share of the stream is cut: fewer where each is cut again."""
    if width < _NUM_POSITIONS:
        return _NUM_INNER
    inner = {loop for event in events for loop in event.loops[depth + 1 :]}
    parts = ((loop, [event for event in events if loop in event.loops]) for loop in inner)
    is_cut_again = any(_interleaves(part) and _selects(loop, part) for loop, part in parts)
    return _NUM_OUTER if is_cut_again else _NUM_CHUNKS


def _identity(step: Step) -> tuple[object, ...]:
    """What tells steps apart: what one function does to the same tokens at several lines is one step."""
    place = step.location and (step.location.path, step.location.symbol or step.location.line)
    return step.action, step.spans, place, step.counted, step.offence


def _merged(steps: Iterable[Step]) -> list[Step]:
    """Steps that follow each other at one place over the same tokens are one: turns of a loop that repeats it."""
    merged: list[Step] = []
    for step in steps:
        before = merged[-1] if merged else None
        if before is None or _identity(before) != _identity(step):
            merged.append(step)
        else:
            merged[-1] = replace(before, text=max(before.text, step.text, key=len))
    return merged
