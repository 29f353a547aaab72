"""The facts of one script: what the submitted configuration does, what it could do, and what could not be told."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from auditor.events import Choice, Event, Lookup, Report, Score, Unknown, Update, UpdateKind
from auditor.finding import Location
from auditor.source.flow.calls import Calls
from auditor.source.flow.machine import BudgetError, DeadArm, Machine
from auditor.source.flow.record import Meeting
from auditor.source.flow.settings import Settings, SingleProcess
from auditor.submission.script import Module, Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The events of one evaluation in program order, and the updates that met a score on its own tokens.

    `orders` tells, by loop, how the list that it goes through was put out of the order in which it was made, `headings`
    where it begins and its first line. `elsewhere` are places that leave something to code that is not shipped, `loaded`
    those that load weights which this run did not write, `refused` is the number of conditions that hold and under which
    the script raises.
    """

    events: tuple[Event, ...]
    meetings: tuple[Meeting, ...]
    problems: tuple[Unknown, ...]
    dead: tuple[DeadArm, ...]
    elsewhere: tuple[tuple[Location, str], ...] = ()
    loaded: tuple[Location, ...] = ()
    refused: int = 0
    orders: Mapping[int, str] = field(default_factory=dict)
    headings: Mapping[int, tuple[Location, str]] = field(default_factory=dict)
    error: str | None = None

    def scores(self) -> list[Score]:
        """Every score of validation tokens that reaches a reported metric."""
        return [event for event in self.events if isinstance(event, Score) and event.reported]

    def offending(self) -> list[Meeting]:
        """The meetings in which a score's own tokens had a part in its state.

        An update that kept to earlier positions of the window is none, unless overlapping windows share what it fitted.
        """
        return [meeting for meeting in self.meetings if not meeting.is_apart or self._is_shared(meeting.update)]

    def _is_shared(self, number: int) -> bool:
        update = self.events[number]
        return isinstance(update, Update) and update.kind is UpdateKind.DELTA and update.shared_by_batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """`submitted` follows the submitted configuration, `possible` every setting; the rest of it is dead code."""

    submitted: Trace
    possible: Trace

    def dead_events(self) -> list[Event]:
        """Events that only another setting reaches, marked so."""
        live = {(type(event), event.location.place) for event in self.submitted.events}
        return [
            replace(event, live=False) for event in self.possible.events if (type(event), event.location.place) not in live
        ]


def analyse(script: Script, settings: Settings, afterwards: Script | None = None) -> Flow:
    """Evaluate the script as submitted, and again with every switch undecided if any switch decided something.

    `afterwards` is a second script that then runs on the files that the first one wrote.
    """
    mains = [script.main]
    if afterwards is not None:
        known = {module.path for module in script.modules}
        mains.append(afterwards.main)
        script = replace(script, modules=(*script.modules, *(m for m in afterwards.modules if m.path not in known)))
    submitted = trace(script, settings, explore=False, mains=mains)
    if submitted.refused and settings.environment("WORLD_SIZE") not in (None, "1"):
        alone = trace(script, SingleProcess(settings), explore=False, mains=mains)
        if not alone.refused:  # the script itself tells that so many processes cannot be
            submitted, settings = alone, SingleProcess(settings)
    possible = trace(script, settings, explore=True, mains=mains) if submitted.dead else submitted
    return Flow(submitted=submitted, possible=possible)


def trace(script: Script, settings: Settings, explore: bool, mains: Sequence[Module]) -> Trace:
    """One evaluation, from each of the entry points in turn; what ends it early is told in `error`."""
    machine = Machine(script, settings, explore)
    error = None
    try:
        for main in mains:
            Calls(machine).run_module(main, as_main=True)
    except (BudgetError, OverflowError, RecursionError, MemoryError) as stopped:
        error = f"stopped after {machine.steps:,} steps: {stopped or type(stopped).__name__}"
    except Exception:  # noqa: BLE001 - a defect of the analysis is an unknown of this script, never a crash of the audit
        error = f"the analysis failed: {traceback.format_exc()}"
    recorder = machine.recorder
    events = [_with_picked(event, recorder.picked) for event in _with_reported(recorder.events)]
    events = [_with_cancelled(event, recorder.cancelled) for event in events]
    return Trace(
        events=tuple(events),
        meetings=tuple(recorder.meetings),
        problems=tuple(recorder.problems),
        dead=tuple(dict.fromkeys(machine.dead)),
        elsewhere=tuple(recorder.calls_away),
        loaded=tuple(recorder.loaded),
        refused=machine.refused,
        orders=dict(recorder.orders),
        headings=dict(recorder.headings),
        error=error,
    )


def _with_picked(event: Event, picked: frozenset[int]) -> Event:
    return replace(event, picked=True) if isinstance(event, Lookup) and event.number in picked else event


def _with_cancelled(event: Event, cancelled: set[int]) -> Event:
    return replace(event, cancels=True) if isinstance(event, Choice) and event.number in cancelled else event


def _with_reported(events: Sequence[Event]) -> list[Event]:
    reported = {number for event in events if isinstance(event, Report) and event.is_metric for number in event.scores}
    return [
        replace(event, reported=True) if isinstance(event, Score) and event.number in reported else event
        for event in events
    ]
