"""A submission's files, wherever they live: on disk or in a git tree.

Everything above this module sees paths relative to the submission folder and bytes; it cannot tell a checkout from a
pull request's tree. Links are never followed out of the folder, and reads are bounded.
"""

from __future__ import annotations

from typing import Protocol

MAX_FILE_BYTES = 64 * 1024 * 1024  # ours: a bound on what one read may load, far above any real script or log


class FileTree(Protocol):
    """A read-only set of files. Paths are relative, with forward slashes, sorted."""

    def paths(self) -> tuple[str, ...]:
        """Every regular file below the root."""

    def size(self, path: str) -> int:
        """Size of a file in bytes, without reading it. KeyError if there is no such file."""

    def read(self, path: str) -> bytes:
        """A file's bytes. SubmissionError if it is larger than `MAX_FILE_BYTES` or cannot be read."""
