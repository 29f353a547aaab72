"""Score provenance: which log line carries the submitted val_bpb, and what in the shipped script can print it.

The line is found by its value, not by its place or its label: the last line of a log may be a diagnostic, and labels lie.
A number may be carried by one line, or be the mean over several seeds (all that were run, the declared ones, or some).
Equal means equal to the digits that both sides show, rounded or cut. Not covered: a number that was computed from log
lines in another way (a weighted mean, a difference), and claims that stand only in prose without the word bpb.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from auditor.finding import Location
from auditor.headline_search import (
    Score,
    find_lines_of_seeds,
    find_mean,
    find_mean_of_repetitions,
    find_near_mean,
    find_single,
    is_mean_of,
    nearest_score,
    same_to_shown_digits,
)
from auditor.source.prints import PrintSite, find_printer_of
from auditor.submission.logs.model import Log, Metric, Run
from auditor.submission.logs.reader import is_log_path
from auditor.submission.metadata import Metadata
from auditor.submission.readme import Readme, ReadmeClaim
from auditor.submission.script import Script

_MEAN = re.compile(r"\b(?:mean|average|avg)\b", re.IGNORECASE)
_SAME_EXPERIMENT_BPB = 0.02  # ours: runs of one recipe under other seeds differ by less


class HeadlineKind(StrEnum):
    """How the submitted number follows from the logs."""

    SINGLE = "single"  # one line carries it
    MEAN = "mean"  # the mean over the lines
    PARTIAL = "partial"  # the mean over declared seeds of which only some are logged
    BEST = "best"  # the best of several seeds
    NONE = "none"  # no number is claimed
    UNLOCATED = "unlocated"  # no line and no mean of lines carries it
    NO_LOG = "no-log"  # nothing to look in


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierLine:
    """A log line that carries the submitted number, or one seed's share of it.

    `printable`: can a print site of the shipped script produce this line? None when that could not be told.
    `print_site` is that site, `evaluation` the function that computes the value printed there.
    """

    metric: Metric
    seed: int | None
    val_bpb: float
    printable: bool | None
    print_site: Location | None = None
    evaluation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """Where the submitted number comes from; `explanation` is one sentence that a maintainer can verify.

    `mean_bpb` is the mean of the lines where it is meant to be the number and yet misses it by more than rounding.
    """

    val_bpb: float | None
    claimed_in: str | None
    kind: HeadlineKind
    lines: tuple[CarrierLine, ...]
    explanation: str
    mean_bpb: float | None = None


@dataclass(frozen=True, slots=True)
class _Claim:
    """The submitted number and where it is declared."""

    score: Score
    declared_in: str
    seeds: tuple[int, ...] = ()
    per_seed: tuple[tuple[int | None, Score], ...] = ()


def trace_headline(
    metadata: Metadata | None,
    readme: Readme | None,
    logs: tuple[Log, ...],
    script: Script | None,
    print_sites: tuple[PrintSite, ...],
    unread: Sequence[str] = (),
) -> Headline:
    """Follow the submitted val_bpb from where it is claimed to the log lines that carry it and the code that prints it.

    `unread` are paths of files that could not be read.
    """
    claim = _find_claim(metadata, readme)
    if claim is None:
        missing = next(
            (f"{path} cannot be read" for path in unread if path.endswith(".json")), "there is no submission.json"
        )
        why = "submission.json gives no number" if metadata else f"{missing}, and no README names a bpb"
        return Headline(val_bpb=None, claimed_in=None, kind=HeadlineKind.NONE, lines=(), explanation=why)
    runs = [run for log in logs if log.duplicate_of is None for run in log.runs if run.metrics]
    return _Tracer(claim, runs, logs, script, print_sites, unread).headline()


def _find_claim(metadata: Metadata | None, readme: Readme | None) -> _Claim | None:
    if metadata is not None:
        per_seed = tuple(
            (result.seed, Score(result.val_bpb.value, result.val_bpb.num_decimals))
            for result in metadata.seed_results
            if result.val_bpb is not None
        )
        if metadata.val_bpb is not None:
            declared = metadata.val_bpb
            place = f"{metadata.path}:{declared.line}" if declared.line else metadata.path
            score = Score(declared.value, declared.num_decimals)
            return _Claim(score, f"{place} ({declared.key})", metadata.seeds, per_seed)
        if len(per_seed) > 1:
            mean = fmean(score.val_bpb for _, score in per_seed)
            score = Score(mean, min(score.num_decimals for _, score in per_seed))
            return _Claim(score, f"{metadata.path} (mean of what is declared per seed)", metadata.seeds, per_seed)
        return None
    if readme is not None and readme.claims:
        chosen = _headline_claim(readme.claims)
        return _Claim(Score(chosen.val_bpb, chosen.num_decimals), f"{readme.path}:{chosen.line}")
    return None


def _headline_claim(claims: Sequence[ReadmeClaim]) -> ReadmeClaim:
    """Of what a README states where submission.json is missing: the best mean, else what it states first.

    The largest number of a line is taken: beside a mean stand its deviation, and the same before quantisation.
    """
    means = {claim.line: claim for claim in sorted(claims, key=lambda claim: claim.val_bpb) if _MEAN.search(claim.text)}
    return min(means.values(), key=lambda claim: claim.val_bpb) if means else claims[0]


@dataclass(frozen=True, slots=True)
class _Tracer:
    """One claim held against the runs that print scores."""

    claim: _Claim
    runs: Sequence[Run]
    logs: Sequence[Log]
    script: Script | None
    sites: Sequence[PrintSite]
    unread: Sequence[str]

    def headline(self) -> Headline:
        if not self.runs:
            return self._headline(HeadlineKind.NO_LOG, ())
        declared = find_lines_of_seeds(self.claim.score, self.claim.per_seed, self.runs, self._rank)
        if declared and len(declared) == len(self.claim.per_seed):
            return self._headline(HeadlineKind.MEAN, declared)
        mean = find_mean(self.claim.score, self.runs, self.claim.seeds, self._rank)
        single = find_single(self.claim.score, self.runs, self._rank)
        if mean and not (single and mean.is_subset):
            return self._headline(HeadlineKind.MEAN, mean.lines)
        if single:
            return self._headline(HeadlineKind.BEST if self._is_best(single) else HeadlineKind.SINGLE, (single,))
        if declared:
            return self._headline(HeadlineKind.PARTIAL, declared)
        score = self.claim.score
        repeated = find_mean_of_repetitions(score, self.runs, self._rank) or find_near_mean(score, self.runs, self._rank)
        return self._headline(HeadlineKind.MEAN if repeated else HeadlineKind.UNLOCATED, repeated)

    def _rank(self, metric: Metric) -> int:
        """Of lines with one number, one that the script can print comes first, one that it cannot print last."""
        printable, _ = self._printer(metric)
        return {True: 0, None: 1, False: 2}[printable]

    def _printer(self, metric: Metric) -> tuple[bool | None, PrintSite | None]:
        lines = next(log.lines for log in self.logs if log.path == metric.log)
        return find_printer_of(self.sites, metric, lines)

    def _is_best(self, single: Metric) -> bool:
        own = self._run_of(single)
        others = list(self._same_experiment(single, own))
        return bool(others) and not single.progress and all(single.val_bpb < other.val_bpb for other in others)

    def _same_experiment(self, single: Metric, own: Run) -> Iterator[Metric]:
        """The same line in the runs of other seeds."""
        for run in self.runs:
            if own.seed is None or run.seed is None or run.seed == own.seed:
                continue
            same = [metric for metric in run.metrics if (metric.label, metric.key) == (single.label, single.key)]
            if same and abs(same[-1].val_bpb - single.val_bpb) < _SAME_EXPERIMENT_BPB:
                yield same[-1]

    def _run_of(self, metric: Metric) -> Run:
        return next(run for run in self.runs if (run.log, run.index) == (metric.log, metric.run))

    def _headline(self, kind: HeadlineKind, metrics: Iterable[Metric]) -> Headline:
        lines = tuple(self._carrier(metric) for metric in metrics)
        missed = kind is HeadlineKind.MEAN and not is_mean_of(
            self.claim.score, [line.metric for line in lines], num_units=2
        )
        mean_bpb = fmean(line.val_bpb for line in lines) if missed else None
        return Headline(
            val_bpb=self.claim.score.val_bpb,
            claimed_in=self.claim.declared_in,
            kind=kind,
            lines=lines,
            explanation=self._explain(kind, lines, mean_bpb),
            mean_bpb=mean_bpb,
        )

    def _carrier(self, metric: Metric) -> CarrierLine:
        is_read = self.script is not None and self.script.main.tree is not None
        printable, site = self._printer(metric) if is_read else (None, None)
        return CarrierLine(
            metric=metric,
            seed=self._run_of(metric).seed,
            val_bpb=metric.val_bpb,
            printable=printable,
            print_site=site.location if site and printable else None,
            evaluation=site.evaluation if site and printable else None,
        )

    def _explain(self, kind: HeadlineKind, lines: Sequence[CarrierLine], mean_bpb: float | None) -> str:
        claim = f"val_bpb {self.claim.score} of {self.claim.declared_in}"
        match kind:
            case HeadlineKind.NO_LOG:
                logs = ", ".join(log.path for log in self.logs)
                unread = ", ".join(path for path in self.unread if is_log_path(path))
                none = f"{unread} cannot be read" if unread else "no log is shipped"
                return f"{claim}: " + (f"no bpb is printed in {logs}" if logs else none)
            case HeadlineKind.UNLOCATED:
                near = nearest_score(self.claim.score, self.runs)
                where = f"{near.log}:{near.line} with {near.val_bpb} ({near.name})" if near else "none"
                return f"{claim} is on no log line and no mean of lines; nearest is {where}{self._of_seeds()}"
            case HeadlineKind.SINGLE:
                return f"{claim} is on {_place(lines[0])}; {self._printed(lines)}"
            case HeadlineKind.BEST:
                others = self._same_experiment(lines[0].metric, self._run_of(lines[0].metric))
                seeds = ", ".join(f"{other.val_bpb} ({other.log}:{other.line})" for other in others)
                return (
                    f"{claim} is on {_place(lines[0])}, the best of several seeds (others: {seeds}); {self._printed(lines)}"
                )
            case HeadlineKind.PARTIAL:
                total = len(self.claim.per_seed)
                return f"{claim} is the mean of {total} declared seeds, of which only {_listed(lines)} is logged"
            case _:
                mean = "the mean" if mean_bpb is None else f"about the mean, {mean_bpb:.8f},"
                return f"{claim} is {mean} of {_listed(lines)}; {self._printed(lines)}"

    def _of_seeds(self) -> str:
        """What the numbers declared per seed add to a number that was not found."""
        said = ""
        if len(self.claim.per_seed) > 1:
            scores = [score for _, score in self.claim.per_seed]
            logged = sum(find_single(score, self.runs, self._rank) is not None for score in scores)
            mean = Score(fmean(score.val_bpb for score in scores), min(score.num_decimals for score in scores))
            said = (
                f"; of the {len(scores)} numbers declared per seed {logged or 'none'} stand{'s' * (logged < 2)} in the logs"
            )
            if not same_to_shown_digits(self.claim.score, mean.val_bpb, mean.num_decimals):
                said += f", and their mean is {mean}"
        logged_seeds = {run.seed for run in self.runs}
        unlogged = [str(seed) for seed in self.claim.seeds if seed not in logged_seeds]
        return said + (f"; no log says that it is of seed {', '.join(unlogged)}" if unlogged else "")

    def _printed(self, lines: Sequence[CarrierLine]) -> str:
        """What the shipped script has to do with the lines, in words."""
        if self.script is None:
            return "there is no script to read that could print it"
        if any(line.printable is False for line in lines):
            return f"no print in {self.script.path} can produce that line"
        if any(line.printable is None for line in lines):
            return f"whether {self.script.path} prints that line could not be told"
        first = lines[0]
        value = f" with the result of {first.evaluation}" if first.evaluation else ""
        return f"printed at {first.print_site}{value}"


def _place(line: CarrierLine) -> str:
    seed = "" if line.seed is None else f", seed {line.seed}"
    step = "" if line.metric.step is None else f" {line.metric.step}"
    return f"{line.metric.log}:{line.metric.line} ({line.metric.name}{step}{seed})"


def _listed(lines: Sequence[CarrierLine]) -> str:
    return ", ".join(f"{line.val_bpb} at {_place(line)}" for line in lines)
