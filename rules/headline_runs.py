"""The runs behind the submitted number, one per seed, with the other runs in which a fact about that seed may stand.

Several rules judge every seed of the headline by facts that need not stand in the log that carries the number: an
evaluation-only log has no training time and no size; one log may hold a training run and then an evaluation run. What is
not covered: a seed that no log names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from auditor.finding import Location
from auditor.submission.logs.model import LogFact, Run
from auditor.submission.submission import Submission

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SeedRun:
    """One run that carries the submitted number or a share of it, and the runs beside it, the likelier first.

    `line` is the log line that carries the number; None where the headline could not be located and the run is judged
    because it is there.
    """

    run: Run
    seed: int | None
    line: int | None
    beside: tuple[Run, ...]

    def find(self, fact: Callable[[Run], T | None]) -> T | None:
        """The first that `fact` returns over the run and the runs beside it."""
        return next((found for run in (self.run, *self.beside) if (found := fact(run)) is not None), None)

    @property
    def name(self) -> str:
        """How a message calls the run: ``seed 42`` or the log's path."""
        return self.run.log if self.seed is None else f"seed {self.seed}"


def headline_runs(submission: Submission) -> tuple[SeedRun, ...]:
    """The runs that carry the submitted number; empty where no log line carries it."""
    runs = {(run.log, run.index): run for run in submission.runs}
    found: dict[tuple[str, int], SeedRun] = {}
    for line in submission.headline.lines:
        key = (line.metric.log, line.metric.run)
        if key in runs and key not in found:
            run = runs[key]
            seed = run.seed if line.seed is None else line.seed
            found[key] = SeedRun(run, seed, line.metric.line, tuple(_beside(run, seed, submission.runs)))
    return tuple(found.values())


def judged_runs(submission: Submission) -> tuple[SeedRun, ...]:
    """The runs that carry the submitted number, or every run where none is known to."""
    return headline_runs(submission) or tuple(
        SeedRun(run, run.seed, None, tuple(_beside(run, run.seed, submission.runs))) for run in submission.runs
    )


def place(fact: LogFact) -> Location:
    """Where a logged fact stands."""
    return Location(path=fact.log, line=fact.line, snippet=fact.text)


def _beside(run: Run, seed: int | None, runs: tuple[Run, ...]) -> Iterator[Run]:
    same_log = [other for other in runs if other.log == run.log and other.index != run.index]
    yield from sorted(same_log, key=lambda other: abs(other.index - run.index))
    if seed is not None:
        yield from (other for other in runs if other.log != run.log and other.seed == seed)
