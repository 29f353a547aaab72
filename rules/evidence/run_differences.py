"""In what the runs behind one claim differ: settings, counts, code size, and what they divided by.

Seeds of one configuration print the same settings. What stands in a log like a setting is one where the script's
configuration knows the name, or where the script dumps whatever its objects hold (a bare print of names and values);
a name that is written out in some other print is a measured value or one that the script drew. Names of runs, places
and times are settings that differ by nature, and are left out. Not covered: settings that only some runs print.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from auditor.source.prints import find_printer
from auditor.submission.logs.model import LogFact, Metric, Run, Setting, SizeKind
from auditor.submission.submission import Submission
from rules.limits import FLOAT32_SLACK, Range
from rules.metric.identity import num_val_tokens, scored_line
from rules.metric.judgement import Verdict, judge
from rules.metric.split import Split

_COUNTS = ("model_params", "train_shards", "val_tokens")
# Settings that name the run, its place or its time, and results printed like settings.
_NAMES_THE_RUN = re.compile(
    r"s|seed|.*_seed|(.*_)?id|(run|exp|experiment|test|log|job)_?(name|kind)|log|log_?(file|dir)|.*(path|dir|file|files|folder)|"
    r"(local_)?rank|device|host(name)?|pid|.*date|time(stamp)?|start(ed)?_?(at|time)?|.*port|wandb.*|.*_version|artifact|"
    r".*(val_loss|val_bpb|duration|elapsed|_bytes|memory|headroom).*|" + "|".join(_COUNTS)
)
_PLAIN_VALUE = re.compile(r"[\w.+-]{1,40}")
_MEASURED = re.compile(r"[~≈]?\d[\d,.]*\s?(ms|s|sec|seconds|min|bytes|[KMG]i?B)\b")


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that differs between runs: its name, and per run the value as printed and the line that shows it."""

    name: str
    values: tuple[tuple[Run, str, LogFact], ...]

    @property
    def first_other(self) -> tuple[Run, str, LogFact]:
        """The first run whose value is not that of the first run."""
        return next(entry for entry in self.values if not _same(entry[1], self.values[0][1]))


def find_differences(carriers: Sequence[tuple[Run, Metric]], submission: Submission) -> Iterator[Difference]:
    """Every setting and count that runs of one claim print differently."""
    runs = [run for run, _ in carriers]
    for name in sorted(set.intersection(*(set(run.settings or {}) for run in runs))):
        printed = [(run, (run.settings or {})[name]) for run in runs]
        if not _NAMES_THE_RUN.fullmatch(name):
            for difference in _if_different(name, [(run, setting.value, setting) for run, setting in printed]):
                if all(_is_setting(setting, submission) for _, setting in printed):
                    yield difference
    for name in _COUNTS:
        counts = [(run, count) for run in runs if (count := run.count(name))]
        yield from _if_different(name, [(run, f"{count.value:,}", count) for run, count in counts])


def _is_setting(setting: Setting, submission: Submission) -> bool:
    """Does the configuration know the name, or does no print of the script write it out?"""
    is_written_out = find_printer(submission.print_sites, setting.text)[0] is True
    return not is_written_out or submission.configuration.knows(setting.name)


def find_code_sizes(carriers: Sequence[tuple[Run, Metric]]) -> Iterator[Difference]:
    """The logged code sizes, if they differ."""
    sizes = [(run, size) for run, _ in carriers if (size := run.size(SizeKind.CODE))]
    yield from _if_different("code size", [(run, f"{size.num_bytes:,}", size) for run, size in sizes])


def find_divisors(carriers: Sequence[tuple[Run, Metric]], split: Split) -> Iterator[Difference]:
    """val_loss / val_bpb, if it differs between equal labels and token counts by more than printing explains."""
    first, metric = carriers[0]
    comparable = [
        (run, line)
        for run, line in carriers
        if line.label == metric.label
        and num_val_tokens(run) == num_val_tokens(first)
        and _is_one_predictor(line, run, split)
    ]
    intervals = [scored_line(line, run, in_headline=True).bytes_per_token for run, line in comparable]
    known = [_widened(interval) for interval in intervals if interval]
    if len(known) == len(comparable) > 1 and not all(known[0].overlaps(other) for other in known[1:]):
        values = [(run, f"{(line.val_loss or 0.0) / line.val_bpb:.8f}", line) for run, line in comparable]
        yield from _if_different("val_loss / val_bpb", values)


def _if_different(name: str, values: Sequence[tuple[Run, str, LogFact]]) -> Iterator[Difference]:
    if any(_MEASURED.match(value) for _, value, _ in values) or not all(_is_plain(run, value) for run, value, _ in values):
        return
    if any(not _same(value, values[0][1]) for _, value, _ in values):
        yield Difference(name, tuple(values))


def _is_plain(run: Run, value: str) -> bool:
    """Is `value` a number, a switch or a word that does not name its run by the seed?"""
    text = value.replace(",", "")
    names_seed = run.seed is not None and str(run.seed) in text and not re.fullmatch(r"[\d.+-]+", text)
    return _PLAIN_VALUE.fullmatch(text) is not None and not names_seed


def _same(first: str, other: str) -> bool:
    try:
        return float(first.replace(",", "")) == float(other.replace(",", ""))
    except ValueError:
        return first == other


def _is_one_predictor(metric: Metric, run: Run, split: Split) -> bool:
    return judge(scored_line(metric, run, in_headline=True), split).verdict is not Verdict.OTHER_PREDICTOR


def _widened(interval: Range) -> Range:
    return Range(interval.low * (1 - FLOAT32_SLACK.value), interval.high * (1 + FLOAT32_SLACK.value))
