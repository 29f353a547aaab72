"""From the clean lines of one log to its runs, with every fact that the readers of single lines find.

A run that is printed twice (the console's text, then the log file's) is one run: both printings carry the same times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from auditor.submission.logs import counts, durations, metrics, sizes
from auditor.submission.logs.boundaries import find_starts, heading_seed, named_seed, training_step
from auditor.submission.logs.lines import MAX_LINE_CHARS, Line
from auditor.submission.logs.model import Count, Duration, DurationKind, EmbeddedSource, Metric, Run, Setting, Size
from auditor.submission.logs.pairs import find_pairs
from auditor.submission.logs.settings import read_settings, read_version
from auditor.submission.logs.source_block import SourceSpan, find_sources

_PRECISE_TIME = re.compile(r"[1-9]\d{3,}ms|[1-9]\d*\.\d+s")


@dataclass(slots=True)
class _Facts:
    """What has been read of one run so far."""

    metrics: list[Metric] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    durations: list[Duration] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    settings: dict[str, Setting] = field(default_factory=dict)
    gpus: dict[int, str] = field(default_factory=dict)
    steps: list[Line] = field(default_factory=list)
    stopped_early: bool = False


def read_runs(whole: Sequence[Line], log: str) -> tuple[Run, ...]:
    """Every run of a log in order; none if nothing in it is a fact of a training or an evaluation."""
    sources = find_sources(whole)
    lines = [Line(line.number, line.text[:MAX_LINE_CHARS]) if len(line.text) > MAX_LINE_CHARS else line for line in whole]
    inside = [False] * len(lines)
    for span in sources:
        inside[span.first : span.last + 1] = [True] * (span.last + 1 - span.first)
    starts = find_starts(lines, inside, {span.first for span in sources})
    part = _Part(lines, inside, {span: _embedded(span, whole, log) for span in sources}, log)
    runs: list[tuple[int, Run]] = []
    for first, end in pairwise([0, *starts, len(lines)]):
        run = part.read(first, end, len(runs))
        if runs and (run is None or _is_same(runs[-1][1], run)):
            first = runs.pop()[0]
            run = part.read(first, end, len(runs))
        if run is not None:
            runs.append((first, run))
    if len(runs) == 1 and runs[0][1].seed is None:  # trimmed logs often keep their seed in their name only
        return (replace(runs[0][1], seed=named_seed(log)),)
    return tuple(run for _, run in runs)


def _is_same(run: Run, other: Run) -> bool:
    """Whether two parts of a log are printings of one run: they share a measured time in full."""
    return bool(_timed(run) & _timed(other))


def _timed(run: Run) -> set[str]:
    """The texts of a run with a time measured to the millisecond: they do not recur by chance."""
    stop = {run.train_seconds.text} if run.train_seconds else set()
    scores = {metric.text for metric in run.metrics if not metric.progress}
    return {text for text in stop | scores if _PRECISE_TIME.search(text)}


class _Part:
    """Reads any part of one log as a run."""

    def __init__(
        self, lines: Sequence[Line], inside: Sequence[bool], sources: Mapping[SourceSpan, EmbeddedSource], log: str
    ) -> None:
        self.lines = lines
        self.inside = inside
        self.sources = sources
        self.log = log

    def read(self, first: int, end: int, index: int) -> Run | None:
        """The run on the lines from `first` up to `end`; None if they hold none."""
        visible = (self.lines[at] for at in range(first, end) if not self.inside[at])
        facts = _read_facts(visible, self.log, index)
        worked = facts.metrics or facts.sizes or facts.steps
        if not (worked or (first == 0 and facts.settings.keys() & {"seed", "iterations"})):
            return None
        seconds, step = _training_end(facts, self.log, index)
        return Run(
            log=self.log,
            index=index,
            first_line=self.lines[first].number,
            last_line=self.lines[end - 1].number,
            seed=_whole(facts, "seed"),
            world_size=_whole(facts, "world_size"),
            gpus=tuple(name for _, name in sorted(facts.gpus.items())),
            metrics=tuple(facts.metrics),
            sizes=sizes.tell_totals_apart(facts.sizes),
            durations=tuple(facts.durations),
            counts=tuple(facts.counts),
            settings=facts.settings,
            train_seconds=seconds,
            num_steps=step,
            stopped_early=facts.stopped_early,
            source=max(
                (source for span, source in self.sources.items() if first <= span.first < end),
                key=lambda source: len(source.text),
                default=None,
            ),
        )


def _read_facts(lines: Iterable[Line], log: str, run: int) -> _Facts:
    facts = _Facts()
    introducing = True
    for line in lines:
        lower = line.text.lower()
        if metrics.is_candidate(lower):
            facts.metrics += metrics.read_metrics(line, log, run)
        if training_step(line.text) is not None:
            facts.steps.append(line)
        else:
            _add_other_facts(facts, line, lower, log, run)
        introducing = introducing and not facts.metrics and not facts.steps
        if introducing:
            facts.settings |= {setting.name: setting for setting in read_settings(line, log, run)}
    return facts


def _add_other_facts(facts: _Facts, line: Line, lower: str, log: str, run: int) -> None:
    if (seed := heading_seed(line.text)) is not None:
        facts.counts.append(Count(log=log, line=line.number, run=run, text=line.text.strip(), name="seed", value=seed))
    if sizes.is_candidate(lower):
        facts.sizes += sizes.read_sizes(line, log, run)
    if durations.is_candidate(lower):
        facts.durations += durations.read_durations(line, log, run)
    if counts.is_candidate(lower):
        facts.counts += counts.read_counts(line, log, run)
    if gpu := counts.read_gpu(line.text):
        facts.gpus.setdefault(*gpu)
    if version := read_version(line, log, run):
        facts.settings[version.name] = version
    facts.stopped_early = facts.stopped_early or "stopping_early" in lower


def _whole(facts: _Facts, name: str) -> int | None:
    setting = facts.settings.get(name)
    if setting is not None and re.fullmatch(r"-?\d{1,18}", setting.value):
        return int(setting.value)
    return next((count.value for count in facts.counts if count.name == name), None)


def _training_end(facts: _Facts, log: str, run: int) -> tuple[Duration | None, int | None]:
    """When and at which step the training loop ended: what the stop says, else what is summed up, else the last step."""
    ends = [duration for duration in facts.durations if duration.kind is DurationKind.TRAIN]
    end = next((each for each in ends if "stop" in each.text), ends[-1] if ends else None)
    step = _step_of(end.text) if end else None
    timed = (durations.time_of_step(line, log, run) for line in reversed(facts.steps))
    end = end or next((time for time in timed if time is not None), None)
    return end, step or (training_step(facts.steps[-1].text) if facts.steps else None)


def _step_of(text: str) -> int | None:
    return next((int(pair.value) for pair in find_pairs(text) if pair.key in ("step", "s", "steps")), None)


def _embedded(span: SourceSpan, lines: Sequence[Line], log: str) -> EmbeddedSource:
    return EmbeddedSource(
        log=log,
        first_line=lines[span.first].number,
        last_line=lines[span.last].number,
        text="\n".join(line.text for line in lines[span.first : span.last + 1]) + "\n",
    )
