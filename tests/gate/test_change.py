"""What a change is: ``--base`` and ``--staged`` through the command line, in real repositories."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.workshop import RECORDS, Workshop, pgolf_here

QUICK = ("--select", "PG101", "PG103")  # rules that look at the files alone: what is asked here is which files those are


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "contest")


@pytest.fixture
def mine(workshop: Workshop) -> Workshop:
    """On a branch of its own, beside a record that was there before."""
    workshop.record("2026-03-01_Old")
    workshop.commit("an older record")
    workshop.branch("mine")
    return workshop


def reports(workshop: Workshop, *words: str, cwd: Path | None = None) -> dict[str, Any]:
    """The reports by folder, and the notices; the exit status stands under ``status``."""
    done = pgolf_here("audit", *words, *QUICK, "--format", "json", cwd=cwd or workshop.path)
    assert done.stdout, done.stderr
    data = json.loads(done.stdout)
    found = {report["submission"]["path"]: report for report in data["reports"]}
    return {"status": done.returncode, "found": found, "notices": data["notices"]}


def messages(report: dict[str, Any], rule_id: str) -> list[str]:
    (result,) = [result for result in report["results"] if result["rule_id"] == rule_id]
    return [finding["message"] for finding in result["findings"]]


def test_only_what_the_change_touches_is_audited_and_every_folder_of_it(mine: Workshop) -> None:
    first, second = mine.record("2026-04-01_First"), mine.record("2026-04-02_Second")
    mine.commit("two records")
    assert set(reports(mine, "--base", "main")["found"]) == {first, second}


def test_what_the_base_gained_since_is_no_part_of_the_change(mine: Workshop) -> None:
    new = mine.record("2026-04-01_New")
    mine.commit("mine")
    mine.git("checkout", "-q", "main")
    mine.record("2026-04-02_Theirs")
    mine.write("train_gpt.py", "print('another baseline')\n")
    mine.commit("main moves on")
    mine.git("checkout", "-q", "mine")
    done = reports(mine, "--base", "main")
    assert set(done["found"]) == {new}
    assert messages(done["found"][new], "PG103") == []


def test_edits_outside_the_folder_are_told(mine: Workshop) -> None:
    new = mine.record("2026-04-01_New")
    mine.write("train_gpt.py", "print('edited')\n")
    mine.write(".github/workflows/other.yml", "on: push\n")
    mine.commit("mine, and more")
    assert messages(reports(mine, "--base", "main")["found"][new], "PG103") == [
        "outside its folder the pull request adds .github/workflows/other.yml and modifies train_gpt.py"
    ]


def test_a_record_that_was_there_before_and_is_modified_is_audited_and_told(mine: Workshop) -> None:
    mine.write(f"{RECORDS}/2026-03-01_Old/submission.json", '{"val_bpb": 0.5}')
    mine.commit("a better number")
    (report,) = reports(mine, "--base", "main")["found"].values()
    (message,) = messages(report, "PG103")
    assert message == f"the folder is not new: the pull request modifies {RECORDS}/2026-03-01_Old/submission.json"


def test_a_record_that_only_loses_a_file_is_audited(mine: Workshop) -> None:
    (mine.path / f"{RECORDS}/2026-03-01_Old/README.md").unlink()
    mine.commit("away with it")
    (report,) = reports(mine, "--base", "main")["found"].values()
    assert report["submission"]["path"] == f"{RECORDS}/2026-03-01_Old"
    assert "the folder has no README.md" in messages(report, "PG101")
    assert "deletes" in messages(report, "PG103")[0]


def test_a_record_that_is_deleted_is_told_and_nothing_is_audited(mine: Workshop) -> None:
    mine.git("rm", "-rq", f"{RECORDS}/2026-03-01_Old")
    mine.commit("away with it")
    done = reports(mine, "--base", "main")
    assert (done["status"], done["found"]) == (0, {})
    assert done["notices"][0].startswith("nothing to audit: the change against main touches no submission folder")
    assert done["notices"][1:] == [f"the change deletes the submission folder {RECORDS}/2026-03-01_Old"]


def test_a_renamed_record_is_a_new_one_and_a_deleted_one(mine: Workshop) -> None:
    mine.git("mv", f"{RECORDS}/2026-03-01_Old", f"{RECORDS}/2026-04-01_New")
    mine.commit("renamed")
    done = reports(mine, "--base", "main")
    (report,) = done["found"].values()
    assert report["submission"]["path"] == f"{RECORDS}/2026-04-01_New"
    assert "deletes" in messages(report, "PG103")[0]
    assert done["notices"] == [f"the change deletes the submission folder {RECORDS}/2026-03-01_Old"]


def test_a_change_without_a_record_passes_and_says_what_it_touches(mine: Workshop) -> None:
    mine.write("train_gpt.py", "print('edited')\n")
    mine.commit("the root script")
    done = reports(mine, "--base", "main")
    assert (done["status"], done["found"]) == (0, {})
    assert done["notices"] == [
        "nothing to audit: the change against main touches no submission folder (modified train_gpt.py)"
    ]


def test_a_folder_inside_the_repository_is_as_good_as_its_root(mine: Workshop) -> None:
    new = mine.record("2026-04-01_New")
    mine.commit("mine")
    inside = reports(mine, "--base", "main", cwd=mine.path / RECORDS)
    assert set(inside["found"]) == {new}
    assert inside["found"] == reports(mine, "--base", "main")["found"]


def test_only_what_is_committed_is_audited_and_the_rest_is_named(mine: Workshop) -> None:
    new = mine.record("2026-04-01_New")
    mine.commit("mine")
    (mine.path / new / "README.md").unlink()
    mine.write(f"{new}/notes.md", "not tracked\n")
    mine.write("scratch.txt", "of no interest\n")
    done = reports(mine, "--base", "main")
    assert "the folder has no README.md" not in messages(done["found"][new], "PG101")
    assert done["notices"] == [f"HEAD was audited, without what is not committed: {new}/README.md, {new}/notes.md"]


@pytest.mark.parametrize("depth", ["1", "2"])
def test_a_shallow_clone_says_what_to_do_and_never_takes_everything_for_new(
    mine: Workshop, tmp_path: Path, depth: str
) -> None:
    for name in ("2026-04-01_A", "2026-04-02_B", "2026-04-03_C"):
        mine.record(name)
        mine.commit(name)
    clone = tmp_path / "clone"
    source = f"file://{mine.path}"
    subprocess.run(["git", "clone", "-q", "--depth", depth, "--branch", "mine", source, clone], check=True)
    without_base = pgolf_here("audit", "--base", "main", cwd=clone)
    subprocess.run(["git", "-C", clone, "fetch", "-q", "--depth", depth, "origin", "main:main"], check=True)
    without_history = pgolf_here("audit", "--base", "main", cwd=clone)
    for done in (without_base, without_history):
        assert (done.returncode, done.stdout) == (2, "")
        assert "fetch-depth: 0" in done.stderr
        assert "--unshallow" in done.stderr


def test_the_merge_commit_of_a_host_with_its_two_parents_is_enough(mine: Workshop, tmp_path: Path) -> None:
    new = mine.record("2026-04-01_New")
    mine.commit("mine")
    mine.git("checkout", "-q", "main")
    mine.record("2026-04-02_Theirs")
    mine.commit("main moves on")
    mine.git("merge", "-q", "--no-ff", "-m", "merge", "mine")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth", "2", f"file://{mine.path}", clone], check=True)
    assert set(reports(mine, "--base", "HEAD^1", cwd=clone)["found"]) == {new}


def test_a_clone_without_old_contents_is_enough(mine: Workshop, tmp_path: Path) -> None:
    new = mine.record("2026-04-01_New")
    mine.commit("mine")
    mine.git("config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    source = f"file://{mine.path}"
    subprocess.run(["git", "clone", "-q", "--filter=blob:none", "--branch", "mine", source, clone], check=True)
    done = reports(mine, "--base", "origin/main", cwd=clone)
    assert set(done["found"]) == {new}
    assert messages(done["found"][new], "PG101") == ["the folder has no training log"]


def test_unrelated_histories_are_all_new(mine: Workshop) -> None:
    mine.git("checkout", "-q", "--orphan", "alone")
    new = mine.record("2026-04-01_New")
    mine.commit("alone")
    assert set(reports(mine, "--base", "main")["found"]) == {new, f"{RECORDS}/2026-03-01_Old"}


def test_a_base_that_does_not_exist_is_named(mine: Workshop) -> None:
    done = pgolf_here("audit", "--base", "nowhere", cwd=mine.path)
    assert done.returncode == 2
    assert "no commit is called nowhere" in done.stderr


def test_the_index_is_audited_not_the_work_tree(mine: Workshop) -> None:
    new = mine.record("2026-04-01_New")
    mine.git("add", "-A")
    (mine.path / new / "README.md").unlink()
    mine.write(f"{new}/train.log", "not staged\n")
    done = reports(mine, "--staged")
    assert messages(done["found"][new], "PG101") == ["the folder has no training log"]
    assert done["found"][new]["submission"]["commit"] is None
    assert done["notices"] == []


def test_nothing_staged_is_nothing_to_audit(mine: Workshop) -> None:
    mine.record("2026-04-01_New")
    done = reports(mine, "--staged")
    assert (done["status"], done["found"]) == (0, {})
    assert done["notices"] == ["nothing to audit: what is staged touches no submission folder (no file)"]


def test_the_first_commit_of_a_repository_can_be_audited(tmp_path: Path, workshop: Workshop) -> None:
    new = workshop.record("2026-04-01_New")
    fresh = tmp_path / "fresh"
    subprocess.run(["git", "init", "-q", fresh], check=True)
    (workshop.path / "records").rename(fresh / "records")
    subprocess.run(["git", "-C", fresh, "add", "-A"], check=True)
    assert set(reports(workshop, "--staged", cwd=fresh)["found"]) == {new}


def test_a_hook_is_told_which_index_is_about_to_be_committed(mine: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """``git commit -a`` commits an index of its own and names it to its hooks."""
    new = mine.record("2026-04-01_New")
    mine.git("add", "-A")
    other = mine.path / ".git/next-index-1.lock"
    (mine.path / ".git/index").rename(other)
    mine.git("read-tree", "HEAD")
    assert reports(mine, "--staged")["found"] == {}
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/next-index-1.lock")
    assert set(reports(mine, "--staged")["found"]) == {new}


def test_base_and_staged_exclude_each_other(mine: Workshop) -> None:
    done = pgolf_here("audit", "--staged", "--base", "main", cwd=mine.path)
    assert done.returncode == 2
    assert "choose one" in done.stderr


def test_a_name_of_the_change_gives_a_runner_no_command(mine: Workshop) -> None:
    """A runner takes ``::`` at a line's start for a command and, in any other line, ``##[`` wherever it stands."""
    folder = f"{RECORDS}/2026-04-01_New\n::error::##[error]x"
    mine.write(f"{folder}/submission.json", "{}")
    mine.commit("odd")
    mine.write(f"{folder}/README.md", "not committed\n")
    done = pgolf_here("audit", "--base", "main", "--select", "PG101", "--format", "github", cwd=mine.path)
    assert "not committed" in done.stderr
    for line in (done.stdout + done.stderr).splitlines():
        assert not line.startswith("::error::")
        assert line.startswith("::") or "##[" not in line
