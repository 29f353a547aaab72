"""PG402: training shards are read after evaluation has begun."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar

from auditor.events import Event, Read, Role, Update, Write, roles_of, validation
from auditor.finding import Basis, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.flow_facts import Breach, judge, step

class TrainingDataAtEvaluation(Rule):
    """Training shards are read after evaluation has begun.

    Requirement: evaluation reads no training data; statistics of it must be paid for inside the artifact.

    Detection: evaluation has begun once weights were written and read back and scored, or once validation tokens have changed
    parameters. A training shard that is opened after that, or an update with training tokens, is a finding.

    Limits: calibration between the end of the training time and the writing of the artifact is a question of time, which
    the source does not answer.

    Remedy: do everything that needs training data inside the training time.
    """

    id = "PG402"
    name = "training-data-at-evaluation"
    family = "data access"
    authority = (
        Authority(AuthorityLevel.README, "no training data access during evaluation", date(2026, 3, 18)),
        Authority(AuthorityLevel.ORGANISER, "calibration on training data after the budget counts as evaluation (#677)", date(2026, 3, 25)),
    )
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.VIOLATION,
        RulesetName.README: Status.VIOLATION,
    }
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for training tokens that are used after the first reported score of the written weights."""
        yield from judge(self, submission, ruleset, _breaches, _passed)


def _breaches(trace: Trace) -> Iterator[Breach]:
    begun = _begin_of_evaluation(trace)
    if begun is None:
        return
    for event in trace.events:
        if event.number <= begun.number or not _uses_training(event):
            continue
        yield Breach(
            location=event.location,
            text=f"{event.location.symbol} uses training data after evaluation began at line {begun.location.line}",
            steps=(step(begun, "evaluation has begun"), step(event, "training data are used")),
            scores=frozenset(score.number for score in trace.scores() if score.number > event.number),
            switches=event.switches,
        )


def _begin_of_evaluation(trace: Trace) -> Event | None:
    """The first update with validation tokens, or the first score after the last weights were written."""
    writes = [e.number for e in trace.events if isinstance(e, Write) and e.weights]
    for event in trace.events:
        if isinstance(event, Update) and validation(event.tokens):
            return event
    scored = [score for score in trace.scores() if writes and score.number > writes[-1]]
    return scored[0] if scored else None


def _uses_training(event: Event) -> bool:
    if isinstance(event, Read):
        return event.role is Role.TRAINING
    if isinstance(event, Write):
        return event.weights and Role.TRAINING in roles_of(event.tokens)
    return isinstance(event, Update) and Role.TRAINING in roles_of(event.tokens) and not validation(event.tokens)


def _passed(trace: Trace) -> str:
    """What was established about a trace without a breach."""
    begun = _begin_of_evaluation(trace)
    where = f"line {begun.location.line}" if begun else "the first score"
    return f"no training data are used after evaluation begins at {where}"
