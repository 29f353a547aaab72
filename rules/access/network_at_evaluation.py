"""PG403: the run uses the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar

from auditor.events import Connect, Event
from auditor.finding import Basis, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.flow_facts import Breach, judge, step


class NetworkAtEvaluation(Rule):
    """The run uses the network.

    Requirement: evaluation makes no downloads and uses no network. Fetching data or packages before the run is set-up.

    Detection: calls of download and socket libraries, and of package managers and download tools in a subprocess, that are
    reached from the call that trains and evaluates. What a module does before it makes that call is set-up, and a note.
    Error messages that mention a package manager are no calls.

    Limits: commands put together from unknown parts are not read; a library that connects on its own is not known.

    Remedy: fetch what is needed in a separate script before the run.
    """

    id = "PG403"
    name = "network-at-evaluation"
    family = "data access"
    authority = (Authority(AuthorityLevel.README, "no downloads and no network during evaluation", date(2026, 3, 18)),)
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.VIOLATION,
        RulesetName.README: Status.VIOLATION,
    }
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for connections within the run; earlier ones are notes."""
        yield from judge(self, submission, ruleset, _breaches, _passed)


def _breaches(trace: Trace) -> Iterator[Breach]:
    entries = {_entry(score) for score in trace.scores()}
    for event in trace.events:
        if not isinstance(event, Connect):
            continue
        within = _entry(event) in entries
        when = "within the run" if within else "before the run starts, as set-up"
        yield Breach(
            location=event.location,
            text=f"{event.location.symbol} uses the network ({event.what}) {when}",
            steps=(step(event, event.what),),
            scores=frozenset(score.number for score in trace.scores() if score.number > event.number),
            switches=event.switches,
            status=None if within else Status.NOTE,
        )


def _entry(event: Event) -> int | None:
    """The line at module level that leads to an event: the start of the run, or of something before it."""
    return event.calls[0].line if event.calls else event.location.line


def _passed(trace: Trace) -> str:
    """What was established."""
    return f"no network call is reached in {len(trace.events)} events from start to end"
