"""PG503: a free tensor is fitted to the tokens that are then scored with it."""

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
from rules.run_facts import fitted_before_score


class SlotAdaptation(Rule):
    """A free tensor is fitted to the tokens that are then scored with it.

    Requirement: no hidden delta, logit bias or embedding may be optimised with a loss that includes positions whose loss is
    then reported. That most of the window was scored before does not help: the new positions are in the loss.

    Detection: a tensor outside the network that an optimizer (or arithmetic by hand) changes under the influence of
    validation tokens, and a reported score of the same tokens that reads it. Positions are told apart by the bounds of
    slices and masks. One delta for a batch of overlapping windows counts as fitted to all of them, even where each
    window masks its own new positions, because later windows hold those positions as context.

    Limits: bounds are compared as text. A closed-form fit without gradients is seen only if it writes into such a tensor.

    Remedy: fit only on tokens whose loss is already counted, one delta per window.
    """

    id = "PG503"
    name = "slot-adaptation"
    family = "causality"
    authority = (
        Authority(
            AuthorityLevel.COMMUNITY, "the optimised delta leaks the scored tokens in every probe (#1240)", date(2026, 4, 2)
        ),
        Authority(
            AuthorityLevel.README, "test-time training only on validation tokens already evaluated", date(2026, 3, 20)
        ),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})
    alternatives = frozenset({Basis.RUN})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for scores computed with a delta that their own tokens had fitted."""
        found = judge(self, submission, ruleset, _breaches, _passed)
        yield from confront(self, submission, ruleset, found, fitted_before_score)


def _breaches(trace: Trace) -> Iterator[Breach]:
    for meeting, update, score in reported_meetings(trace):
        if update.kind is not UpdateKind.DELTA or (meeting.is_apart and not update.shared_by_batch):
            continue
        how = "fits one delta for overlapping windows" if meeting.is_apart else "fits a free tensor"
        yield Breach(
            location=update.location,
            text=f"{update.location.symbol} {how} to validation tokens that line {score.location.line} then scores with it",
            steps=steps_of(trace, meeting),
            scores=frozenset((score.number,)),
            switches=update.switches,
        )


def _passed(trace: Trace) -> str:
    """What was established."""
    return (
        f"no free tensor is fitted to tokens that are scored with it; {len(trace.scores())} reported scores were followed"
    )
