"""A test's script as a submission, and what the evaluator tells of it."""

from __future__ import annotations

from pathlib import Path

from auditor.source.flow.analysis import Flow
from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree


def submission_of(folder: Path, source: str, **others: str) -> Submission:
    """A submission of one script, beside which `others` lie by their names."""
    for name, text in {"train_gpt": source, **others}.items():
        (folder / f"{name}.py").write_text(text)
    return Submission("records/x", DirectoryTree(folder))


def followed(submission: Submission) -> Flow:
    """What the evaluator tells, which has to come to the script's end."""
    flow = submission.flow
    assert flow is not None
    assert flow.submitted.error is None
    return flow
