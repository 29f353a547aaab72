"""PG403: the script uses the network after training has begun."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar

from auditor.events import Connect, Role, Update, roles_of
from auditor.finding import Basis, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.flow_facts import Breach, judge, step

class NetworkAtEvaluation(Rule):
    """The script uses the network after training has begun.

    Requirement: evaluation makes no downloads and uses no network. Fetching data or packages before training is set-up.

    Detection: calls of download and socket libraries, and of package managers and download tools in a subprocess, by whether
    training has begun when they are reached. Error messages that mention a package manager are no calls.

    Limits: commands put together from unknown parts are not read; a library that connects on its own is not known.

    Remedy: fetch what is needed in a separate script before the run.
    """

    id = "PG403"
    name = "network-at-evaluation"
    family = "data access"
    authority = (
        Authority(AuthorityLevel.README, "no downloads and no network during evaluation", date(2026, 3, 18)),
    )
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.VIOLATION,
        RulesetName.README: Status.VIOLATION,
    }
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for connections that follow the first training step; earlier ones are notes."""
        yield from judge(self, submission, ruleset, _breaches, _passed)


def _breaches(trace: Trace) -> Iterator[Breach]:
    begun = next((e.number for e in trace.events if isinstance(e, Update) and Role.TRAINING in roles_of(e.tokens)), None)
    for event in trace.events:
        if not isinstance(event, Connect):
            continue
        late = begun is not None and event.number > begun
        when = "after training has begun" if late else "before training, as set-up"
        yield Breach(
            location=event.location,
            text=f"{event.location.symbol} uses the network ({event.what}) {when}",
            steps=(step(event, event.what),),
            scores=frozenset(score.number for score in trace.scores() if score.number > event.number),
            switches=event.switches,
            status=None if late else Status.NOTE,
        )


def _passed(trace: Trace) -> str:
    """What was established about a trace without a breach."""
    return f"no network call is reached in {len(trace.events)} events from start to end"
