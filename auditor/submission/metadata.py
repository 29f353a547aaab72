"""What submission.json declares, in all the spellings that real submissions use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.report import Unreadable
from auditor.submission.tree import FileTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A number as declared: its key (dotted path in the JSON), its value, and the line it stands on."""

    key: str
    value: float
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedResult:
    """What is declared for one seed. Sizes in bytes, times in seconds."""

    seed: int | None
    val_bpb: Declared | None = None
    val_loss: Declared | None = None
    artifact_bytes: Declared | None = None
    train_seconds: Declared | None = None
    eval_seconds: Declared | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """submission.json as typed facts. `raw` is the parsed object; `problems` says what was odd about it."""

    path: str
    raw: Mapping[str, object]
    val_bpb: Declared | None = None
    val_bpb_std: Declared | None = None
    val_loss: Declared | None = None
    bytes_total: Declared | None = None
    bytes_code: Declared | None = None
    bytes_model: Declared | None = None
    seeds: tuple[int, ...] = ()
    seed_results: tuple[SeedResult, ...] = ()
    track: str | None = None
    date: str | None = None
    name: str | None = None
    hardware: str | None = None
    retracted: str | None = None
    problems: tuple[str, ...] = ()


def read_metadata(files: FileTree) -> tuple[Metadata | None, tuple[Unreadable, ...]]:
    """Read the folder's submission.json; None with a reason where it is missing or broken."""
    return None, ()
