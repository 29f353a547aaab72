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
from itertools import groupby

from auditor.events import Event, Report, Role, Score, Update, UpdateKind, roles_of, validation
from auditor.finding import Basis
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
    offences = _offences(trace)
    touches = list(_relevant(trace, counted, offences))
    if not any(isinstance(event, Score) for event in touches):
        return None
    label = headline.lines[0].metric.label if headline.lines else None
    drawing = _Drawing(trace, counted, offences, label)
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
    if trace.error or is_cut:
        yield "What follows is not drawn."


def _offences(trace: Trace) -> frozenset[int]:
    """The scores whose state their own tokens had changed."""
    found = set()
    for meeting in trace.meetings:
        update = trace.events[meeting.update]
        assert isinstance(update, Update)
        if not meeting.is_apart or (update.kind is UpdateKind.DELTA and update.shared_by_batch):
            found.add(meeting.score)
    return frozenset(found)


def _relevant(trace: Trace, counted: frozenset[int], offences: frozenset[int]) -> Iterator[_Touch]:
    training = {loop for event in trace.events if _trains_on_training(event) for loop in event.loops}
    shown = counted | offences if counted else frozenset(event.number for event in trace.scores())
    for event in trace.events:
        if isinstance(event, Update) and validation(event.tokens):
            yield event
        elif isinstance(event, Score) and event.reported and event.number in shown:
            if event.number in counted or not training.intersection(event.loops):
                yield event


def _trains_on_training(event: Event) -> bool:
    return isinstance(event, Update) and Role.TRAINING in roles_of(event.tokens)


@dataclass(frozen=True, slots=True)
class _Drawing:
    trace: Trace
    counted: frozenset[int]
    offences: frozenset[int]
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
        for number, (start, end) in enumerate(zip(bounds, bounds[1:], strict=False)):
            yield from self.lay(later if number else first, depth + 1, start, end)

    def _step(self, event: _Touch, low: int, high: int) -> Step:
        spans = ((low, high),)
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
        trained: dict[tuple[str, int | None], tuple[Update, Step]] = {}
        for event, step in laid:
            if isinstance(event, Update):
                trained[_place(event)] = (event, step)
            elif trained and self._is_restored(event, [update for update, _ in trained.values()]):
                low, high = (bound([s.spans for _, s in trained.values()]) for bound in (_lowest, _highest))
                text = "the next score carries nothing of what was trained before"
                yield Step(action=Action.RESTORE, spans=((low, high),), text=text, location=event.location)
                trained.clear()
            yield step

    def _is_restored(self, score: Score, updates: Sequence[Update]) -> bool:
        carried = {_place(self.trace.events[number]) for number in score.influences | score.lookups}
        same_state = any(set(update.states) & set(score.states) for update in updates)
        return same_state and not any(_place(update) in carried for update in updates)


def _lowest(spans: Iterable[tuple[tuple[int, int], ...]]) -> int:
    return min(low for each in spans for low, _ in each)


def _highest(spans: Iterable[tuple[tuple[int, int], ...]]) -> int:
    return max(high for each in spans for _, high in each)


def _place(event: Event) -> tuple[str, int | None]:
    return event.location.path, event.location.line


def _selects(loop: int, events: Iterable[_Touch]) -> bool:
    """Do the turns of a loop select the tokens of these events?"""
    return any(turn[0] == loop for event in events for region in validation(event.tokens) for turn in region.turns)


def _interleaves(events: Sequence[_Touch]) -> bool:
    return len({isinstance(event, Score) for event in events}) == 2


def _num_chunks(events: Sequence[_Touch], depth: int, width: int) -> int:
    """Into how many chunks a loop's share of the stream is cut: fewer where each is cut again."""
    if width < _NUM_POSITIONS:
        return _NUM_INNER
    inner = {event.loops[depth + 1] for event in events if len(event.loops) > depth + 1}
    nested = (
        [event for event in events if len(event.loops) > depth + 1 and event.loops[depth + 1] == loop] for loop in inner
    )
    is_cut_again = any(_interleaves(group) and _selects(group[0].loops[depth + 1], group) for group in nested)
    return _NUM_OUTER if is_cut_again else _NUM_CHUNKS


def _repeats(first: Step, second: Step) -> bool:
    """Is the second what the first was? Changes of one function to several tables or groups of weights are one step."""
    if (first.action, first.spans) != (second.action, second.spans):
        return False
    if first.location == second.location:
        return True
    return first.action is Action.TRAIN and _function(first) == _function(second) is not None


def _function(step: Step) -> tuple[str, str] | None:
    return (step.location.path, step.location.symbol) if step.location and step.location.symbol else None


def _merged(steps: Iterable[Step]) -> list[Step]:
    """Steps that follow each other at one place over the same tokens are one: turns of a loop that repeats it."""
    merged: list[Step] = []
    for step in steps:
        before = merged[-1] if merged else None
        if before is None or not _repeats(before, step):
            merged.append(step)
        else:
            merged[-1] = replace(
                before, counted=before.counted or step.counted, offence=before.offence or step.offence, text=_longer(before, step)
            )
    return merged


def _longer(first: Step, second: Step) -> str:
    """Of two texts about one place the one that says more."""
    return max(first.text, second.text, key=len)
