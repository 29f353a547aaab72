"""What a rule establishes of a submission by itself is established once for each submission and each thing it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.submission.submission import Submission, fact
from auditor.submission.tree import DirectoryTree


def test_a_fact_is_established_once_for_each_submission(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    @fact
    def doubled(submission: Submission, number: int) -> int:
        asked.append((submission.path, number))
        return 2 * number

    first, second = (Submission(path, DirectoryTree(tmp_path)) for path in ("first", "second"))
    assert [doubled(first, 1), doubled(first, 2), doubled(first, 1), doubled(second, 1)] == [2, 4, 2, 2]
    assert asked == [("first", 1), ("first", 2), ("second", 1)]


def test_facts_by_different_functions_are_told_apart(tmp_path: Path) -> None:
    one, other = fact(lambda submission: "one"), fact(lambda submission: "other")
    submission = Submission("folder", DirectoryTree(tmp_path))
    assert (one(submission), other(submission), one(submission)) == ("one", "other", "one")


def test_a_fact_that_could_not_be_established_is_asked_for_again(tmp_path: Path) -> None:
    answers = iter((ValueError("not yet"), None))

    @fact
    def late(_: Submission) -> str:
        if (error := next(answers)) is not None:
            raise error
        return "there"

    submission = Submission("folder", DirectoryTree(tmp_path))
    with pytest.raises(ValueError, match="not yet"):
        late(submission)
    assert late(submission) == "there"
