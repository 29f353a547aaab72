"""Finds the training logs of a submission and reads them into facts."""

from __future__ import annotations

from auditor.report import Unreadable
from auditor.submission.logs.model import Log
from auditor.submission.tree import FileTree


def read_logs(files: FileTree) -> tuple[tuple[Log, ...], tuple[Unreadable, ...]]:
    """Every training log of a submission, in path order, and what could not be read."""
    return (), ()
