"""What a run did, in order, one JSON object a line: the vocabulary that the auditor reads.

An ordering rule needs to know which tokens were scored with which state, and which tokens changed that state. So each
score names the state that it used, each update the state that it made and the tokens that influenced it, and each
report the scores that it sums. Token ranges are half-open and count targets: token t of a split is the t-th of its
stream, and the first is never scored.

Only the main process writes, and it speaks for all of them: an event is written when it is true on every process. Lines
are flushed one by one; a line that a killed run left unfinished is cut off when the file is opened again. It is a
record, not a proof: what the auditor trusts it observes itself.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

SCHEMA_VERSION = 1

TokenRange = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Score:
    """The losses of these tokens entered a reported sum, computed with this state."""

    event: ClassVar[str] = "score"
    split: str
    tokens: TokenRange
    state: str
    grad_mode: str
    sum_nats: float
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class Update:
    """Weights, an adapter or a cache changed into this state, and these tokens influenced the change."""

    event: ClassVar[str] = "update"
    split: str
    tokens: TokenRange
    state: str
    num_steps: int


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """A cache or table was consulted to build a prediction; `key` says what the key depends on."""

    event: ClassVar[str] = "lookup"
    state: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """A result was logged; `scores` are the numbers of the first and the last event that it sums."""

    event: ClassVar[str] = "report"
    label: str
    val_loss: float
    val_bpb: float
    num_tokens: int
    num_bytes: int
    scores: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Read:
    """A file was read in this phase: train, serialize, evaluate or adapt."""

    event: ClassVar[str] = "read"
    what: str
    phase: str


@dataclass(frozen=True, kw_only=True)
class Write:
    """A file of so many bytes was written."""

    event: ClassVar[str] = "write"
    what: str
    num_bytes: int


Event = Score | Update | Lookup | Report | Read | Write


class EventLog:
    """Appends events to a file; without a path (processes other than the main one, or no interest) it only counts."""

    def __init__(self, path: Path | None = None) -> None:
        self._next_number = 0
        self._file = None
        self._started = time.perf_counter()
        if path is not None:
            self._next_number = _cut_torn_line(path)
            self._file = path.open("a", buffering=1, encoding="utf-8")

    def emit(self, event: Event) -> int:
        """Write one event and give its number in this file."""
        number = self._next_number
        self._next_number += 1
        if self._file is not None:
            seconds = round(time.perf_counter() - self._started, 6)
            head = {"schema_version": SCHEMA_VERSION, "number": number, "seconds": seconds, "event": event.event}
            self._file.write(json.dumps(head | dataclasses.asdict(event)) + "\n")
        return number

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _cut_torn_line(path: Path) -> int:
    """Leave only complete lines in the file and count them."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    complete = content.rfind(b"\n") + 1
    if complete < len(content):
        os.truncate(path, complete)
    return content.count(b"\n")
