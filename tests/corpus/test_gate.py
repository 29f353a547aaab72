"""The gate in a clone of the contest's real repository: its history, its records, and changes of ours on top."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.workshop import RECORDS, Workshop, pgolf_here

pytestmark = pytest.mark.corpus


class Clone(Workshop):
    """A clone of the contest's repository that borrows the objects of the one named by PGOLF_CORPUS."""

    def __init__(self, path: Path, corpus: str) -> None:
        self.path = path
        subprocess.run(["git", "clone", "-q", "--shared", "--branch", "main", corpus, path], check=True)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    named = os.environ.get("PGOLF_CORPUS")
    if not named:
        pytest.fail("set PGOLF_CORPUS to a git directory of the contest repository")
    return Clone(tmp_path_factory.mktemp("gate") / "contest", str(Path(named).resolve()))


def audit(clone: Clone, *words: str) -> tuple[int, dict[str, Any], str]:
    """Status, reports and annotations of what the clone's HEAD adds to its main branch."""
    reports = clone.path.parent / "reports.json"
    done = pgolf_here(
        "audit", "--base", "origin/main", "--format", "github", "--also", f"json={reports}", *words, cwd=clone.path
    )
    return done.returncode, json.loads(reports.read_text()), done.stdout


def good(clone: Clone) -> str:
    folder = clone.fixture("PG001-good_printed_by_the_script", "2026-04-15_Gate_Good")
    clone.write(f"{folder}/README.md", "# A record\n")
    return folder


def test_a_good_record_passes_and_nothing_else_is_audited(clone: Clone) -> None:
    clone.branch("good")
    folder = good(clone)
    clone.commit("a record")
    status, data, shown = audit(clone)
    assert (status, [report["submission"]["path"] for report in data["reports"]]) == (0, [folder])
    assert "::error" not in shown
    assert data["notices"] == []


def test_a_cheating_record_fails(clone: Clone) -> None:
    clone.branch("cheat")
    folder = clone.fixture("PG701-bad_train_then_score", "2026-04-15_Gate_Cheat")
    clone.commit("a record")
    status, _, shown = audit(clone)
    assert status == 1
    assert f"::error file={folder}/train_gpt.py,line=" in shown


def test_a_change_of_the_root_script_as_well_needs_a_person(clone: Clone) -> None:
    clone.branch("both")
    good(clone)
    with (clone.path / "train_gpt.py").open("a") as script:
        script.write("\n# edited\n")
    clone.commit("a record, and the script of the repository")
    assert audit(clone)[0] == 0
    status, data, shown = audit(clone, "--fail-on", "review")
    assert (status, data["reports"][0]["verdict"]) == (1, "review")
    assert "modifies train_gpt.py" in shown


def test_another_record_deleted_and_one_modified(clone: Clone) -> None:
    clone.branch("tidy")
    first, second = sorted(path.name for path in (clone.path / RECORDS).iterdir() if path.is_dir())[:2]
    clone.git("rm", "-rq", f"{RECORDS}/{first}")
    with (clone.path / RECORDS / second / "README.md").open("a") as page:
        page.write("\nA word more.\n")
    clone.commit("tidy up")
    _, data, shown = audit(clone, "--select", "PG103")
    assert [report["submission"]["path"] for report in data["reports"]] == [f"{RECORDS}/{second}"]
    assert data["notices"] == [f"the change deletes the submission folder {RECORDS}/{first}"]
    assert "the folder is not new" in shown


def test_the_gate_is_adopted_with_a_baseline(clone: Clone) -> None:
    clone.git("checkout", "-q", "main")
    baseline = clone.path.parent / "baseline.json"
    rules = ("--select", "PG101", "PG102", "PG201")
    written = pgolf_here("audit", RECORDS, *rules, "--write-baseline", baseline, "--format", "json", cwd=clone.path)
    first = baseline.read_text()
    again = pgolf_here("audit", RECORDS, *rules, "--baseline", baseline, "--format", "json", cwd=clone.path)
    reports = json.loads(again.stdout)["reports"]
    results = [result for report in reports for result in report["results"]]
    counted = [f for result in results for f in result["findings"] if f["severity"] != "note" and not f["suppression"]]
    assert json.loads(first)["findings"]
    assert counted == []
    assert written.returncode == again.returncode
