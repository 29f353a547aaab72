"""Submissions in memory, from the text of their files; no file system is needed to judge a log."""

from __future__ import annotations

import json
from collections.abc import Mapping

from auditor.report import Unreadable
from auditor.submission.submission import Submission

RECORD = "records/track_10min_16mb/2026-04-15_Test"
NON_RECORD = "records/track_non_record_16mb/2026-04-15_Test"
SXM = "NVIDIA H100 80GB HBM3"


class Files:
    """A file tree held in memory."""

    def __init__(self, contents: Mapping[str, str]) -> None:
        self.contents = {path: text.encode() for path, text in contents.items()}

    def paths(self) -> tuple[str, ...]:
        return tuple(sorted(self.contents))

    def size(self, path: str) -> int:
        return len(self.contents[path])

    def read(self, path: str) -> bytes:
        return self.contents[path]

    def problems(self) -> tuple[Unreadable, ...]:
        return ()


def log_text(
    *lines: str, seed: int = 1337, world_size: int | None = 8, gpu: str | None = SXM, end_ms: int = 599_950
) -> str:
    """A log whose training loop ended at `end_ms` and went on with `lines`."""
    table = [f"|   {index}  {gpu}          On  |   00000000:1{index}:00.0 Off |" for index in range(8)] if gpu else []
    processes = [f"world_size:{world_size} grad_accum_steps:1"] if world_size else []
    stop = f"stopping_early: wallclock_cap train_time:{end_ms}ms step:13800/20000"
    return "\n".join([f"seed: {seed}", *table, *processes, stop, *lines]) + "\n"


def submission_of(logs: Mapping[str, str], val_bpb: float = 1.0801, path: str = RECORD, **declared: object) -> Submission:
    """A submission with these logs that claims `val_bpb`."""
    metadata = {"val_bpb": val_bpb, "date": "2026-04-15", **declared}
    return Submission(path, Files({**logs, "submission.json": json.dumps(metadata)}))
