"""What a command says: reports whole or not at all, and problems on standard error."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

ERROR = 2
"""Exit status: the job could not be done, or not all of it."""


def failed(reason: str) -> int:
    """Tell a problem; returns `ERROR`, the exit status that goes with it."""
    from auditor.output.sanitize import disarm_commands, plain

    print(f"pgolf: {disarm_commands(plain(reason))}", file=sys.stderr)  # it may quote a name out of a submission
    return ERROR


def written(text: str, file: Path | None) -> bool:
    """Write to `file`, or to standard output; False, and the reason on standard error, if that cannot be."""
    if file is None:
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.flush()
        return True
    try:
        _replace(file, text)
    except OSError as error:
        failed(f"{file}: {error.strerror}")
        return False
    return True


def _replace(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise
