"""The evaluation as an ordered story: what is read, trained, written, scored and printed, line by line.

One line per place, in program order, under the first lines of the loops around it. A score says whose changes its state
carries; a change under the influence of validation tokens says whether these had been scored before. What only another
setting reaches follows at the end, with the switches that keep it off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from auditor.events import (
    Connect,
    Event,
    Gate,
    Lookup,
    Read,
    Region,
    Report,
    Role,
    Score,
    Update,
    UpdateKind,
    Write,
    roles_of,
    validation,
)
from auditor.finding import Location, Place
from auditor.source.flow.analysis import Flow, Trace

_WIDTH = 60


def tell(flow: Flow) -> str:
    """The story of a script's flow as text, ending without a newline."""
    lines = ["Submitted configuration, in program order:"]
    lines += list(_told(flow.submitted)) or ["  nothing that reads data, trains, scores or prints a score was found"]
    if flow.submitted.error:
        lines.append(f"  ... not followed further: {flow.submitted.error.splitlines()[-1]}")
    dead = [event for event in flow.dead_events() if isinstance(event, Score | Update | Lookup | Connect)]
    dead = [event for event in dead if not isinstance(event, Update) or validation(event.tokens)]
    if dead:
        lines.append("Reached only under another setting:")
        lines += _dead(dead, flow.possible)
    for problem in flow.submitted.problems:
        lines.append(f"Not told: {problem.location}: `{problem.construct}` {problem.reason}")
    return "\n".join(lines)


def _told(trace: Trace) -> Iterator[str]:
    seen: set[tuple[object, ...]] = set()
    open_loops: list[Location] = []
    for event in trace.events:
        text = _sentence(event, trace)
        label = event.label if isinstance(event, Report) else event.what if isinstance(event, Read) else ""
        way = tuple(call.place for call in event.calls) if isinstance(event, Score | Update) else ()
        key = (type(event).__name__, event.location.place, label, way)
        news = (*key, text) if isinstance(event, Score) else key  # a later turn may score with more than the first
        if text is None or news in seen:
            continue
        later = f"in later turns: {text}" if key in seen else text
        seen |= {key, news}
        yield from _headings(event, trace, open_loops)
        yield _line(event, later)


def _headings(event: Event, trace: Trace, open_loops: list[Location]) -> Iterator[str]:
    """The first lines of the loops around an event that were not open before; `open_loops` then are those around it."""
    around = [trace.headings[number] for number in event.loops if number in trace.headings]
    shared = 0
    while shared < min(len(around), len(open_loops)) and around[shared][0] == open_loops[shared]:
        shared += 1
    for depth, (place, text) in enumerate(around[shared:], start=shared + 1):
        yield f"{'  ' * depth}{place.path}:{place.line} {place.symbol}: {text}:"
    open_loops[:] = [place for place, _ in around]


def _dead(events: Sequence[Event], trace: Trace) -> Iterator[str]:
    seen: set[Place] = set()
    for event in events:
        place = event.location.place
        text = _sentence(event, trace)
        if text is None or place in seen:
            continue
        seen.add(place)
        by = f"  [{', '.join(event.switches)}]" if event.switches else ""
        yield _line(event, text) + by


def _line(event: Event, text: str) -> str:
    place = f"{event.location.path}:{event.location.line}"
    indent = "  " * (1 + len(event.loops))
    return f"{indent}{place} {event.location.symbol}: {text}"


def _sentence(event: Event, trace: Trace) -> str | None:
    match event:
        case Read():
            return f"reads {event.role} from {event.what}"
        case Write() if event.weights and not event.in_memory:
            marks = " that depend on validation tokens" if _depends(event, trace) else ""
            return f"writes weights{marks} to {event.path}"
        case Update():
            return tell_change(event, trace)
        case Score():
            return tell_score(event, trace)
        case Lookup():
            key = "the context and the target" if event.by_target else "the context"
            named = "a table" if event.table == "table" else f"table {event.table}"
            return f"asks {named} under {key}"
        case Gate() if any(event.number in score.gates for score in trace.scores()):
            return f"decides by the realised token: {event.text}"
        case Report() if event.is_metric:
            return f"prints {event.label[:_WIDTH]}"
        case Connect():
            return f"uses the network: {event.what}"
        case _:
            return None


def tell_change(update: Update, trace: Trace) -> str:
    """What changes, with which tokens, and whether these had been scored before."""
    verb = {UpdateKind.PARAMETERS: "trains", UpdateKind.DELTA: "fits", UpdateKind.TABLE: "fills"}[update.kind]
    what = ", ".join("a table" if name == "table" else name for name in update.states)
    told = f"{verb} {what} ({update.how}) with {_tokens(update.tokens)}"
    if not validation(update.tokens):
        return told
    lines = sorted({line for number in update.scored_by if (line := trace.events[number].location.line)})
    if lines:
        return f"{told}, scored before at line {', '.join(map(str, lines))}"
    is_read = any(update.number in score.influences or _asks(score, update, trace) for score in trace.scores())
    return f"{told}, not scored before{'' if is_read else '; no printed score reads the result'}"


def _asks(score: Score, update: Update, trace: Trace) -> bool:
    """Does a table that the update fills shape the score, though what it held then could not be told?"""
    return update.kind is UpdateKind.TABLE and not _tables(score, trace).isdisjoint(update.states)


def tell_score(score: Score, trace: Trace) -> str:
    """What tokens are scored with, and whose changes that carries."""
    own = [meeting for meeting in trace.offending() if meeting.score == score.number]
    told = f"scores validation tokens with {', '.join(score.states) or 'a predictor'}{_mixed_with(score, trace)}"
    places = sorted({line for meeting in own if (line := trace.events[meeting.update].location.line)})
    if places:
        told += f", which the same tokens changed at line {', '.join(map(str, places))}"
    elif any(validation(_update(trace, number).tokens) for number in score.influences):
        told += ", changed by other validation tokens before"
    return told if score.reported else f"{told} (not printed)"


def _mixed_with(score: Score, trace: Trace) -> str:
    """What shaped the loss beside the model: a predictor of bytes, or tables."""
    if score.byte_mixture is not None:
        return " and a predictor of bytes"
    named = sorted("a table" if table == "table" else f"table {table}" for table in _tables(score, trace))
    return f" and what {', '.join(named)} said" if named else ""


def _tables(score: Score, trace: Trace) -> set[str]:
    """The tables that were asked for the loss."""
    return {event.table for number in score.lookups if isinstance(event := trace.events[number], Lookup)}


def _update(trace: Trace, number: int) -> Update:
    event = trace.events[number]
    assert isinstance(event, Update)
    return event


def _depends(write: Write, trace: Trace) -> bool:
    return bool(validation(write.tokens)) or any(validation(_update(trace, n).tokens) for n in write.influences)


def _tokens(regions: Iterable[Region]) -> str:
    roles = sorted(role for role in roles_of(regions) if role is not Role.OTHER)
    return " and ".join(f"{role} tokens" for role in roles)
