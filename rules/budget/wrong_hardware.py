"""PG304: the run behind a submitted number did not run on the reference hardware."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auditor.finding import Basis, Confidence, Evidence, Location, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status, everywhere
from auditor.submission.submission import Submission
from rules.budget.hardware import Machine, machine_of, named, names_variant
from rules.budget.track import NOT_BOUND, Track, track_of
from rules.budget.training_end import training_end
from rules.headline_runs import SeedRun, headline_runs, judged_runs
from rules.limits import (
    LAUNCH,
    LISTED_BESIDE_RECORD_GPU,
    RECORD_GPU,
    RECORD_WORLD_SIZE,
    RULES_AS_OF,
)

PROCESSES = RECORD_WORLD_SIZE.value

_COUNT = re.compile(r"(?<![\w.])(\d{1,3})\s?[x\u00d7]\s?(?:NVIDIA\s|[A-Z])", re.IGNORECASE)
_OTHER_BOARD = re.compile(
    r"\b(?:RTX|A100|A800|A40|A10G|L4|L40S?|L20Z?|H200|B200|GB200|V100|T4|MI300X|Apple|macOS|TPU)\b", re.IGNORECASE
)
_HEDGED = re.compile(r"target|pending|intended|official|competition", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Problem:
    """One way in which a machine differs; `status` None is the rule's own."""

    what: str
    status: Status | None
    location: Location


class WrongHardware(Rule):
    """The run behind the submitted number did not run on 8xH100 SXM.

    Requirement: every run behind a record is one on 8 GPUs of the model H100 SXM. The non-record track is free.

    Detection: reads the number of processes and the GPU names of nvidia-smi's table from the log of each seed, and of the
    log that holds its training. Another model, a PCIe or NVL board and another number of processes are violations; H200,
    on which two listed rows of March ran, and eight processes beside a table of fewer GPUs are for a person. Where a log
    names no GPU, what submission.json declares can show a difference, but a PASS needs the table.

    Limits: a name is believed. Step times are no evidence of a GPU.

    Remedy: run every seed on the reference hardware with nvidia-smi in its log, or submit to the non-record track.
    """

    id = "PG304"
    name = "wrong-hardware"
    family = "time and hardware"
    authority = (
        Authority(AuthorityLevel.README, RECORD_GPU.source, LAUNCH),
        Authority(AuthorityLevel.ORGANISER, "4 processes and a projected time were faulted (#1959)", RULES_AS_OF.value),
        Authority(AuthorityLevel.PRACTICE, LISTED_BESIDE_RECORD_GPU.source, LISTED_BESIDE_RECORD_GPU.since),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.LOG})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Judge the machines of every seed; seeds on the same machine are one statement."""
        track = track_of(submission)
        if track is Track.NON_RECORD:
            yield NOT_BOUND
            return
        machines = list(_machines(submission))
        problems: dict[str, list[tuple[SeedRun, _Problem]]] = {}
        for seed_run, machine in machines:
            for problem in _problems(machine, ruleset):
                problems.setdefault(problem.what, []).append((seed_run, problem))
        located = bool(headline_runs(submission))
        for alike in problems.values():
            yield self._finding(alike, ruleset, track, located)
        if not problems:
            yield from self._declared(submission, machines, ruleset, track)
        yield from _unknown(machines)
        yield from _evidence(machines)

    def _finding(self, alike: list[tuple[SeedRun, _Problem]], ruleset: Ruleset, track: Track, located: bool) -> Statement:
        first = alike[0][1]
        status = first.status or (None if located and track is Track.RECORD else Status.REVIEW)
        names = ", ".join(dict.fromkeys(seed_run.name for seed_run, _ in alike))
        return self.finding(
            ruleset,
            f"{names}: {first.what}; a record runs on {PROCESSES}x{RECORD_GPU.value} SXM",
            basis=Basis.LOG,
            status=status,
            confidence=Confidence.HIGH if status is None else Confidence.MEDIUM,
            location=first.location,
            related=tuple((problem.location, seed_run.name) for seed_run, problem in alike[1:]),
            remedy="run every seed on the reference hardware, or submit to the non-record track",
            anchor=first.what,
        )

    def _declared(
        self, submission: Submission, machines: Iterable[tuple[SeedRun, Machine]], ruleset: Ruleset, track: Track
    ) -> Iterator[Statement]:
        """What submission.json says of other hardware, where no log says otherwise."""
        metadata = submission.metadata
        declared = metadata.hardware if metadata else None
        other_count, other_board = _other_hardware(declared or "")
        machines = list(machines)
        other_count = other_count and not any(machine.world_size == PROCESSES for _, machine in machines)
        other_board = other_board and not any(machine.gpus for _, machine in machines)
        if metadata is not None and (other_count or other_board):
            yield self.finding(
                ruleset,
                f"{metadata.path} declares {declared!r}; a record runs on {PROCESSES}x{RECORD_GPU.value} SXM",
                basis=Basis.FILES,
                status=Status.REVIEW if track is Track.UNCLEAR else None,
                confidence=Confidence.MEDIUM,
                location=Location(path=metadata.path),
                remedy="run every seed on the reference hardware, or submit to the non-record track",
                anchor="declared hardware",
            )


def _machines(submission: Submission) -> Iterator[tuple[SeedRun, Machine]]:
    """The machine of every run that carries the number and of the run that trained its model, if that is another."""
    logs = {log.path: log for log in submission.logs}
    for seed_run in judged_runs(submission):
        end = training_end(seed_run)
        runs = {(run.log, run.index): run for run in (seed_run.run, end.run if end else seed_run.run)}
        for run in runs.values():
            yield seed_run, machine_of(run, logs[run.log])


def _problems(machine: Machine, ruleset: Ruleset) -> Iterator[_Problem]:
    if machine.world_size is not None and machine.world_size != PROCESSES:
        yield _Problem(machine.processes, None, machine.world_size_at)
    seen: set[str] = set()
    for gpu in machine.gpus:
        if gpu.is_other and gpu.name not in seen:
            seen.add(gpu.name)
            listed = named(LISTED_BESIDE_RECORD_GPU.value, gpu.name) and ruleset.name is RulesetName.PRACTICE
            yield _Problem(gpu.name, Status.REVIEW if listed else None, gpu.location)
    on_node = machine.gpus_on_node
    if machine.world_size == PROCESSES and on_node is not None and on_node < PROCESSES:
        what = f"{PROCESSES} processes beside a table of {on_node} GPUs: several machines"
        yield _Problem(what, Status.REVIEW, machine.gpus[0].location)


def _unknown(machines: Iterable[tuple[SeedRun, Machine]]) -> Iterator[Statement]:
    """What the logs do not tell, once for all seeds."""
    machines = list(machines)
    if not machines:
        yield Unestablished(message="there is no log that tells the hardware")
    for what, missing in (
        ("how many processes ran", [run for run, machine in machines if machine.world_size is None]),
        ("the GPU model", [run for run, machine in machines if not _tells_gpu(machine)]),
    ):
        if missing:
            names = ", ".join(dict.fromkeys(run.name for run in missing))
            yield Unestablished(message=f"{names}: the log does not tell {what}")


def _tells_gpu(machine: Machine) -> bool:
    return any(gpu.is_other or gpu.is_record for gpu in machine.gpus)


def _evidence(machines: Iterable[tuple[SeedRun, Machine]]) -> Iterator[Statement]:
    for seed_run, machine in machines:
        if machine.world_size == PROCESSES and machine.gpus and all(gpu.is_record for gpu in machine.gpus):
            message = f"{seed_run.name}: {PROCESSES} processes on {machine.gpus[0].name}"
            yield Evidence(basis=Basis.LOG, message=message, location=machine.gpus[0].location)


def _other_hardware(declared: str) -> tuple[bool, bool]:
    """Does a declaration name another number of GPUs, and another board? Neither, where it may speak of a plan."""
    if _HEDGED.search(declared):
        return False, False
    counts = {int(match[1]) for match in _COUNT.finditer(declared)}
    board = names_variant(declared) or _OTHER_BOARD.search(declared) is not None
    return bool(counts) and PROCESSES not in counts, board
