"""PG003: the seeds behind a claim are not the seeds declared, or not runs of one configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import combinations

from auditor.finding import (
    Basis,
    Confidence,
    Evidence,
    Finding,
    Location,
    NotApplicable,
    Severity,
    Statement,
    Unestablished,
)
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status, everywhere
from auditor.submission.logs.model import LogFact, Metric, Run
from auditor.submission.submission import Submission
from rules.evidence.run_differences import Difference, find_code_sizes, find_differences, find_divisors
from rules.limits import LAUNCH, MIN_COPIED_SCORES
from rules.metric.split import split_of


class SeedMismatch(Rule):
    """The seeds behind a claim are not the seeds declared, or not runs of one configuration.

    Requirement: the claim is a mean over independent runs of one configuration, usually three, each with its own log.

    Detection: declared seeds without a log; two logs of different seeds that print the same scores to the last digit; runs
    behind one claim that differ in a hyper-parameter, in the number of parameters or in the code size; and a ratio of
    val_loss to val_bpb that differs between seeds by more than rounding allows, which a program that divides by a
    fixed number of bytes and tokens cannot print.

    Limits: seeds with different code sizes are only noted in practice, where five listed rows have them. Settings
    that a script does not print cannot be compared; names of runs, paths and hosts are left out. Seeds that were run
    and not shown are unknown.

    Remedy: report every seed of one configuration, with its own unedited log.
    """

    id = "PG003"
    name = "seed-mismatch"
    family = "evidence"
    authority = (
        Authority(AuthorityLevel.README, "logs of usually 3 training runs show the claim", LAUNCH),
        Authority(AuthorityLevel.ORGANISER, "a third seed from another configuration was faulted (#2146)", LAUNCH),
    )
    status = everywhere(Status.REVIEW)
    required = frozenset({Basis.LOG})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Compare the declared seeds with the logs, then the runs behind the headline with each other."""
        if submission.headline.kind == "none":
            yield NotApplicable(reason="no val_bpb is claimed")
            return
        if not submission.runs:
            yield Unestablished(message="no training log names a seed")
            return
        yield from self._declared(submission, ruleset)
        yield from self._copies(submission.runs, ruleset)
        carriers = _carriers(submission)
        if len(carriers) < 2:
            yield Evidence(basis=Basis.LOG, message=f"{len(carriers)} run carries the claim: no seeds to compare")
            return
        differences = tuple(self._differences(carriers, submission, ruleset))
        yield from differences
        if all(difference.severity is Severity.NOTE for difference in differences):
            seeds = ", ".join(str(run.seed) for run, _ in carriers)
            message = f"runs with seeds {seeds} print the same settings and divide by the same bytes"
            yield Evidence(basis=Basis.LOG, message=message, location=_at(carriers[0][1]))

    def _declared(self, submission: Submission, ruleset: Ruleset) -> Iterable[Statement]:
        metadata = submission.metadata
        if metadata is None:
            return
        declared = set(metadata.seeds) | {result.seed for result in metadata.seed_results if result.seed is not None}
        logged = {run.seed for run in submission.runs if run.seed is not None}
        missing = sorted(declared - logged - _seeds_in_names(submission))
        if missing and logged:
            yield self.finding(
                ruleset,
                f"declared seed(s) {_listed(missing)} have no log; logged seeds are {_listed(sorted(logged))}",
                basis=Basis.LOG,
                location=Location(path=metadata.path),
                remedy="add the missing log or take the seed out of the claim",
                anchor="missing seed",
            )
        elif missing:
            yield Unestablished(message="the logs do not print their seeds")

    def _copies(self, runs: tuple[Run, ...], ruleset: Ruleset) -> Iterable[Statement]:
        for first, second in combinations(runs, 2):
            scores = _scores(first)
            if first.seed != second.seed and len(scores) >= MIN_COPIED_SCORES.value and scores == _scores(second):
                yield self.finding(
                    ruleset,
                    f"{first.log} (seed {first.seed}) and {second.log} (seed {second.seed}) print the same {len(scores)} "
                    "scores to the last digit: one run is shown twice",
                    basis=Basis.LOG,
                    status=Status.VIOLATION,
                    location=Location(path=second.log),
                    related=((Location(path=first.log), "the same scores"),),
                    anchor="copied log",
                )

    def _differences(
        self, carriers: list[tuple[Run, Metric]], submission: Submission, ruleset: Ruleset
    ) -> Iterator[Finding]:
        for difference in find_differences(carriers, submission):
            yield self._differs(difference, ruleset)
        accepted = Status.NOTE if ruleset.name is RulesetName.PRACTICE else None
        for difference in find_code_sizes(carriers):
            yield self._differs(difference, ruleset, accepted)
        for difference in find_divisors(carriers, split_of(ruleset)):
            yield self._differs(
                difference, ruleset, because=": a script divides by the same bytes and tokens for every seed"
            )

    def _differs(
        self, difference: Difference, ruleset: Ruleset, status: Status | None = None, because: str = ""
    ) -> Finding:
        values = ", ".join(f"{value} (seed {run.seed})" for run, value, _ in difference.values)
        first, other = difference.values[0], difference.first_other
        return self.finding(
            ruleset,
            f"{difference.name} differs between the runs of one claim: {values}{because}",
            basis=Basis.LOG,
            status=status,
            confidence=Confidence.MEDIUM,
            location=_at(other[2]),
            related=((_at(first[2]), "the first run's"),),
            remedy="report seeds of one configuration",
            anchor=difference.name,
        )


def _carriers(submission: Submission) -> list[tuple[Run, Metric]]:
    runs = {(run.log, run.index): run for log in submission.logs for run in log.runs}
    return [(runs[line.metric.log, line.metric.run], line.metric) for line in submission.headline.lines]


def _scores(run: Run) -> tuple[tuple[float, float | None], ...]:
    return tuple((metric.val_bpb, metric.val_loss) for metric in run.metrics)


def _seeds_in_names(submission: Submission) -> set[int]:
    """Seeds that log names carry (``train_seed42.log``), for logs that do not print theirs."""
    return {int(number) for log in submission.logs for number in re.findall(r"(?<!\d)(\d{1,6})(?!\d)", log.path)}


def _at(fact: LogFact) -> Location:
    return Location(path=fact.log, line=fact.line, snippet=fact.text)


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(str(seed) for seed in seeds)
