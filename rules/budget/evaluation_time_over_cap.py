"""PG302: the evaluation behind a submitted number took longer than the cap."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.finding import Basis, Evidence, Finding, Measurement, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status, everywhere
from auditor.submission.logs.model import DurationKind
from auditor.submission.submission import Submission
from rules.budget.headline_evaluation import HeadlineEvaluation, headline_evaluation, is_table
from rules.budget.span import Span, shown, span_of
from rules.budget.standing import Bench, Standing, bench_of
from rules.budget.track import NOT_BOUND, Track
from rules.headline_runs import SeedRun, judged_runs, place
from rules.limits import EVALUATION_CAP_SECONDS, LAUNCH, RULES_AS_OF

CAP = EVALUATION_CAP_SECONDS.value

_READS_VALIDATION = (DurationKind.EVALUATE, DurationKind.EVALUATE_TOTAL, DurationKind.ADAPT)


class EvaluationTimeOverCap(Rule):
    """The evaluation behind the submitted number took longer than the cap of 600 s.

    Requirement: for every seed of a record, everything that reads validation data for the submitted number takes at most
    600 s on the reference hardware, in addition to training. The non-record track may take longer.

    Detection: finds the evaluation that printed each seed's number, with its total where one follows, and adds adaptation
    and precomputation that ran outside its timer. Diagnostic evaluations, decompression and compile warm-up on random
    tokens do not count in practice; the readme ruleset asks for a person where they exceed the cap together. An excess that
    only comes from hint tables built outside the timer is disputed, one that depends on where an adaptation ran is not
    known: both are for a person.

    Limits: work that prints no time is not counted. Where no log line carries the number, only the longest evaluation of a
    run is looked at. Whether a longer time outside the record track is stated in the README is not read.

    Remedy: shorten the evaluation until its total, all adaptation included, is below the cap on the slowest seed.
    """

    id = "PG302"
    name = "evaluation-time-over-cap"
    family = "time and hardware"
    authority = (
        Authority(AuthorityLevel.README, EVALUATION_CAP_SECONDS.source, LAUNCH),
        Authority(AuthorityLevel.ORGANISER, "an evaluation of 688 s was faulted (#1972)", RULES_AS_OF.value),
        Authority(AuthorityLevel.DISPUTED, "hint tables built before the timer starts (#1967)", date(2026, 4, 30)),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.LOG})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Judge the evaluation of every seed."""
        bench = bench_of(submission)
        if bench.track is Track.NON_RECORD:
            yield NOT_BOUND
        for statement in self._statements(submission, bench, ruleset):
            if bench.track is not Track.NON_RECORD or not isinstance(statement, Unestablished):
                yield statement

    def _statements(self, submission: Submission, bench: Bench, ruleset: Ruleset) -> Iterator[Statement]:
        seed_runs = judged_runs(submission)
        if not seed_runs:
            yield Unestablished(message="there is no log that tells how long the evaluation took")
        metrics = {(line.metric.log, line.metric.line): line.metric for line in submission.headline.lines}
        for seed_run in seed_runs:
            standing = bench.weigh(seed_run, seed_run.run)
            if seed_run.line is None:
                yield from self._judge_unlocated(seed_run, standing, ruleset)
                continue
            log = bench.logs[seed_run.run.log]
            evaluation = headline_evaluation(seed_run.run, metrics[log.path, seed_run.line], log)
            if evaluation is None:
                yield Unestablished(message=f"{seed_run.name}: the log prints no time for the evaluation of its number")
            else:
                yield self._judge(seed_run, evaluation, standing, ruleset)

    def _judge(self, seed_run: SeedRun, evaluation: HeadlineEvaluation, standing: Standing, ruleset: Ruleset) -> Statement:
        strict = ruleset.name is RulesetName.README
        without_tables = span_of(evaluation.own, *(each for each in evaluation.outside if not is_table(each)))
        if without_tables.is_over(CAP) or (strict and evaluation.least.is_over(CAP)):
            return self._excess(seed_run, evaluation, standing, ruleset)
        if evaluation.least.is_over(CAP):
            why = "tables built outside the timer are disputed"
        elif evaluation.most.is_over(CAP):
            extra = ", ".join(f"{each.label} {shown(each)}" for each in evaluation.unsure)
            why = f"it is over the cap if {extra} ran outside its timer, which the log does not tell"
        elif not evaluation.most.is_within(CAP):
            message = f"{seed_run.name}: {evaluation.own.text!r} is too coarse to tell on which side of the cap it is"
            return Unestablished(message=message, location=place(evaluation.own))
        elif strict and evaluation.whole.is_over(CAP):
            why = f"with the other evaluations and the warm-up of the run it is {evaluation.whole.low:.1f} s"
        else:
            return Evidence(
                basis=Basis.LOG,
                message=f"{seed_run.name}: {_described(evaluation)}",
                location=place(evaluation.own),
                measurement=_measured(evaluation.most),
            )
        return self._excess(seed_run, evaluation, standing.but(Status.REVIEW, why), ruleset)

    def _judge_unlocated(self, seed_run: SeedRun, standing: Standing, ruleset: Ruleset) -> Iterator[Statement]:
        """A run of which nobody knows whether it carries the number: all its evaluations may fit, one alone may not."""
        evaluations = [each for each in seed_run.run.durations if each.kind in _READS_VALIDATION]
        longest = max(evaluations, key=lambda each: each.seconds, default=None)
        if longest is not None and span_of(*evaluations).is_within(CAP):
            message = f"{seed_run.name}: all evaluations took {span_of(*evaluations).high:.1f} s together"
            yield Evidence(basis=Basis.LOG, message=message, location=place(longest))
            return
        yield Unestablished(message=f"{seed_run.name}: no line carries the number, so its evaluation is not known")
        if longest is not None and span_of(longest).is_over(CAP):
            yield self._excess(seed_run, HeadlineEvaluation(longest), standing, ruleset)

    def _excess(self, seed_run: SeedRun, evaluation: HeadlineEvaluation, standing: Standing, ruleset: Ruleset) -> Finding:
        return self.finding(
            ruleset,
            f"{seed_run.name}: {_described(evaluation)}; the cap is {CAP:.0f} s{standing}",
            basis=Basis.LOG,
            status=standing.status,
            confidence=standing.confidence,
            location=place(evaluation.own),
            related=tuple((place(each), "outside its timer") for each in evaluation.outside),
            measurement=_measured(evaluation.least),
            remedy="shorten the evaluation on the slowest seed",
            anchor=f"{seed_run.name} evaluated too long",
        )


def _described(evaluation: HeadlineEvaluation) -> str:
    parts = [f"{each.label} {shown(each)}" for each in evaluation.outside]
    own = f"the evaluation took {shown(evaluation.own)}"
    return f"{own} and outside its timer {', '.join(parts)}, {evaluation.least.low:.1f} s in all" if parts else own


def _measured(span: Span) -> Measurement:
    return Measurement(quantity="evaluation", observed=round(span.low, 3), limit=CAP, unit="s")
