"""PG301: the training loop behind a submitted number ran longer than the cap."""

from __future__ import annotations

from collections.abc import Iterator

from auditor.finding import Basis, Evidence, Measurement, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status, everywhere
from auditor.submission.submission import Submission
from rules.budget.span import Span, shown, span_of
from rules.budget.standing import Bench, Standing, bench_of
from rules.budget.track import NOT_BOUND, Track
from rules.budget.training_end import TrainingEnd, training_end
from rules.headline_runs import SeedRun, judged_runs, place
from rules.limits import ACCEPTED_TRAIN_SECONDS, LAUNCH, REFUSED_TRAIN_SECONDS, TRAIN_CAP_SECONDS

CAP = TRAIN_CAP_SECONDS.value


class TrainTimeOverCap(Rule):
    """The training loop behind the submitted number ran longer than the cap of 600 s.

    Requirement: for every seed behind the submitted number of a record, the training loop ends within 600 s on the
    reference hardware. The non-record track may train longer.

    Detection: takes the end of the loop from each seed's log: what its stop says, else what sums it up, else its last step.
    The reference loop looks at the clock after the step, so practice accepts one step more, as much as listed records show;
    what lies between the longest accepted and the shortest refused loop is for a person. A time printed too coarsely to
    decide decides nothing; a last step's time can show an excess, but cannot show that the loop ended in time.

    Limits: a clock that the script stops for part of its work is believed. Whether training longer outside the record track
    is stated in the README is not read.

    Remedy: let the clock, not a step count, stop the loop, with one step in reserve, and run the seed again.
    """

    id = "PG301"
    name = "train-time-over-cap"
    family = "time and hardware"
    authority = (
        Authority(AuthorityLevel.README, TRAIN_CAP_SECONDS.source, LAUNCH),
        Authority(AuthorityLevel.PRACTICE, ACCEPTED_TRAIN_SECONDS.source, LAUNCH),
        Authority(AuthorityLevel.PRACTICE, REFUSED_TRAIN_SECONDS.source, REFUSED_TRAIN_SECONDS.since),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.LOG})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Judge the end of every seed's training loop."""
        bench = bench_of(submission)
        if bench.track is Track.NON_RECORD:
            yield NOT_BOUND
        for statement in self._statements(submission, bench, ruleset):
            if bench.track is not Track.NON_RECORD or not isinstance(statement, Unestablished):
                yield statement

    def _statements(self, submission: Submission, bench: Bench, ruleset: Ruleset) -> Iterator[Statement]:
        seed_runs = judged_runs(submission)
        if not seed_runs:
            yield Unestablished(message="there is no log that tells how long training took")
        for seed_run in seed_runs:
            end = training_end(seed_run)
            if end is None:
                yield Unestablished(message=f"{seed_run.name}: no log prints a time of the training loop")
                continue
            span, cap = span_of(end.time), _cap(end, ruleset)
            if span.is_over(cap):
                yield self._excess(seed_run, end, bench.weigh(seed_run, end.run), ruleset)
            elif span.is_within(cap) and end.is_final:
                message = f"{seed_run.name}: the training loop ended at {shown(end.time)}"
                yield Evidence(basis=Basis.LOG, message=message, location=place(end.time), measurement=_measured(end))
            else:
                message = f"{seed_run.name}: {_doubt(end, span, cap)}"
                yield Unestablished(message=message, location=place(end.time))

    def _excess(self, seed_run: SeedRun, end: TrainingEnd, standing: Standing, ruleset: Ruleset) -> Statement:
        refused = span_of(end.time).is_over(REFUSED_TRAIN_SECONDS.value)
        if ruleset.name is RulesetName.PRACTICE and not refused:
            known = f"up to {ACCEPTED_TRAIN_SECONDS.value} s were accepted, from {REFUSED_TRAIN_SECONDS.value} s refused"
            standing = standing.but(Status.REVIEW, known)
        ended = "the training loop ended" if end.is_final else "the training loop still ran"
        return self.finding(
            ruleset,
            f"{seed_run.name}: {ended} at {shown(end.time)}, {end.time.seconds - CAP:.3f} s over the cap{standing}",
            basis=Basis.LOG,
            status=standing.status,
            confidence=standing.confidence,
            location=place(end.time),
            measurement=_measured(end),
            remedy="let the clock stop the loop and run the seed again",
            anchor=f"{seed_run.name} trained too long",
        )


def _cap(end: TrainingEnd, ruleset: Ruleset) -> float:
    """The longest loop that `ruleset` lets pass, in seconds."""
    if ruleset.name is RulesetName.README:
        return CAP
    return max(ACCEPTED_TRAIN_SECONDS.value, CAP + (end.step_seconds or 0.0))


def _measured(end: TrainingEnd) -> Measurement:
    return Measurement(quantity="training loop", observed=end.time.seconds, limit=CAP, unit="s")


def _doubt(end: TrainingEnd, span: Span, cap: float) -> str:
    if span.is_within(cap):
        return f"the last time printed in the training loop is {shown(end.time)}; when the loop ended is not"
    return f"{end.time.text!r} is too coarse to tell on which side of the cap the loop ended"
