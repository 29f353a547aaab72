"""From the clean lines of one log to its runs.

A log may hold several processes' output one after another: a training and a later evaluation, a sweep, a re-run. A new
run begins where a program introduces itself again (prints its source, its hyper-parameters, its interpreter's version)
after the previous one has already trained or scored something, or where the training steps start over. Introductory lines
just before such a place (seed, sizes, loaders) belong to the new run.

Not covered: runs of two processes whose lines are interleaved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from auditor.submission.logs import counts, durations, metrics, sizes
from auditor.submission.logs.lines import Line
from auditor.submission.logs.model import Count, Duration, DurationKind, EmbeddedSource, Metric, Run, Setting, Size
from auditor.submission.logs.pairs import find_pairs
from auditor.submission.logs.settings import read_settings
from auditor.submission.logs.source_block import SourceSpan, find_sources

_STEP = re.compile(r"\s*(?:step|s)?\s*[:=]?\s*(?P<step>\d{1,9})\s*/\s*\d+[ ,|].*(?:loss|\btl:|\bvl:|bpb)", re.IGNORECASE)
_HEADER = re.compile(r"\s*(?:hyper-?parameters\s*:|Running Python )", re.IGNORECASE)
_INTRODUCTION = re.compile(
    r"\s*(?:seed|world_size|model_params|val_bpb:enabled|train_loader|val_loader|train_shards|val_tokens|warmup_step:? ?1/)"
)
_TIME_KEYS = ("train_time", "tt", "train_time_ms")


@dataclass(slots=True)
class _Facts:
    """What has been read of one run so far."""

    metrics: list[Metric] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    durations: list[Duration] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    settings: dict[str, Setting] = field(default_factory=dict)
    gpus: list[str] = field(default_factory=list)
    last_step: Line | None = None
    stopped_early: bool = False


def read_runs(lines: Sequence[Line], log: str) -> tuple[Run, ...]:
    """Every run of a log in order; none if nothing in it is a fact of a training or an evaluation."""
    sources = find_sources(lines)
    inside = [False] * len(lines)
    for span in sources:
        inside[span.first : span.last + 1] = [True] * (span.last + 1 - span.first)
    starts = [0, *_starts(lines, inside, {span.first for span in sources}), len(lines)]
    runs: list[Run] = []
    for first, end in pairwise(starts):
        own = [span for span in sources if first <= span.first < end]
        visible = [lines[index] for index in range(first, end) if not inside[index]]
        run = _read_run(visible, log, len(runs), lines[first:end], own, lines)
        if run is not None:
            runs.append(run)
    return tuple(runs)


def _starts(lines: Sequence[Line], inside: Sequence[bool], source_starts: set[int]) -> list[int]:
    """The indices where a second and further run begins."""
    starts: list[int] = []
    worked, step, introduced = False, 0, None
    for index, line in enumerate(lines):
        text = line.text
        if index in source_starts or (not inside[index] and _HEADER.match(text)):
            if worked:
                starts.append(index if introduced is None else introduced)
                worked, step = False, 0
            introduced = None
            continue
        if inside[index]:
            continue
        if worked and introduced is None and _INTRODUCTION.match(text):
            introduced = index
        if "loss" not in text and "bpb" not in text:
            continue
        if (match := _STEP.match(text)) is None:
            worked = worked or "bpb" in text
            continue
        now = int(match["step"])
        if now <= 1 and step > 1:
            starts.append(index if introduced is None else introduced)
            worked, introduced = False, None
        step = now
        worked = worked or step > 1
        if step > 1:
            introduced = None
    return starts


def _read_run(
    lines: Sequence[Line], log: str, index: int, own: Sequence[Line], sources: Sequence[SourceSpan], every: Sequence[Line]
) -> Run | None:
    facts = _read_facts(lines, log, index)
    if not (facts.metrics or facts.sizes or facts.last_step or facts.settings.keys() & {"seed", "iterations"}):
        return None
    stop = _training_end(facts, log, index)
    return Run(
        log=log,
        index=index,
        first_line=own[0].number,
        last_line=own[-1].number,
        seed=_whole(facts, "seed"),
        world_size=_whole(facts, "world_size"),
        gpus=tuple(facts.gpus),
        metrics=tuple(facts.metrics),
        sizes=sizes.tell_totals_apart(facts.sizes),
        durations=tuple(facts.durations),
        counts=tuple(facts.counts),
        settings=facts.settings,
        train_seconds=stop[0],
        num_steps=stop[1],
        stopped_early=facts.stopped_early,
        source=_embedded(sources, every, log),
    )


def _read_facts(lines: Iterable[Line], log: str, run: int) -> _Facts:
    facts = _Facts()
    introducing = True
    for line in lines:
        lower = line.text.lower()
        if metrics.is_candidate(lower):
            facts.metrics += metrics.read_metrics(line, log, run)
        if _is_step(line.text):
            facts.last_step = line
        else:
            _add_other_facts(facts, line, lower, log, run)
        introducing = introducing and not facts.metrics and facts.last_step is None
        if introducing:
            _add_introduction(facts, line, log, run)
    return facts


def _is_step(text: str) -> bool:
    return ("loss" in text or "bpb" in text or " tl:" in text) and _STEP.match(text) is not None


def _add_introduction(facts: _Facts, line: Line, log: str, run: int) -> None:
    facts.settings |= {setting.name: setting for setting in read_settings(line, log, run)}
    if gpu := counts.read_gpu(line.text):
        facts.gpus.append(gpu)


def _add_other_facts(facts: _Facts, line: Line, lower: str, log: str, run: int) -> None:
    if sizes.is_candidate(lower):
        facts.sizes += sizes.read_sizes(line, log, run)
    if durations.is_candidate(lower):
        facts.durations += durations.read_durations(line, log, run)
    if counts.is_candidate(lower):
        facts.counts += counts.read_counts(line, log, run)
    facts.stopped_early = facts.stopped_early or "stopping_early" in lower


def _whole(facts: _Facts, name: str) -> int | None:
    setting = facts.settings.get(name)
    if setting is not None and re.fullmatch(r"-?\d{1,18}", setting.value):
        return int(setting.value)
    return next((count.value for count in facts.counts if count.name == name), None)


def _training_end(facts: _Facts, log: str, run: int) -> tuple[Duration | None, int | None]:
    """When and at which step the training loop ended: what the stop says, else the last step's own time."""
    stop = next((duration for duration in facts.durations if duration.kind is DurationKind.TRAIN), None)
    step = _step_of(stop.text) if stop else None
    if facts.last_step is None:
        return stop, step
    if stop is None:
        stop = _time_of_step(facts.last_step, log, run)
    if step is None and (match := _STEP.match(facts.last_step.text)):
        step = int(match["step"])
    return stop, step


def _step_of(text: str) -> int | None:
    return next((int(pair.value) for pair in find_pairs(text) if pair.key in ("step", "s", "steps")), None)


def _time_of_step(line: Line, log: str, run: int) -> Duration | None:
    for pair in find_pairs(line.text):
        if pair.key in _TIME_KEYS and (seconds := pair.seconds("ms" if pair.key.endswith("ms") else None)) is not None:
            return Duration(
                log=log,
                line=line.number,
                run=run,
                text=line.text.strip(),
                kind=DurationKind.TRAIN,
                label=pair.key,
                seconds=seconds,
            )
    return None


def _embedded(sources: Sequence[SourceSpan], lines: Sequence[Line], log: str) -> EmbeddedSource | None:
    """The longest source that a run printed."""
    if not sources:
        return None
    span = max(sources, key=lambda each: each.last - each.first)
    return EmbeddedSource(
        log=log,
        first_line=lines[span.first].number,
        last_line=lines[span.last].number,
        text="\n".join(line.text for line in lines[span.first : span.last + 1]) + "\n",
    )
