"""What the README says where a machine can read it: the run command with its environment, and claimed numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.report import Unreadable
from auditor.submission.tree import FileTree


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand:
    """A command that starts a script, from the README or a run script, with the variables that it sets."""

    path: str
    line: int
    script: str | None
    environment: Mapping[str, str]
    num_processes: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadmeClaim:
    """A val_bpb that the README states, with its line and the words around it."""

    line: int
    val_bpb: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readme:
    """The README of a submission."""

    path: str
    text: str
    commands: tuple[RunCommand, ...] = ()
    claims: tuple[ReadmeClaim, ...] = ()


def read_readme(files: FileTree) -> tuple[Readme | None, tuple[Unreadable, ...]]:
    """Read the folder's README and the commands in its run scripts."""
    return None, ()
