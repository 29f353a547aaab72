"""Finds a score among log lines: on one line, or as the mean over one line per seed.

Two scores are the same if they agree to the digits that both show; a last digit may have been rounded or cut off. A
mean is looked for among lines of one label: over all runs, then the declared seeds, then the runs of one variant,
then over other choices of seeds, where the number is precise enough that a choice which fits is not an accident. Last
come repetitions that no seed tells apart, and a mean that the number misses by less than four decimals show.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from auditor.submission.logs.model import Metric, Run

Rank = Callable[[Metric], int]

_MAX_CHOSEN_FROM = 8  # ours: runs among which a choice of seeds is tried
_MIN_CHOSEN = 3  # ours: seeds that a choice must have, the contest's usual number
_CLOSE = 0.6e-4  # bpb; ours: within the rounding to four decimals, the usual precision of a log

_SeedLine = tuple[int | None, Metric]


@dataclass(frozen=True, slots=True)
class Score:
    """A bits-per-byte number with the number of decimals that were written."""

    val_bpb: float
    num_decimals: int

    def __str__(self) -> str:
        return f"{self.val_bpb:.{min(max(self.num_decimals, 1), 8)}f}".rstrip("0")


@dataclass(frozen=True, slots=True)
class MeanOfLines:
    """Lines whose mean is the score; `is_subset`: they are neither all runs nor the declared seeds."""

    lines: tuple[Metric, ...]
    is_subset: bool


def same_to_shown_digits(score: Score, val_bpb: float, num_decimals: int, num_units: int = 1) -> bool:
    """Do the two agree to the coarser of their precisions, give or take `num_units` of it (some scripts cut, not round)?"""
    return abs(score.val_bpb - val_bpb) <= 1.0001 * num_units * 10.0 ** -min(score.num_decimals, num_decimals)


def find_single(score: Score, runs: Iterable[Run], rank: Rank) -> Metric | None:
    """The line that carries `score`; of several the likeliest result, then the lowest `rank`, then the most digits."""
    same = [
        metric for run in runs for metric in run.metrics if same_to_shown_digits(score, metric.val_bpb, metric.num_decimals)
    ]
    if not same:
        return None
    likeliest = min(_doubt(score, metric) for metric in same)
    return min(
        (metric for metric in same if _doubt(score, metric) == likeliest),
        key=lambda metric: (rank(metric), -metric.num_decimals, metric.val_loss is None, -metric.line),
    )


def _doubt(score: Score, metric: Metric) -> tuple[bool, bool, bool]:
    return metric.progress, metric.step is not None, abs(metric.val_bpb - score.val_bpb) > _CLOSE


def find_lines_of_seeds(
    score: Score, per_seed: Sequence[tuple[int | None, Score]], runs: Sequence[Run], rank: Rank
) -> tuple[Metric, ...]:
    """The lines that carry what is declared per seed, if `score` is the mean of that; seeds without a line are left out."""
    if len(per_seed) < 2:
        return ()
    declared = [value for _, value in per_seed]
    mean = fmean(value.val_bpb for value in declared)
    decimals = min(value.num_decimals for value in declared)
    if not same_to_shown_digits(score, mean, decimals) and abs(score.val_bpb - mean) > _CLOSE:
        return ()
    lines: list[Metric] = []
    for seed, value in per_seed:
        taken = {(line.log, line.run) for line in lines}
        line = _line_of_seed(seed, value, [run for run in runs if (run.log, run.index) not in taken], rank)
        lines += [line] if line is not None else []
    return tuple(lines)


def _line_of_seed(seed: int | None, value: Score, runs: Sequence[Run], rank: Rank) -> Metric | None:
    own = [run for run in runs if seed is not None and run.seed == seed]
    return find_single(value, own or [run for run in runs if run.seed is None or seed is None], rank)


def find_mean(score: Score, runs: Sequence[Run], seeds: Sequence[int], rank: Rank) -> MeanOfLines | None:
    """Lines of one label, one per run, whose mean is `score`, chosen among labels as `find_single` chooses among lines."""
    groups = list(_groups(runs))
    found = [mean for lines in groups if (mean := _mean_of_all(score, lines, seeds))]
    if not found:  # one variant among several: logs that are called alike but for their seed
        variants = [lines for variant in _variants(runs) for lines in _groups(variant)]
        found = [mean for lines in variants if (mean := _mean_of_all(score, lines, seeds))]
    found = found or [mean for lines in groups if (mean := _mean_of_some(score, lines))]
    return min(found, key=lambda mean: _preference(mean.lines, rank), default=None)


def find_mean_of_repetitions(score: Score, runs: Sequence[Run], rank: Rank) -> tuple[Metric, ...]:
    """Every result under one label, where the mean of all is `score`: several runs of one seed, or of none, in any log."""
    groups: dict[tuple[str, str], dict[float, Metric]] = defaultdict(dict)
    for run in runs:
        for metric in _results(run):
            groups[_kind_of_line(metric)].setdefault(metric.val_bpb, metric)
    lines = [tuple(group.values()) for group in groups.values() if len(group) > 1]
    return _preferred((group for group in lines if is_mean_of(score, group)), rank)


def find_near_mean(score: Score, runs: Sequence[Run], rank: Rank) -> tuple[Metric, ...]:
    """The lines of one label over all runs whose mean misses `score` by less than what four decimals show."""
    groups = (tuple(line for _, line in lines) for lines in _groups(runs) if _tells_seeds_apart(lines))
    near = (lines for lines in groups if abs(score.val_bpb - fmean(line.val_bpb for line in lines)) <= _CLOSE)
    return _preferred(near, rank)


def _preferred(groups: Iterable[tuple[Metric, ...]], rank: Rank) -> tuple[Metric, ...]:
    return min(groups, key=lambda lines: _preference(lines, rank), default=())


def _results(run: Run) -> Iterator[Metric]:
    """What a run reports as results; of the validations inside its training the last."""
    last = {_kind_of_line(metric): metric for metric in run.metrics if metric.step is not None}
    for metric in run.metrics:
        if not metric.progress and (metric.step is None or metric is last[_kind_of_line(metric)]):
            yield metric


def _mean_of_all(score: Score, lines: Sequence[_SeedLine], seeds: Sequence[int]) -> MeanOfLines | None:
    declared = [(seed, line) for seed, line in lines if seed in seeds]
    found = next((chosen for chosen in (lines, declared) if _is_mean(score, chosen)), None)
    return MeanOfLines(tuple(line for _, line in found), is_subset=False) if found else None


def _mean_of_some(score: Score, lines: Sequence[_SeedLine]) -> MeanOfLines | None:
    found = next((choice for choice in _choices(lines) if _is_mean(score, choice)), None)
    return MeanOfLines(tuple(line for _, line in found), is_subset=True) if found else None


def _preference(lines: Sequence[Metric], rank: Rank) -> tuple[bool, int, int, bool]:
    first = lines[0]
    return first.step is not None, rank(first), -first.num_decimals, first.val_loss is None


def _variants(runs: Sequence[Run]) -> Iterable[Sequence[Run]]:
    variants: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        variants[run.log.replace(str(run.seed), "")].append(run)
    return variants.values() if len(variants) > 1 else ()


def _groups(runs: Sequence[Run]) -> Iterator[list[_SeedLine]]:
    """The last line of each label in each run, by label; a line that a second log repeats counts once."""
    groups: dict[tuple[str, str], dict[tuple[int | None, float], Metric]] = defaultdict(dict)
    for run in runs:
        last = {_kind_of_line(metric): metric for metric in run.metrics if not metric.progress}
        for kind, metric in last.items():
            groups[kind].setdefault((run.seed, metric.val_bpb), metric)
    for lines in groups.values():
        yield [(seed, line) for (seed, _), line in lines.items()]


def _kind_of_line(metric: Metric) -> tuple[str, str]:
    return re.sub(r"\d+", "0", metric.label), metric.key


def _choices(lines: Sequence[_SeedLine]) -> Iterator[Sequence[_SeedLine]]:
    if len(lines) <= _MAX_CHOSEN_FROM:
        for size in range(len(lines) - 1, _MIN_CHOSEN - 1, -1):
            yield from itertools.combinations(lines, size)


def _is_mean(score: Score, lines: Sequence[_SeedLine]) -> bool:
    return _tells_seeds_apart(lines) and is_mean_of(score, [line for _, line in lines])


def _tells_seeds_apart(lines: Sequence[_SeedLine]) -> bool:
    known = [seed for seed, _ in lines if seed is not None]
    return len(lines) > 1 and len(set(known)) == len(known)  # two runs of one seed are no mean over seeds


def is_mean_of(score: Score, lines: Sequence[Metric], num_units: int = 1) -> bool:
    """Is `score` the mean of the lines to the digits that all show, give or take `num_units` of the last?"""
    mean = fmean(line.val_bpb for line in lines)
    return same_to_shown_digits(score, mean, min(line.num_decimals for line in lines), num_units)


def nearest_score(score: Score, runs: Iterable[Run]) -> Metric | None:
    """The line whose number is nearest to `score`; None if no run prints one."""
    metrics = (metric for run in runs for metric in run.metrics)
    return min(metrics, key=lambda metric: abs(metric.val_bpb - score.val_bpb), default=None)
