"""Where the script is: the innermost frame that is neither ours nor a library's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

FOREIGN = (str(Path(__file__).parent), "site-packages", "dist-packages", "<frozen", "<__array_function__", "/torch/")
HERE = os.getcwd() + os.sep  # where the run begins: the submission's folder


def is_foreign(filename):
    """Does a file belong to somebody other than the script?"""
    return any(part in filename for part in FOREIGN)


def script_place():
    """[file, line, function] of the script's innermost frame, the file below the submission; None if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        if not is_foreign(frame.f_code.co_filename):
            return [frame.f_code.co_filename.removeprefix(HERE), frame.f_lineno, frame.f_code.co_name]
        frame = frame.f_back
    return None
