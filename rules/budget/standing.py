"""How surely a measured time speaks about a record: the track, and what makes its log weak evidence.

One place for the three rules about time, so that they grade alike. Not covered: whether a log is genuine, which the rules
about evidence ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.finding import Confidence
from auditor.rule import Status
from auditor.submission.logs.model import Log, Run
from auditor.submission.submission import Submission
from rules.budget.hardware import machine_of
from rules.budget.track import Track, track_of
from rules.headline_runs import SeedRun, headline_runs


@dataclass(frozen=True, slots=True)
class Standing:
    """What an excess in one run comes to. `status` None: what the rule says; `doubts` are why it is for a person."""

    status: Status | None
    doubts: tuple[str, ...]

    @property
    def confidence(self) -> Confidence:
        """High only where nothing is in doubt."""
        return Confidence.HIGH if self.status is None else Confidence.MEDIUM

    def __str__(self) -> str:
        return "".join(f"; {doubt}" for doubt in self.doubts)

    def but(self, status: Status, doubt: str) -> Standing:
        """The same with one more doubt, for which an excess comes to `status` unless it came to less."""
        return Standing(self.status or status, (*self.doubts, doubt))


@dataclass(frozen=True, slots=True)
class Bench:
    """One submission's logs and track, against which times are weighed."""

    logs: Mapping[str, Log]
    track: Track
    located: bool

    def weigh(self, seed_run: SeedRun, run: Run) -> Standing:
        """How surely a time that `run` printed speaks about the seed behind `seed_run`."""
        if self.track is Track.NON_RECORD:
            return Standing(Status.NOTE, ("the non-record track may take longer",))
        other = machine_of(run, self.logs[run.log]).differs
        doubts = (
            ("no log line carries the submitted number", not self.located),
            ("the log is not the one that carries the number", run.log != seed_run.run.log),
            (f"it ran on {other}, not on the reference hardware", other is not None),
            ("it is not clear that it is a record", self.track is Track.UNCLEAR),
        )
        found = tuple(doubt for doubt, applies in doubts if applies)
        return Standing(Status.REVIEW if found else None, found)


def bench_of(submission: Submission) -> Bench:
    """The bench of a submission."""
    logs = {log.path: log for log in submission.logs}
    return Bench(logs, track_of(submission), bool(headline_runs(submission)))
