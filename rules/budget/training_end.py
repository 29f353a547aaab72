"""When the training loop of a seed ended, by its log.

A line that sums the loop up is its end. A step's line is its end if it is the last step planned or a validation off the
usual rhythm; else training went on for an unknown time, and the printed time is a lower bound. Not covered: time that the
script leaves out of its own clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from auditor.submission.logs.boundaries import training_step
from auditor.submission.logs.model import Duration, Run
from rules.headline_runs import SeedRun

T = TypeVar("T")

_COUNTER = re.compile(r"(\d+)\s*/\s*(\d+)")
_RHYTHM = 50  # steps; ours: validations inside the loop come every so many steps or a multiple


@dataclass(frozen=True, slots=True)
class TrainingEnd:
    """The printed time of the loop's end and the run that printed it.

    `is_final`: the time is that of the end, not only of the last step that was printed. `step_seconds` is the mean time
    of a step where the log says that the clock stopped the loop, else None.
    """

    run: Run
    time: Duration
    is_final: bool
    step_seconds: float | None


def runs_of(seed_run: SeedRun) -> Iterator[Run]:
    """The run that carries the number and those beside it that are not of another seed."""
    yield seed_run.run
    yield from (run for run in seed_run.beside if seed_run.seed is None or run.seed in (None, seed_run.seed))


def first_of(seed_run: SeedRun, fact: Callable[[Run], T | None]) -> T | None:
    """The first that `fact` returns over `runs_of`."""
    return next((found for run in runs_of(seed_run) if (found := fact(run)) is not None), None)


def training_end(seed_run: SeedRun) -> TrainingEnd | None:
    """The end of the training behind a seed's number; None if no log of the seed prints a time of the loop."""
    return first_of(seed_run, _end)


def _end(run: Run) -> TrainingEnd | None:
    time = run.train_seconds
    if time is None:
        return None
    per_step = time.seconds / run.num_steps if run.stopped_early and run.num_steps else None
    return TrainingEnd(run, time, _is_final(run, time), per_step)


def _is_final(run: Run, time: Duration) -> bool:
    step = training_step(time.text)
    if step is None:
        return True
    counter = _COUNTER.search(time.text)
    if counter is not None and int(counter[2]) == step:
        return True
    went_on = any(fact.line > time.line for fact in (*run.sizes, *run.metrics))
    return went_on and "val" in time.text and step % _RHYTHM != 0
