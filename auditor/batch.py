"""Audits many submissions, side by side where asked, so that none can spoil another.

A *job* is a picklable word for one submission: workers open it themselves, since neither an open repository nor an opened
submission travels between processes. Whatever goes wrong with one (a folder that vanished, a bug in a reader, a worker that
the system killed) ends in an error report for that one; every other submission is still audited. Reports come back in the
order of the jobs. What is not covered: a time limit for one submission; the readers bound their own work.
"""

from __future__ import annotations

import gc
import multiprocessing
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from auditor.engine import audit
from auditor.report import Report, SubmissionSummary, Unreadable
from auditor.rule import Rule, Ruleset
from auditor.run.facts import RunFacts
from auditor.run.observe import RunOptions, observe
from auditor.submission.errors import SubmissionError
from auditor.submission.locate import locate
from auditor.submission.repository import ChangeSet, Repository
from auditor.submission.submission import Submission

_NUM_NAMED = 3  # ours: files that a notice names
_OBJECTS_BETWEEN_COLLECTIONS = 50_000  # ours: by default 700, which takes a tenth of an audit; it costs a few megabytes


class Job(Protocol):
    """One submission to audit."""

    @property
    def name(self) -> str:
        """How the user knows it."""

    def open(self) -> Submission | Unreadable:
        """The submission, or why there is none."""


@dataclass(frozen=True, slots=True)
class PathJob:
    """A submission folder, or a script with its folder."""

    path: str
    entry: str | None = None
    chosen_because: str | None = None

    @property
    def name(self) -> str:
        """The folder as the user named it."""
        return self.path

    def open(self) -> Submission | Unreadable:
        """The submission below the path."""
        found = Path(self.path) / self.entry if self.entry else Path(self.path)
        return next(locate(found))


@dataclass(frozen=True, slots=True)
class PullRequestJob:
    """The headline submission of a pull request in a clone or mirror, or the one in the folder that is named."""

    repository: Path
    number: int
    folder: str | None = None

    @property
    def name(self) -> str:
        """``#297``."""
        return f"#{self.number}"

    def open(self) -> Submission | Unreadable:
        """The pull request's submission."""
        return _repository(self.repository).pull_request(self.number, self.folder)


@dataclass(frozen=True, slots=True)
class ChangeJob:
    """One submission folder that a change touches: what HEAD adds to a base, or the index to HEAD (`base` is None)."""

    repository: Path
    base: str | None
    folder: str

    @property
    def name(self) -> str:
        """The folder in the repository."""
        return self.folder

    def open(self) -> Submission | Unreadable:
        """The submission as the change has it."""
        for submission in change_set(self.repository, self.base).submissions():
            if submission.path == self.folder:
                return submission
        return Unreadable(path=self.folder, reason="is no longer part of the change", fatal=True)


@lru_cache(maxsize=2)  # one repository per run; a worker keeps its git process
def _repository(path: Path) -> Repository:
    return Repository(path)


def jobs_for_path(path: Path) -> Iterator[Job | Unreadable]:
    """A job for every submission at `path`; what is none is told."""
    for found in locate(path):
        if isinstance(found, Submission):
            yield PathJob(found.path, found.entry, found.chosen_because)
        else:
            yield found


def jobs_for_pull_requests(repository: Path, numbers: Sequence[int], folder: str | None = None) -> list[Job | Unreadable]:
    """A job for each pull request; all that the repository holds if `numbers` is empty. SubmissionError: no repository."""
    return [PullRequestJob(repository, number, folder) for number in numbers or _repository(repository).all_pull_requests()]


def change_set(repository: Path, base: str | None) -> ChangeSet:
    """What HEAD adds to `base`, or the index to HEAD where that is None. SubmissionError: no repository, no such commit."""
    opened = _repository(repository)
    return opened.staged() if base is None else opened.against(base)


def jobs_for_change(repository: Path, base: str | None) -> list[Job | Unreadable]:
    """A job for each submission folder that a change touches. SubmissionError as for `change_set`."""
    return [ChangeJob(repository, base, found.path) for found in change_set(repository, base).submissions()]


def notices_on_change(repository: Path, base: str | None) -> list[str]:
    """What to know about a change beside its submissions: that it has none, what it removes, what is not part of it yet."""
    change = change_set(repository, base)
    notices = []
    if not change.folders and not change.reduced:
        against = "what is staged" if base is None else f"the change against {base}"
        touched = _shortly([f"{item.kind} {item.path}" for item in change.changes]) or "no file"
        notices.append(f"nothing to audit: {against} touches no submission folder ({touched})")
    notices += [f"the change deletes the submission folder {folder}" for folder in change.removed]
    uncommitted = () if base is None else _repository(repository).uncommitted()
    if left_out := [path for path in uncommitted if path.startswith("records/")]:
        notices.append(f"HEAD was audited, without what is not committed: {_shortly(left_out)}")
    return notices


def _shortly(words: Sequence[str]) -> str:
    more = len(words) - _NUM_NAMED
    return ", ".join([*words[:_NUM_NAMED], *([f"{more} more"] if more > 0 else [])])


@dataclass(frozen=True, slots=True)
class Auditor:
    """The rules to ask and the ruleset to ask them under. `keep_empty`: what holds no submission gets an error report.

    `explain_flow`: reports tell the evaluation as a story; `timelines`: they hold what a picture of it is drawn from.
    `run`: how submissions are run; None: they are not.
    """

    rules: Sequence[Rule]
    ruleset: Ruleset
    keep_empty: bool = True
    explain_flow: bool = False
    timelines: bool = False
    run: RunOptions | None = None

    def report(self, job: Job | Unreadable, on_phase: Callable[[str], None] = lambda phase: None) -> Report | None:
        """The report on one job; None for one that holds no submission where those are passed over.

        `on_phase` is told what a run is at.
        """
        if isinstance(job, Unreadable):
            return error_report(job)
        try:
            found = job.open()
            if isinstance(found, Unreadable):
                return error_report(found) if found.fatal or self.keep_empty else None
            if self.run is not None:
                found.run = _observe(found, self.run, on_phase)
            return audit(found, self.rules, self.ruleset, explain_flow=self.explain_flow, timelines=self.timelines)
        except SubmissionError as error:
            return error_report(Unreadable(path=job.name, reason=str(error), fatal=True))
        except Exception as error:  # noqa: BLE001 - the isolation point: one submission never stops the others
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"the auditor failed in {where.name} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno}): {error!r}"
            return error_report(Unreadable(path=job.name, reason=reason, fatal=True))


def _observe(submission: Submission, options: RunOptions, on_phase: Callable[[str], None]) -> RunFacts:
    """What a run shows; where running fails, only that: the audit of files, logs and source goes on."""
    try:
        return observe(submission, options, on_phase)
    except SubmissionError:
        raise  # the submission itself cannot be read
    except Exception as error:  # noqa: BLE001 - the isolation point: a run never stops the audit
        reason, script = f"running it failed: {type(error).__name__}: {error}", submission.script
        return RunFacts(script=script.path if script else None, failure=reason, needed="report this as a bug")


def error_report(reason: Unreadable) -> Report:
    """The report on something that could not be audited."""
    number = reason.path.removeprefix("#")
    submission = SubmissionSummary(
        path=reason.path,
        pr=int(number) if reason.path.startswith("#") and number.isdigit() else None,
        commit=None,
        script=None,
        code_bytes=None,
        packed=False,
        unwrapped=(),
        parsed=False,
        digest=None,
        chosen_because=None,
    )
    fatal = Unreadable(path=reason.path, reason=reason.reason, fatal=True)
    return Report(submission=submission, headline=None, results=(), unreadable=(fatal,))


def audit_all(
    auditor: Auditor,
    jobs: Sequence[Job | Unreadable],
    num_processes: int = 1,
    on_done: Callable[[str], None] = lambda name: None,
    on_phase: Callable[[str], None] = lambda phase: None,
) -> tuple[Report, ...]:
    """Reports on `jobs` in their order, with `num_processes` workers; `on_done` is told each name as it is finished.

    `on_phase` is told what a run is at, where jobs are done one after the other.
    """
    if num_processes == 1 or len(jobs) < 2:
        _collect_seldom()
        reports = []
        for job in jobs:
            reports.append(auditor.report(job, on_phase))
            on_done(_name(job))
    else:
        reports = _in_processes(auditor, jobs, num_processes, on_done)
    return tuple(report for report in reports if report is not None)


def _in_processes(
    auditor: Auditor, jobs: Sequence[Job | Unreadable], num_processes: int, on_done: Callable[[str], None]
) -> list[Report | None]:
    reports: dict[int, Report | None] = {}
    try:
        with _pool(num_processes) as pool:
            futures = {pool.submit(auditor.report, job): index for index, job in enumerate(jobs)}
            for future in as_completed(futures):
                reports[futures[future]] = future.result()
                on_done(_name(jobs[futures[future]]))
    except BrokenProcessPool:  # a worker died (out of memory, killed): the rest one by one, so that only the culprit fails
        for index, job in enumerate(jobs):
            if index not in reports:
                reports[index] = _alone(auditor, job)
                on_done(_name(job))
    return [reports[index] for index in range(len(jobs))]


def _alone(auditor: Auditor, job: Job | Unreadable) -> Report | None:
    try:
        with _pool(1) as pool:
            future: Future[Report | None] = pool.submit(auditor.report, job)
            return future.result()
    except BrokenProcessPool:
        reason = "the process that audited it was killed, most likely for want of memory"
        return error_report(Unreadable(path=_name(job), reason=reason, fatal=True))


def _pool(num_processes: int) -> ProcessPoolExecutor:
    # spawn: a forked worker would share the parent's open git process
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(num_processes, mp_context=spawn, initializer=_collect_seldom)


def _collect_seldom() -> None:
    """Look for garbage less often: trees and traces live as long as their audit, and looking through them finds little."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)


def _name(job: Job | Unreadable) -> str:
    return job.path if isinstance(job, Unreadable) else job.name
