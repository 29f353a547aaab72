"""From a path that the user named to the submissions there: a record folder, a script, or a tree of records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from auditor.report import Unreadable
from auditor.submission.folders import find_submission_folders
from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree


def locate(path: Path) -> Iterator[Submission | Unreadable]:
    """Every submission at `path`, sorted; an `Unreadable` that is fatal where there is none."""
    if not path.exists():
        yield _nothing(path, "no such file or folder")
    elif path.is_dir():
        yield from _in_folder(path)
    elif path.suffix == ".py":
        yield Submission(str(path.parent), DirectoryTree(path.parent), entry=path.name, chosen_because="the script named")
    else:
        yield _nothing(path, "neither a folder nor a Python script")


def _in_folder(path: Path) -> Iterator[Submission | Unreadable]:
    files = DirectoryTree(path)
    if not files.paths():
        yield _nothing(path, "the folder is empty")
        return
    folders = find_submission_folders(files.paths())
    if not folders:
        yield _nothing(path, "holds no submission: no submission.json and no training script")
    for folder in folders:
        yield Submission(str(path / folder), DirectoryTree(path / folder))


def _nothing(path: Path, reason: str) -> Unreadable:
    return Unreadable(path=str(path), reason=reason, fatal=True)
