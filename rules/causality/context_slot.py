"""PG504: state is fitted to the context of each window just before its new tokens are scored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.events import UpdateKind
from auditor.finding import Basis, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.flow_facts import Breach, judge, reported_meetings, steps_of
from rules.run_facts import fitted_to_context


class ContextSlot(Rule):
    """State is fitted to the context of each window just before its new tokens are scored.

    Requirement: disputed. Fitting a delta, a bias or weights to the already scored positions of a window, and scoring the
    other positions with it, formally uses only earlier tokens. No organiser has ruled on it and none was ever listed.

    Detection: as for slot-adaptation, where the bounds of slices or masks show that the fitted positions end where the
    scored ones begin.

    Limits: whether the context really was scored in an earlier window, under the same state, is not shown.

    Remedy: ask the organisers, or leave the method out.
    """

    id = "PG504"
    name = "context-slot"
    family = "causality"
    authority = (
        Authority(
            AuthorityLevel.DISPUTED,
            "whether context-only fitting is legal was asked and not answered (#1336)",
            date(2026, 4, 4),
        ),
    )
    status = everywhere(Status.REVIEW)
    required = frozenset({Basis.SOURCE})
    alternatives = frozenset({Basis.RUN})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for state fitted to a window's context before its other positions are scored."""
        found = judge(self, submission, ruleset, _breaches, _passed)
        yield from confront(self, submission, ruleset, found, fitted_to_context)


def _breaches(trace: Trace) -> Iterator[Breach]:
    for meeting, update, score in reported_meetings(trace):
        if not meeting.is_apart or update.kind is not UpdateKind.DELTA or update.shared_by_batch:
            continue
        yield Breach(
            location=update.location,
            text=f"{update.location.symbol} fits {', '.join(update.states)} to the context of a window "
            f"before line {score.location.line} scores its other positions",
            steps=steps_of(trace, meeting),
            scores=frozenset((score.number,)),
            switches=update.switches,
        )


def _passed(trace: Trace) -> str:
    """What was established."""
    return (
        f"nothing is fitted to a window's context before it is scored; {len(trace.scores())} reported scores were followed"
    )
