"""PG403: the run uses the network."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.events import Connect, Event, Read
from auditor.finding import Basis, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.flow_facts import Breach, judge, step
from rules.run_facts import reached_out


class NetworkAtEvaluation(Rule):
    """The run uses the network.

    Requirement: evaluation makes no downloads and uses no network. Fetching data or packages is set-up, done in a script of
    its own or by hand.

    Detection: calls of download and socket libraries, and of package managers and download tools in a subprocess, that are
    reached from the call that trains and evaluates, or after tokens were read. What a module does before that may pass
    for set-up, but the same script evaluates, so a person must look. Error messages that mention a package manager are no
    calls.

    Limits: a library that connects on its own is not known, nor is a command whose words cannot be told.

    Remedy: fetch what is needed in a separate script before the run.
    """

    id = "PG403"
    name = "network-at-evaluation"
    family = "data access"
    authority = (Authority(AuthorityLevel.README, "no downloads and no network during evaluation", date(2026, 3, 18)),)
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for every connection that the submitted run makes."""
        found = judge(self, submission, ruleset, _breaches, _passed)
        yield from confront(self, submission, ruleset, found, reached_out)


def _breaches(trace: Trace) -> Iterator[Breach]:
    entries = {_entry(score) for score in trace.scores()}
    opened = next((event.number for event in trace.events if isinstance(event, Read)), len(trace.events))
    for event in trace.events:
        if not isinstance(event, Connect):
            continue
        within = _entry(event) in entries or event.number > opened
        yield Breach(
            location=event.location,
            text=f"{event.location.symbol} uses the network ({event.what}) {'within' if within else 'before'} the run",
            steps=(step(event, event.what),),
            scores=frozenset(score.number for score in trace.scores() if score.number > event.number),
            switches=event.switches,
            status=None if within else Status.REVIEW,
        )


def _entry(event: Event) -> int | None:
    """The line at module level that leads to an event: the start of the run, or of something before it."""
    return event.calls[0].line if event.calls else event.location.line


def _passed(trace: Trace) -> str:
    """What was established about a trace without a breach."""
    return f"no network call is reached in {len(trace.events)} events from start to end"
