"""The machine that a run says it ran on: processes, GPUs by index and name, each with its line.

Names come from the table that nvidia-smi prints, or from a printed device name; a step time is no evidence of a GPU. Not
covered: clocks, power limits, and what a name hides (a partition of a GPU).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from auditor.finding import Location
from auditor.submission.logs.counts import read_gpu
from auditor.submission.logs.model import Log, LogFact, Run
from rules.headline_runs import place
from rules.limits import GPU_VARIANTS_BESIDE_SXM, RECORD_GPU, RECORD_WORLD_SIZE, SXM_MARKS


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU: its index on the machine, its name, and where the log prints it."""

    index: int
    name: str
    location: Location
    in_table: bool

    @property
    def is_other(self) -> bool:
        """Is it surely another GPU than the record's?"""
        return not named(RECORD_GPU.value, self.name) or names_variant(self.name)

    @property
    def is_record(self) -> bool:
        """Does its name say that it is the record's GPU, board included?"""
        return not self.is_other and any(mark in self.name for mark in SXM_MARKS.value)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run prints about its hardware; `world_size` is the number of processes, None if not printed."""

    world_size: int | None
    world_size_at: Location
    gpus: tuple[Gpu, ...]

    @property
    def processes(self) -> str:
        """The number of processes in words."""
        return "1 process" if self.world_size == 1 else f"{self.world_size} processes"

    @property
    def gpus_on_node(self) -> int | None:
        """How many GPUs the table shows, where it begins with the first and has no gap; else None."""
        indices = [gpu.index for gpu in self.gpus if gpu.in_table]
        return len(indices) if indices and indices == list(range(len(indices))) else None

    @property
    def differs(self) -> str | None:
        """How the machine surely differs from the record's; None if nothing shows that it does."""
        if self.world_size not in (None, RECORD_WORLD_SIZE.value):
            return self.processes
        return next((gpu.name for gpu in self.gpus if gpu.is_other), None)


def machine_of(run: Run, log: Log) -> Machine:
    """The machine of a run."""
    return Machine(run.world_size, _world_size_place(run), tuple(_gpus(run, log).values()))


def named(model: str, text: str) -> bool:
    """Does `text` name the model as a word of its own (a GH200 is no H200)?"""
    return re.search(rf"(?<![A-Za-z]){model}(?![A-Za-z0-9])", text, re.IGNORECASE) is not None


def names_variant(text: str) -> bool:
    """Does `text` name a board beside SXM?"""
    return any(named(variant, text) for variant in GPU_VARIANTS_BESIDE_SXM.value)


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
