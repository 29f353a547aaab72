"""The machine that a run says it ran on: processes, GPUs by index and name, each with its line.

Names come from the table that nvidia-smi prints, or from a printed device name; a step time is no evidence of a GPU. Not
covered: clocks, power limits, and what a name hides (a partition of a GPU).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.finding import Location
from auditor.submission.logs.counts import read_gpu
from auditor.submission.logs.model import Log, LogFact, Run
from rules.headline_runs import place


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU: its index on the machine, its name, and where the log prints it."""

    index: int
    name: str
    location: Location
    in_table: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run prints about its hardware; `world_size` is the number of processes, None if not printed."""

    world_size: int | None
    world_size_at: Location
    gpus: tuple[Gpu, ...]

    @property
    def gpus_on_node(self) -> int | None:
        """How many GPUs the table shows, where it begins with the first and has no gap; else None."""
        indices = [gpu.index for gpu in self.gpus if gpu.in_table]
        return len(indices) if indices and indices == list(range(len(indices))) else None


def machine_of(run: Run, log: Log) -> Machine:
    """The machine of a run."""
    return Machine(run.world_size, _world_size_place(run), tuple(_gpus(run, log).values()))


def _world_size_place(run: Run) -> Location:
    setting = (run.settings or {}).get("world_size")
    fact: LogFact | None = setting if setting is not None else run.count("world_size")
    return Location(path=run.log) if fact is None else place(fact)


def _gpus(run: Run, log: Log) -> Mapping[int, Gpu]:
    found: dict[int, Gpu] = {}
    for number in range(run.first_line, run.last_line + 1):
        text = log.lines[number - 1]
        gpu = read_gpu(text)
        if gpu is not None:
            index, name = gpu
            location = Location(path=log.path, line=number, snippet=text.strip())
            found.setdefault(index, Gpu(index, name, location, text.lstrip().startswith("|")))
    return found
