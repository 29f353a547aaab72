"""PG401: the written weights depend on validation tokens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.events import Selection, Statistics, Update, Write, validation
from auditor.finding import Basis, Confidence, Statement, Step
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.access.stated_validation import stated_validation_use
from rules.confront import confront
from rules.flow_facts import Breach, artifact_writes, judge, remedy_of, step, way_to
from rules.run_facts import trained_at_all


class ValidationInTraining(Rule):
    """The written weights depend on validation tokens.

    Requirement: nothing derived from the validation split shapes the artifact: no gradient, no calibration, no packed
    tokens. Test-time training after the artifact is written is another matter (PG701).

    Detection: every file into which weights are written before a reported score, and what these weights depend on: updates
    with validation tokens, or statistics of them (Hessians, activation scales) that a quantiser used. Evaluation for
    logging is in order. Keeping the weights with the better validation loss has not been ruled on and is a note. What a
    submission says of itself (training on the validation shard only, a paid prefix) needs a person.

    Limits: data that is validation under another name is not told from its path; statistics that a forward pass keeps
    inside the network are not followed; a blob that was packed elsewhere is seen only where it is mentioned.

    Remedy: train and calibrate on training shards, or on text that the model generates itself.
    """

    id = "PG401"
    name = "validation-in-training"
    family = "data access"
    authority = (Authority(AuthorityLevel.README, "no access to validation data during training", date(2026, 3, 20)),)
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for weights that are written after validation tokens had influenced them, and for what is said about it."""
        found = judge(self, submission, ruleset, _breaches, _passed)
        yield from confront(self, submission, ruleset, found, trained_at_all)
        stated = list(stated_validation_use(submission))
        for what, place in stated[:1]:
            yield self.finding(
                ruleset,
                f"{place.path} states {what}",
                basis=Basis.FILES,
                status=Status.REVIEW,
                confidence=Confidence.MEDIUM,
                location=place,
                related=tuple((other, text) for text, other in stated[1:]),
                remedy=remedy_of(self),
                anchor=what,
            )


def _breaches(trace: Trace) -> Iterator[Breach]:
    scores = trace.scores()
    for write in artifact_writes(trace):
        if any(score.number > write.number for score in scores):
            updates = [
                e for n in sorted(write.influences) if isinstance(e := trace.events[n], Update) and validation(e.tokens)
            ]
            yield from (_trained(trace, update, write) for update in updates)
            if not updates and validation(write.tokens):
                yield _calibrated(trace, write)
    for event in trace.events:
        if isinstance(event, Selection):
            yield _selected(event)


def _trained(trace: Trace, update: Update, write: Write) -> Breach:
    """Validation tokens changed weights that are then written."""
    changes = step(update, f"{', '.join(update.states)} changes ({update.how}) by validation tokens")
    return Breach(
        location=way_to(update, write),
        text=f"{update.location.symbol} changes by validation tokens the weights that line {write.location.line} writes",
        steps=(changes, _written(write)),
        scores=frozenset(score.number for score in trace.scores() if update.number in score.influences),
        switches=update.switches,
    )


def _calibrated(trace: Trace, write: Write) -> Breach:
    """Weights are written that were computed with statistics of validation tokens."""
    earlier = [e for e in trace.events[: write.number] if isinstance(e, Statistics)]
    location = way_to(earlier[0], write) if earlier else write.location
    steps = [step(earlier[0], f"{earlier[0].function} returns statistics of validation tokens")] if earlier else []
    return Breach(
        location=location,
        text=f"the weights that line {write.location.line} writes were computed with statistics of validation tokens",
        steps=(*steps, _written(write)),
        scores=frozenset(score.number for score in trace.scores() if score.number > write.number),
        switches=write.switches,
    )


def _selected(event: Selection) -> Breach:
    """The weights that are kept are those with the better loss on validation tokens: nobody has ruled on that."""
    return Breach(
        location=event.location,
        text="the weights are kept or not by their loss on validation tokens",
        steps=(step(event, "the weights are kept"),),
        scores=frozenset(),
        switches=event.switches,
        status=Status.NOTE,
    )


def _written(write: Write) -> Step:
    return step(write, f"the weights are written to {write.path}")


def _passed(trace: Trace) -> str | None:
    """What was established about a trace without a breach; None if no file of weights is written."""
    writes = artifact_writes(trace)
    places = sorted({f"{e.location.path}:{e.location.line}" for e in writes})
    return f"weights are written without influence of validation tokens ({', '.join(places)})" if writes else None
