"""PG402: training shards are read after evaluation has begun."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.events import Event, Read, Role, Update, UpdateKind, roles_of, validation
from auditor.finding import Basis, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.flow_facts import Breach, artifact_writes, judge, step, way_to
from rules.run_facts import training_data_late


class TrainingDataAtEvaluation(Rule):
    """Training shards are read after evaluation has begun.

    Requirement: evaluation reads no training data; statistics of it must be paid for inside the artifact.

    Detection: evaluation begins when weights are written for the last time before a reported score. A training shard that
    is opened after that, or an update with training tokens, is a finding. A few batches more from the loader that
    training left open (a temperature is fitted to them) need a person, as a listed record does that, and so does a file
    of the data folder whose name cannot be told. Statistics of training tokens that were taken earlier and are in no
    file that the script wrote are the same by another way. Where no weights are written before they are scored, nothing
    but the last step of training may use training data before the last score.

    Limits: calibration between the end of the training time and the writing of the artifact is a question of time
    (PG303). Numbers that were chosen by their loss on training tokens are not followed.

    Remedy: do everything that needs training data inside the training time.
    """

    id = "PG402"
    name = "training-data-at-evaluation"
    family = "data access"
    authority = (
        Authority(AuthorityLevel.README, "no training data access during evaluation", date(2026, 3, 18)),
        Authority(
            AuthorityLevel.ORGANISER,
            "calibration on training data after the budget counts as evaluation (#677)",
            date(2026, 3, 25),
        ),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for training tokens that are used after the first reported score of the written weights."""
        found = judge(self, submission, ruleset, _breaches, _passed)
        yield from confront(self, submission, ruleset, found, training_data_late)


def _breaches(trace: Trace) -> Iterator[Breach]:
    begun = _begin_of_evaluation(trace)
    if begun is None:
        return
    late = [event for event in trace.events[begun.number + 1 :] if _uses_training(event)]
    for event in sorted(late, key=_is_in_doubt):
        yield Breach(
            location=way_to(event, begun),
            text=f"{event.location.symbol} uses {_what(event)} after line {begun.location.line} wrote the weights",
            steps=(step(begun, "the weights are written"), step(event, "training data are used")),
            scores=frozenset(score.number for score in trace.scores() if score.number > event.number),
            switches=event.switches,
            status=Status.REVIEW if _is_in_doubt(event) else None,
        )
    if not late:
        yield from _unpaid(trace, begun)


def _unpaid(trace: Trace, begun: Event) -> Iterator[Breach]:
    """Scores by what training tokens gave, which is neither in the weights nor in a file that the script wrote."""
    for score in trace.scores():
        if score.by_training and score.number > begun.number:
            asked = next((trace.events[number] for number in sorted(score.lookups)), score)
            yield Breach(
                location=asked.location,
                text=f"{asked.location.symbol} scores by statistics of training tokens that no file holds",
                steps=(
                    step(begun, "the weights are written"),
                    step(asked, "the statistics are used"),
                    step(score, "scored"),
                ),
                scores=frozenset((score.number,)),
                switches=score.switches,
            )


def _what(event: Event) -> str:
    is_unknown = isinstance(event, Read) and event.role is Role.OTHER
    return "a data file of unknown name" if is_unknown else "training data"


def _is_in_doubt(event: Event) -> bool:
    """A shard of unknown name, or a loader that goes on in its stream and may need no further file."""
    return isinstance(event, Read) and (event.conditional or event.role is Role.OTHER)


def _begin_of_evaluation(trace: Trace) -> Event | None:
    """The last time that weights are written before a score is reported."""
    scores = trace.scores()
    writes = [write for write in artifact_writes(trace) if scores and write.number < scores[-1].number]
    return writes[-1] if writes else None


def _uses_training(event: Event) -> bool:
    if isinstance(event, Read):
        return event.role in (Role.TRAINING, Role.OTHER)
    return isinstance(event, Update) and Role.TRAINING in roles_of(event.tokens) and not validation(event.tokens)


def _passed(trace: Trace) -> str | None:
    """What was established about a trace without a breach; None if it does not tell where evaluation begins."""
    if begun := _begin_of_evaluation(trace):
        return f"no training data are used after the weights are written at line {begun.location.line}"
    last = _last_step(trace)
    if last is None or any(score.by_training for score in trace.scores()):
        return None
    return (
        f"no training data are used after the last step on them (line {last.location.line}), which the last score follows"
    )


def _last_step(trace: Trace) -> Event | None:
    """The last use of training data, if it is a step that trains the weights and the last reported score follows it.

    Weights that no file holds before they are scored do not tell where evaluation begins; wherever that is after this
    step, it uses no training data.
    """
    used = [event for event in trace.events if _uses_training(event)]
    scores = trace.scores()
    trained = used and isinstance(used[-1], Update) and used[-1].kind is UpdateKind.PARAMETERS
    return used[-1] if trained and scores and scores[-1].number > used[-1].number else None
