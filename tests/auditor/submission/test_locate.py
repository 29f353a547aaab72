"""From what the user named to submissions."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.report import Unreadable
from auditor.submission.errors import SubmissionError
from auditor.submission.folders import find_submission_folders
from auditor.submission.locate import locate
from auditor.submission.submission import Submission
from auditor.submission.tree import MAX_FILE_BYTES, DirectoryTree


@pytest.mark.parametrize(
    ("paths", "folders"),
    [
        (["r/a/submission.json", "r/a/train_gpt.py"], ["r/a"]),
        (["r/a/submission.json", "r/a/helpers/tool.py", "r/a/helpers/README.md"], ["r/a"]),
        (["r/a/submission.json", "r/b/train_gpt_v5.py"], ["r/a", "r/b"]),
        (["train_gpt.py", "README.md", "r/a/submission.json"], ["r/a"]),
        (["data/train_tokenizer.py", "r/a/README.md"], []),
        (["r/a/README.md", "r/a/eval.py"], ["r/a"]),
        (["r/a/eval.py"], []),
        (["r/x/x/submission.json"], ["r/x/x"]),
        (["submission.json"], [""]),
    ],
)
def test_what_a_submission_folder_is(paths: list[str], folders: list[str]) -> None:
    assert list(find_submission_folders(paths)) == folders


def test_a_tree_of_records_yields_each_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train_gpt.py").write_text("x = 1\n")
    assert [Path(item.path).name for item in locate(tmp_path)] == ["a", "b"]


def test_a_lone_script_is_audited_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "train_v5.py").write_text("x = 1\n")
    (submission,) = locate(tmp_path / "train_v5.py")
    assert isinstance(submission, Submission)
    assert submission.entry == "train_v5.py"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "empty"),
        (lambda path: path.write_bytes(b"\0\1"), "neither a folder nor a Python script"),
        (lambda path: (path.mkdir(), (path / "notes.txt").write_text("hello")), "no submission.json"),
    ],
)
def test_nothing_to_audit_is_fatal_and_says_why(tmp_path: Path, make: object, reason: str) -> None:
    target = tmp_path / "target"
    make(target)  # type: ignore[operator]
    (problem,) = locate(target)
    assert isinstance(problem, Unreadable)
    assert problem.fatal
    assert reason in problem.reason


def test_links_are_told_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "out.log").symlink_to("/etc/hostname")
    (tmp_path / "real.log").write_text("x")
    tree = DirectoryTree(tmp_path)
    assert tree.paths() == ("real.log",)
    assert {problem.path for problem in tree.problems()} == {"loop", "out.log"}


def test_a_file_over_the_bound_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.log").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(SubmissionError, match=f"{MAX_FILE_BYTES + 1:,} bytes"):
        DirectoryTree(tmp_path).read("big.log")
