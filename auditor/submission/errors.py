"""What can go wrong while a submission is opened; every error names the path and the reason."""

from __future__ import annotations


class SubmissionError(Exception):
    """A submission, or a part of it, could not be read. `path` is what the user named or a file inside it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
