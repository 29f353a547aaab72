"""PG003: the seeds behind a claim are not the seeds declared, or not runs of one configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

from auditor.finding import Basis, Confidence, Evidence, Finding, Location, NotApplicable, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.submission.logs.model import LogFact, Metric, Run, SizeKind
from auditor.submission.submission import Submission
from rules.limits import LAUNCH, MIN_COPIED_SCORES
from rules.metric.identity import bytes_per_token, num_val_tokens

# Settings that name the run or its place, and results printed like settings: they differ between seeds by nature.
_NAMES_THE_RUN = re.compile(
    r"seed|.*_seed|run_?id|run_?name|exp(eriment)?_?(id|name)|log_?file|log_?dir|.*(path|dir|file|files|folder)|"
    r"(local_)?rank|device|host(name)?|pid|date|time(stamp)?|start(ed)?_?(at|time)?|.*port|wandb.*|torch_version|python_version|"
    r".*(val_loss|val_bpb|duration|elapsed|_bytes|memory).*"
)
_MEASURED = re.compile(r"[~≈]?\d[\d,.]*\s?(ms|s|sec|seconds|min|bytes|[KMG]i?B)\b")


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two runs, and the line of each that shows it."""

    text: str
    first: LogFact
    second: LogFact
    status: Status | None = None


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
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.REVIEW,
        RulesetName.README: Status.REVIEW,
    }
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
        differences = tuple(self._differences(carriers, ruleset))
        yield from differences
        if not differences:
            seeds = ", ".join(str(run.seed) for run, _ in carriers)
            message = f"runs with seeds {seeds} print the same configuration and divide by the same bytes"
            yield Evidence(basis=Basis.LOG, message=message)

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

    def _differences(self, carriers: list[tuple[Run, Metric]], ruleset: Ruleset) -> Iterator[Statement]:
        first, metric = carriers[0]
        for other, other_metric in carriers[1:]:
            for difference in (*_settings_that_differ(first, other), *_facts_that_differ(first, other)):
                yield self._differs(first, other, difference, ruleset)
            if _divides_otherwise(metric, other_metric) and num_val_tokens(first) == num_val_tokens(other):
                what = (
                    f"val_loss / val_bpb is {_ratio(metric):.9g} and {_ratio(other_metric):.9g} on `{metric.label}`: "
                    "a script divides by the same tokens and bytes for every seed"
                )
                yield self._differs(first, other, Difference(what, metric, other_metric), ruleset)

    def _differs(self, first: Run, other: Run, difference: Difference, ruleset: Ruleset) -> Finding:
        return self.finding(
            ruleset,
            f"seeds {first.seed} and {other.seed} of one claim differ: {difference.text}",
            basis=Basis.LOG,
            status=difference.status if ruleset.name is RulesetName.PRACTICE else None,
            confidence=Confidence.MEDIUM,
            location=_at(difference.second),
            related=((_at(difference.first), "compared with this line"),),
            remedy="report seeds of one configuration",
            anchor=difference.text.split(" is ")[0],
        )


def _carriers(submission: Submission) -> list[tuple[Run, Metric]]:
    runs = {(run.log, run.index): run for log in submission.logs for run in log.runs}
    return [(runs[line.metric.log, line.metric.run], line.metric) for line in submission.headline.lines]


def _scores(run: Run) -> tuple[tuple[float, float | None], ...]:
    return tuple((metric.val_bpb, metric.val_loss) for metric in run.metrics)


def _settings_that_differ(first: Run, other: Run) -> Iterator[Difference]:
    ours, theirs = first.settings or {}, other.settings or {}
    for name in sorted(ours.keys() & theirs.keys()):
        differs = ours[name].value != theirs[name].value
        if differs and not _NAMES_THE_RUN.fullmatch(name) and not _MEASURED.match(ours[name].value):
            yield Difference(f"{name} is {ours[name].value} and {theirs[name].value}", ours[name], theirs[name])


def _facts_that_differ(first: Run, other: Run) -> Iterator[Difference]:
    for name in ("model_params", "train_shards", "val_tokens"):
        ours, theirs = first.count(name), other.count(name)
        if ours and theirs and ours.value != theirs.value:
            yield Difference(f"{name} is {ours.value:,} and {theirs.value:,}", ours, theirs)
    ours_code, theirs_code = first.size(SizeKind.CODE), other.size(SizeKind.CODE)
    if ours_code and theirs_code and ours_code.num_bytes != theirs_code.num_bytes:
        text = f"code size is {ours_code.num_bytes:,} and {theirs_code.num_bytes:,} bytes"
        yield Difference(text, ours_code, theirs_code, Status.NOTE)


def _divides_otherwise(metric: Metric, other: Metric) -> bool:
    ours, theirs = bytes_per_token(metric), bytes_per_token(other)
    return metric.label == other.label and ours is not None and theirs is not None and not ours.overlaps(theirs)


def _ratio(metric: Metric) -> float:
    return (metric.val_loss or 0.0) / metric.val_bpb


def _seeds_in_names(submission: Submission) -> set[int]:
    """Seeds that log names carry (``train_seed42.log``), for logs that do not print theirs."""
    return {int(number) for log in submission.logs for number in re.findall(r"(?<!\d)(\d{1,6})(?!\d)", log.path)}


def _at(fact: LogFact) -> Location:
    return Location(path=fact.log, line=fact.line, snippet=fact.text)


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(str(seed) for seed in seeds)
