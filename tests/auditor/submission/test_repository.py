"""Pull requests and changes out of real git repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from auditor.report import Unreadable
from auditor.submission.errors import SubmissionError
from auditor.submission.git import Git, GitTree
from auditor.submission.repository import Repository
from auditor.submission.submission import Submission
from tests.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "contest")


def opened(workshop: Workshop, number: int) -> Submission:
    submission = Repository(workshop.path).pull_request(number)
    assert isinstance(submission, Submission), submission
    return submission


def test_an_open_pull_request_is_what_it_adds_to_the_merge_base(workshop: Workshop) -> None:
    workshop.branch("one")
    folder = workshop.record("2026-04-01_A")
    workshop.commit("add A")
    workshop.publish(1)
    workshop.record("2026-04-02_Other")
    workshop.commit("main moves on")
    submission = opened(workshop, 1)
    assert submission.path == folder
    assert submission.pr == 1
    assert submission.files.paths() == ("README.md", "helpers/tool.py", "submission.json", "train_gpt.py")
    assert submission.files.read("train_gpt.py") == b"print('2026-04-01_A')\n"
    assert {(change.path, change.kind) for change in submission.changes or ()} == {
        (f"{folder}/{name}", "added") for name in submission.files.paths()
    }


def test_a_pull_request_merged_by_a_merge_commit_is_still_what_it_added(workshop: Workshop) -> None:
    workshop.branch("one")
    folder = workshop.record("2026-04-01_A")
    workshop.commit("add A")
    workshop.publish(1)
    workshop.record("2026-04-02_Other")
    workshop.commit("main moves on")
    workshop.git("merge", "-q", "--no-ff", "-m", "merge one", "one")
    submission = opened(workshop, 1)
    assert submission.path == folder
    assert all(change.path.startswith(folder) for change in submission.changes or ())


def test_a_squashed_pull_request_is_still_what_it_added(workshop: Workshop) -> None:
    workshop.branch("one")
    folder = workshop.record("2026-04-01_A")
    workshop.commit("add A")
    workshop.publish(1)
    workshop.git("merge", "-q", "--squash", "one")
    workshop.commit("A (#1)")
    assert opened(workshop, 1).path == folder


def test_the_folder_with_a_claim_goes_before_a_newer_one_without(workshop: Workshop) -> None:
    workshop.branch("two")
    claimed = workshop.record("2026-04-01_Claimed", 1.1)
    workshop.commit("add the record")
    study = workshop.record("2026-04-09_Study", None)
    workshop.commit("add a study")
    workshop.publish(2)
    submission = opened(workshop, 2)
    assert submission.path == claimed
    assert submission.other_folders == (study,)
    assert "2 submission folders" in (submission.chosen_because or "")


def test_of_two_claims_the_newest_commit_decides_whatever_the_names_say(workshop: Workshop) -> None:
    workshop.branch("two")
    workshop.record("2026-04-09_First")
    workshop.commit("first")
    second = workshop.record("2026-04-01_Second")
    workshop.commit("second")
    workshop.publish(2)
    assert opened(workshop, 2).path == second


def test_a_script_at_the_root_is_audited_with_what_the_change_touches(workshop: Workshop) -> None:
    workshop.branch("three")
    workshop.write("train_gpt.py", "print('faster')\n")
    workshop.write("train.log", "val_bpb:1.2\n")
    workshop.commit("change the root script")
    workshop.publish(3)
    submission = opened(workshop, 3)
    assert submission.entry == "train_gpt.py"
    assert submission.files.paths() == ("train.log", "train_gpt.py")
    with pytest.raises(KeyError):
        submission.files.size("README.md")


def test_nothing_to_audit_and_no_such_pull_request_say_so(workshop: Workshop) -> None:
    workshop.branch("four")
    workshop.write("README.md", "# the contest!\n")
    workshop.commit("fix a typo")
    workshop.publish(4)
    repository = Repository(workshop.path)
    nothing, missing = repository.pull_request(4), repository.pull_request(5)
    assert isinstance(nothing, Unreadable)
    assert not nothing.fatal
    assert isinstance(missing, Unreadable)
    assert missing.fatal
    assert repository.all_pull_requests() == (4,)


def test_a_change_yields_every_folder_that_it_touches_and_its_scope(workshop: Workshop) -> None:
    workshop.record("2026-03-01_Old")
    workshop.commit("an older record")
    workshop.git("checkout", "-q", "-b", "mine")
    new = workshop.record("2026-04-01_New")
    workshop.write("train_gpt.py", "print('edited')\n")
    workshop.commit("mine")
    (submission,) = Repository(workshop.path).against("main").submissions()
    assert submission.path == new
    assert ("train_gpt.py", "modified") in {(c.path, c.kind) for c in submission.changes or ()}


def test_a_bare_mirror_and_a_subfolder_read_the_same(workshop: Workshop, tmp_path: Path) -> None:
    workshop.branch("one")
    workshop.record("2026-04-01_A")
    workshop.commit("add A")
    workshop.publish(1)
    mirror = tmp_path / "mirror.git"
    subprocess.run(["git", "clone", "-q", "--mirror", workshop.path, mirror], check=True)
    from_mirror = Repository(mirror).pull_request(1)
    assert isinstance(from_mirror, Submission)
    assert from_mirror.digest == opened(workshop, 1).digest


def test_a_folder_without_a_script_comes_with_the_one_at_the_root(workshop: Workshop) -> None:
    workshop.branch("one")
    folder = workshop.record("2026-04-01_A")
    (workshop.path / folder / "train_gpt.py").unlink()
    workshop.write("train_gpt.py", "print('the script of the change')\n")
    workshop.commit("script at the root")
    workshop.publish(1)
    submission = opened(workshop, 1)
    assert submission.path == folder
    assert submission.script is not None
    assert submission.script.path == "../../../train_gpt.py"
    assert "the script of the change" in submission.script.main.source


def test_links_and_submodules_are_reported_and_not_followed(workshop: Workshop) -> None:
    (workshop.path / "link.log").symlink_to("/etc/hostname")
    head = workshop.git("rev-parse", "HEAD")
    workshop.git("update-index", "--add", "--cacheinfo", f"160000,{head},vendored")
    workshop.git("add", "link.log")
    workshop.git("commit", "-q", "-m", "odd entries")
    tree = GitTree(Git(workshop.path), "HEAD", "")
    assert {problem.path for problem in tree.problems()} == {"link.log", "vendored"}
    assert not {"link.log", "vendored"} & set(tree.paths())


@pytest.mark.parametrize("name", ["with\nnewline.log", 'quo"te.log', "tab\tname.log", "ünïcode.log"])
def test_odd_names_come_through_whole(workshop: Workshop, name: str) -> None:
    workshop.write(name, "x\n")
    workshop.commit("odd name")
    assert GitTree(Git(workshop.path), "HEAD", "").read(name) == b"x\n"


def test_what_is_no_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="not a git repository"):
        Repository(tmp_path)
    with pytest.raises(SubmissionError, match="no such file"):
        Repository(tmp_path / "nowhere")


def test_hooks_and_configured_helpers_do_not_run(workshop: Workshop, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    workshop.branch("one")
    workshop.record("2026-04-01_A")
    workshop.write(".gitattributes", "*.py diff=evil filter=evil\n")
    workshop.commit("add A")
    workshop.publish(1)
    for key in ("diff.evil.command", "diff.evil.textconv", "filter.evil.smudge", "core.fsmonitor", "core.pager"):
        workshop.git("config", key, f"touch {trap}")
    assert opened(workshop, 1).digest
    assert not trap.exists()


def test_a_folder_without_a_log_comes_with_those_at_the_root(workshop: Workshop) -> None:
    workshop.branch("one")
    folder = workshop.record("2026-04-01_A")
    workshop.write("logs/run.txt", "step:1/1 val_loss:2.0 val_bpb:1.2000\n")
    workshop.write("notes/run.txt", "val_bpb:1.3\n")
    workshop.commit("the log stays where the script put it")
    workshop.publish(1)
    submission = opened(workshop, 1)
    assert submission.path == folder
    assert [log.path for log in submission.logs] == ["../../../logs/run.txt"]


def test_logs_at_the_root_are_of_no_folder_where_there_are_two(workshop: Workshop) -> None:
    workshop.branch("one")
    workshop.record("2026-04-01_A")
    workshop.record("2026-04-01_B")
    workshop.write("logs/run.txt", "val_bpb:1.2\n")
    workshop.commit("two records, one log")
    workshop.publish(1)
    assert opened(workshop, 1).logs == ()


def test_a_damaged_object_is_told_and_the_files_after_it_are_read(workshop: Workshop) -> None:
    workshop.write("a.log", "damaged\n" * 1000)
    workshop.write("b.log", "whole\n")
    workshop.commit("two logs")
    digest = workshop.git("rev-parse", "HEAD:a.log")
    loose = workshop.path / ".git" / "objects" / digest[:2] / digest[2:]
    loose.chmod(0o644)
    loose.write_bytes(loose.read_bytes()[:30])
    tree = GitTree(Git(workshop.path), "HEAD", "")
    for _ in range(2):
        with pytest.raises(SubmissionError, match=r"damaged|does not hold"):
            tree.read("a.log")
        assert tree.read("b.log") == b"whole\n"


def test_a_head_that_names_no_commit_is_told_from_one_that_is_not_there(workshop: Workshop) -> None:
    workshop.git("update-ref", "refs/pull/8/head", workshop.git("rev-parse", "HEAD:README.md"))
    broken, missing = (Repository(workshop.path).pull_request(number) for number in (8, 9))
    assert isinstance(broken, Unreadable)
    assert "refs/pull/8/head names no commit" in broken.reason
    assert isinstance(missing, Unreadable)
    assert "names no commit" not in missing.reason
