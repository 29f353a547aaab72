"""PG401: the written weights depend on validation tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar

from auditor.events import Update, Write, validation
from auditor.finding import Basis, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.flow_facts import Breach, judge, step

class ValidationInTraining(Rule):
    """The written weights depend on validation tokens.

    Requirement: nothing derived from the validation split shapes the artifact: no gradient, no calibration, no packed text.

    Detection: every file into which weights are written, and what these weights depend on: updates with validation tokens, or
    statistics of them (Hessians, activation scales) that a quantiser used. Evaluation for logging is in order.

    Limits: data that is validation under another name is not told from its path; statistics that a forward pass keeps
    inside the network are not followed.

    Remedy: train and calibrate on training shards, or on text that the model generates itself.
    """

    id = "PG401"
    name = "validation-in-training"
    family = "data access"
    authority = (
        Authority(AuthorityLevel.README, "no access to validation data during training", date(2026, 3, 20)),
    )
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.VIOLATION,
        RulesetName.README: Status.VIOLATION,
    }
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for weights that are written after validation tokens had influenced them."""
        yield from judge(self, submission, ruleset, _breaches, _passed)


def _breaches(trace: Trace) -> Iterator[Breach]:
    for write in trace.events:
        if not (isinstance(write, Write) and write.weights):
            continue
        updates = [e for n in sorted(write.influences) if isinstance(e := trace.events[n], Update) and validation(e.tokens)]
        for update in updates:
            yield Breach(
                location=update.location,
                text=f"{update.location.symbol} trains on validation tokens the weights that line {write.location.line} writes",
                steps=(step(update, "validation tokens change the weights"), step(write, f"the weights are written to {write.path}")),
                scores=_scores_after(trace, write, updates),
                switches=update.switches,
            )
        if not updates and validation(write.tokens):
            yield Breach(
                location=write.location,
                text=f"the weights written to {write.path} were quantised with statistics of validation tokens",
                steps=(step(write, "the weights are written"),),
                scores=frozenset(score.number for score in trace.scores() if score.number > write.number),
                switches=write.switches,
            )


def _scores_after(trace: Trace, write: Write, updates: list[Update]) -> frozenset[int]:
    numbers = {update.number for update in updates}
    return frozenset(score.number for score in trace.scores() if score.influences & numbers)


def _passed(trace: Trace) -> str:
    """What was established about a trace without a breach."""
    places = sorted({str(e.location) for e in trace.events if isinstance(e, Write) and e.weights})
    return f"weights are written without influence of validation tokens ({', '.join(places) or 'no file of weights is written'})"
