"""Writing a file so that it is there completely or not at all.

The bytes go beside the target, onto the disk, and only then under the target's name; a crash, a full disk or a kill leaves
the old file or none. Not covered: two processes that write the same path at once.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`; ValueError with the path and the system's reason if that is not possible."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        _remove_quietly(partial)
        raise ValueError(f"{path}: cannot be written: {error.strerror or error}") from error


def _remove_quietly(partial: Path) -> None:
    try:
        partial.unlink(missing_ok=True)
    except OSError:  # the folder itself is gone or unwritable; the first error is the one to tell
        return
