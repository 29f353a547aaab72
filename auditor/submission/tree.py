"""A submission's files, wherever they live: on disk or in a git tree.

Everything above this module sees paths relative to the submission folder and bytes; it cannot tell a checkout from a
pull request's tree. Links are never followed, special files never opened, and reads are bounded; what was passed over
for such a reason is told by `problems`, so that nothing disappears silently.
"""

from __future__ import annotations

import contextlib
import os
import stat
from functools import cached_property
from pathlib import Path
from typing import Protocol

from auditor.report import Unreadable
from auditor.submission.errors import SubmissionError

MAX_FILE_BYTES = 64 * 1024 * 1024  # ours: a bound on what one read may load, far above any real script or log
MAX_FILES = 20_000  # ours: a folder with more is no submission


class FileTree(Protocol):
    """A read-only set of files. Paths are relative, with forward slashes, sorted."""

    def paths(self) -> tuple[str, ...]:
        """Every regular file below the root."""

    def size(self, path: str) -> int:
        """Size of a file in bytes, without reading it. KeyError: no such file; SubmissionError: its size is unknown."""

    def read(self, path: str) -> bytes:
        """A file's bytes. SubmissionError if it is larger than `MAX_FILE_BYTES` or cannot be read."""

    def problems(self) -> tuple[Unreadable, ...]:
        """What lies in the folder and was passed over: links, special files, folders that may not be listed."""


class DirectoryTree:
    """The files below a folder on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def _listing(self) -> tuple[dict[str, int], tuple[Unreadable, ...]]:
        sizes: dict[str, int] = {}
        problems: list[Unreadable] = []
        pending = [self.root]
        while pending and len(sizes) < MAX_FILES:
            folder = pending.pop()
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                problems.append(Unreadable(path=self._relative(folder), reason=error.strerror or str(error)))
                continue
            for entry in entries:
                path = Path(entry.path)
                if entry.name == ".git":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                elif reason := _why_passed_over(entry):
                    problems.append(Unreadable(path=self._relative(path), reason=reason))
                else:
                    sizes[self._relative(path)] = entry.stat(follow_symlinks=False).st_size
        if pending:
            problems.append(Unreadable(path=".", reason=f"holds more than {MAX_FILES} files; the rest was not listed"))
        return dict(sorted(sizes.items())), tuple(problems)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def paths(self) -> tuple[str, ...]:
        """Every regular file below the root, sorted."""
        return tuple(self._listing[0])

    def size(self, path: str) -> int:
        """Size in bytes."""
        return self._listing[0][path]

    def read(self, path: str) -> bytes:
        """A file's bytes, bounded."""
        check_size(path, self.size(path))
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise SubmissionError(path, error.strerror or str(error)) from error

    def problems(self) -> tuple[Unreadable, ...]:
        """What was passed over."""
        return self._listing[1]


def sizes_of(files: FileTree, ending: str) -> dict[str, int]:
    """Sizes in bytes of the files with that ending, by path; those of unknown size are left out."""
    sizes: dict[str, int] = {}
    for path in files.paths():
        if path.endswith(ending):
            with contextlib.suppress(SubmissionError):
                sizes[path] = files.size(path)
    return sizes


def check_size(path: str, num_bytes: int) -> None:
    """Raise SubmissionError if a file is too large to be read."""
    if num_bytes > MAX_FILE_BYTES:
        raise SubmissionError(path, f"{num_bytes:,} bytes; files over {MAX_FILE_BYTES:,} bytes are not read")


def _why_passed_over(entry: os.DirEntry[str]) -> str | None:
    if entry.is_symlink():
        return "a symbolic link; links are not followed"
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError as error:  # a folder may be listed whose files may not be looked at
        return error.strerror or str(error)
    return None if stat.S_ISREG(mode) else "not a regular file"
