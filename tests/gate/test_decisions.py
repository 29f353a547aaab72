"""Waivers and the baseline through the command line: what the exit status counts, and what reports still show."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from auditor.output.sanitize import plain
from tests.workshop import RECORDS, Workshop, pgolf_here

FOLDER = f"{RECORDS}/2026-04-15_Cheat"
WAIVERS = ".github/pgolf-waivers.toml"
CHECKED = ("--select", "PG101", "PG304")


@pytest.fixture
def cheat(tmp_path: Path) -> Workshop:
    """A branch that adds a record which ran on one GPU (an error) and has no README (for a person)."""
    workshop = Workshop(tmp_path / "contest")
    workshop.branch("cheat")
    workshop.fixture("PG304-bad_one_gpu", "2026-04-15_Cheat")
    workshop.commit("a record")
    return workshop


def audit(workshop: Workshop, *words: Path | str, select: Sequence[str] = CHECKED) -> subprocess.CompletedProcess[str]:
    return pgolf_here("audit", *words, *select, cwd=workshop.path)


def findings(workshop: Workshop, *words: Path | str) -> dict[str, list[dict[str, Any]]]:
    """What counts or could, by rule; notes are left out."""
    done = audit(workshop, *words, "--format", "json")
    (report,) = json.loads(done.stdout)["reports"]
    return {
        result["rule_id"]: [finding for finding in result["findings"] if finding["severity"] != "note"]
        for result in report["results"]
    }


def waiver(finding: dict[str, Any], until: str = "2099-12-31", folder: str = FOLDER, **other: str) -> str:
    texts = {
        "rule": finding["rule_id"],
        "submission": folder,
        "fingerprint": finding["fingerprint"],
        "reason": "accepted in the showcase",
        "by": "maintainer",
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in (texts | other).items()]
    return "\n".join(["[[waiver]]", *lines, f"until = {until}", ""])


def on_base(workshop: Workshop, text: str, path: str = WAIVERS) -> None:
    """Commit a file to the base, after the branch was made."""
    workshop.git("checkout", "-q", "main")
    workshop.write(path, text)
    workshop.commit("the maintainers decide")
    workshop.git("checkout", "-q", "cheat")


def waive_all(workshop: Workshop, **other: str) -> str:
    found = findings(workshop, "--base", "main")
    return "".join(waiver(finding, **other) for finding in found["PG304"])


def test_a_waived_finding_fails_nothing_and_stays_with_its_reason(cheat: Workshop) -> None:
    assert audit(cheat, "--base", "main").returncode == 1
    on_base(cheat, waive_all(cheat))
    done = audit(cheat, "--base", "main", "--format", "json")
    assert done.returncode == 0
    (report,) = json.loads(done.stdout)["reports"]
    assert report["verdict"] == "violation"
    (result,) = [result for result in report["results"] if result["rule_id"] == "PG304"]
    assert result["outcome"] == "fail"
    assert {finding["suppression"]["kind"] for finding in result["findings"]} == {"waived"}
    assert result["findings"][0]["suppression"] == {
        "kind": "waived",
        "reason": "accepted in the showcase",
        "by": "maintainer",
        "until": "2099-12-31",
    }


@pytest.mark.parametrize("form", ["text", "markdown", "github", "sarif", "html"])
def test_every_report_shows_that_and_why_it_is_waived(cheat: Workshop, form: str) -> None:
    on_base(cheat, waive_all(cheat))
    shown = " ".join(audit(cheat, "--base", "main", "--format", form).stdout.split())
    assert "waived by maintainer until 2099-12-31: accepted in the showcase" in shown
    if form == "github":
        assert "::error" not in shown
    if form == "sarif":
        results = json.loads(shown)["runs"][0]["results"]
        failing = [result for result in results if result["ruleId"] == "PG304"]
        assert all(result["suppressions"][0]["status"] == "accepted" for result in failing)


def test_one_waiver_covers_one_finding_of_one_rule(cheat: Workshop) -> None:
    found = findings(cheat, "--base", "main")
    on_base(cheat, "".join(map(waiver, found["PG304"])))
    after = findings(cheat, "--base", "main")
    assert audit(cheat, "--base", "main", "--fail-on", "review").returncode == 1
    assert all(finding["suppression"] for finding in after["PG304"])
    assert not any(finding["suppression"] for finding in after["PG101"])


def test_the_same_finding_in_another_folder_is_not_waived(cheat: Workshop) -> None:
    on_base(cheat, waive_all(cheat, folder=f"{RECORDS}/2026-04-15_Other"))
    assert audit(cheat, "--base", "main").returncode == 1


def test_the_change_cannot_waive_itself(cheat: Workshop) -> None:
    waivers = waive_all(cheat)
    cheat.write(WAIVERS, waivers)
    cheat.write("mine.toml", waivers)
    cheat.write(f"{FOLDER}/waivers.toml", waivers)
    cheat.commit("and waivers with it")
    assert audit(cheat, "--base", "main").returncode == 1
    for path in (WAIVERS, "mine.toml", f"{FOLDER}/waivers.toml", cheat.path / "mine.toml"):
        done = audit(cheat, "--base", "main", "--waivers", path)
        assert done.returncode == 2, path
        assert "never read from the change" in done.stderr
    elsewhere = pgolf_here(
        "audit",
        "--repo",
        cheat.path / ".git",
        "--base",
        "main",
        "--waivers",
        cheat.path / "mine.toml",
        cwd=cheat.path.parent,
    )
    assert elsewhere.returncode == 2


def test_a_link_out_of_the_change_is_no_way_around(cheat: Workshop, tmp_path: Path) -> None:
    (tmp_path / "link.toml").symlink_to(cheat.path / "mine.toml")
    cheat.write("mine.toml", waive_all(cheat))
    assert audit(cheat, "--base", "main", "--waivers", tmp_path / "link.toml").returncode == 2


def test_the_base_is_read_where_it_stands_now(cheat: Workshop) -> None:
    """A waiver given after the branch was made counts; one that the branch still has and the base took back does not."""
    waivers = waive_all(cheat)
    on_base(cheat, waivers)
    cheat.git("merge", "-q", "-m", "catch up", "main")
    assert audit(cheat, "--base", "main").returncode == 0
    on_base(cheat, "# none left\n")
    assert audit(cheat, "--base", "main").returncode == 1


def test_a_file_outside_the_repository_is_the_callers(cheat: Workshop, tmp_path: Path) -> None:
    file = tmp_path / "waivers.toml"
    file.write_text(waive_all(cheat))
    assert audit(cheat, "--base", "main", "--waivers", file).returncode == 0
    folder = cheat.path / FOLDER
    by_path = waive_all(cheat, folder=str(folder))
    file.write_text(by_path)
    assert audit(cheat, folder, "--waivers", file).returncode == 0


def test_an_expired_and_an_unused_waiver_are_told(cheat: Workshop) -> None:
    (first, *_) = findings(cheat, "--base", "main")["PG304"]
    unused = waiver(first, fingerprint="0" * 16)
    elsewhere = waiver(first, folder=f"{RECORDS}/2026-04-15_Other")
    on_base(cheat, waiver(first, until="2026-05-01") + unused + elsewhere)
    done = audit(cheat, "--base", "main", "--format", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["notices"] == [
        f"{WAIVERS}:1: the waiver of PG304 for {FOLDER} expired on 2026-05-01",
        f"{WAIVERS}:8: the waiver of PG304 for {FOLDER} matches no error or warning",
    ]
    page = audit(cheat, "--base", "main", "--format", "html").stdout
    annotations = audit(cheat, "--base", "main", "--format", "github").stdout
    for notice in json.loads(done.stdout)["notices"]:
        assert all(notice in told for told in (done.stderr, page, annotations))


def test_a_rule_that_was_not_asked_leaves_its_waiver_alone(cheat: Workshop) -> None:
    on_base(cheat, waive_all(cheat))
    done = audit(cheat, "--base", "main", "--format", "json", select=("--select", "PG101"))
    assert json.loads(done.stdout)["notices"] == []


def test_a_malformed_waiver_ends_in_2_with_file_and_line(cheat: Workshop) -> None:
    on_base(cheat, waive_all(cheat) + "[[waiver]]\nrule = 'PG304'\n")
    done = audit(cheat, "--base", "main")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{WAIVERS}:" in done.stderr
    assert "has no submission, fingerprint, reason, by, until" in done.stderr


def test_a_missing_file_is_told(cheat: Workshop, tmp_path: Path) -> None:
    for option in ("--waivers", "--baseline"):
        done = audit(cheat, "--base", "main", option, tmp_path / "none")
        assert done.returncode == 2
        assert "none: No such file" in done.stderr


@pytest.fixture
def adopted(cheat: Workshop, tmp_path: Path) -> tuple[Workshop, Path]:
    """The repository with that record merged, and the baseline of it."""
    cheat.git("checkout", "-q", "main")
    cheat.git("merge", "-q", "cheat")
    return cheat, tmp_path / "baseline.json"


def test_what_was_there_is_known_and_what_comes_is_not(adopted: tuple[Workshop, Path]) -> None:
    workshop, baseline = adopted
    assert audit(workshop, "records", "--write-baseline", baseline).returncode == 0
    done = audit(workshop, "records", "--baseline", baseline)
    assert done.returncode == 0
    assert "known: listed in" in " ".join(done.stdout.split())
    workshop.fixture("PG304-bad_pcie_board", "2026-04-16_Another")
    assert audit(workshop, "records", "--baseline", baseline).returncode == 1


def test_writing_again_gives_the_same_file(adopted: tuple[Workshop, Path]) -> None:
    workshop, baseline = adopted
    workshop.fixture("PG304-bad_pcie_board", "2026-04-14_Another")
    audit(workshop, "records", "--write-baseline", baseline)
    first = baseline.read_text()
    folders = sorted((workshop.path / RECORDS).iterdir(), reverse=True)
    audit(workshop, *[path.relative_to(workshop.path) for path in folders], "--write-baseline", baseline)
    assert baseline.read_text() == first
    audit(workshop, "records", "--baseline", baseline, "--write-baseline", baseline)
    assert baseline.read_text() == first


def test_a_known_finding_that_got_worse_counts(adopted: tuple[Workshop, Path]) -> None:
    workshop, baseline = adopted
    audit(workshop, "records", "--write-baseline", baseline)
    text = baseline.read_text()
    assert '"severity": "error"' in text
    baseline.write_text(text.replace('"severity": "error"', '"severity": "warning"'))
    assert audit(workshop, "records", "--baseline", baseline).returncode == 1


def test_what_was_mended_is_told(adopted: tuple[Workshop, Path]) -> None:
    workshop, baseline = adopted
    audit(workshop, "records", "--write-baseline", baseline)
    workshop.write(f"{FOLDER}/README.md", "# Now there\n")
    done = audit(workshop, "records", "--baseline", baseline)
    assert done.returncode == 0
    assert f"{FOLDER}: findings in {baseline} that are there no more: 1" in done.stderr


def test_what_is_waived_does_not_enter_the_baseline(adopted: tuple[Workshop, Path], tmp_path: Path) -> None:
    """Else a waiver that ends would go on for ever."""
    workshop, baseline = adopted
    found = findings(workshop, "records")
    waivers = tmp_path / "waivers.toml"
    waivers.write_text("".join(map(waiver, found["PG304"])))
    done = audit(workshop, "records", "--waivers", waivers, "--write-baseline", baseline)
    assert done.returncode == 0
    listed = {entry["rule_id"] for entry in json.loads(baseline.read_text())["findings"]}
    assert listed == {"PG101"}


def test_the_change_cannot_bring_its_own_baseline(cheat: Workshop) -> None:
    baseline = cheat.path / "baseline.json"
    audit(cheat, "--base", "main", "--write-baseline", baseline)
    cheat.commit("known, so they say")
    assert audit(cheat, "--base", "main", "--baseline", baseline).returncode == 2
    on_base(cheat, baseline.read_text(), "baseline.json")
    cheat.git("merge", "-q", "-m", "catch up", "main")
    assert audit(cheat, "--base", "main", "--baseline", "baseline.json").returncode == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "baseline.json:1: Expecting property name"),
        ("[]", "is no baseline of version 1"),
        ('{"schema_version": 2, "findings": []}', "is no baseline of version 1"),
        ('{"schema_version": 1}', "has no list of findings"),
        ('{"schema_version": 1, "findings": [{"rule_id": "PG304"}]}', "finding 1: needs the texts"),
        ("\udcff", "is no UTF-8 text"),
    ],
)
def test_another_file_is_no_baseline(cheat: Workshop, tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(text, errors="surrogateescape")
    done = audit(cheat, "--base", "main", "--baseline", file)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert plain(str(file)) in done.stderr


def test_several_formats_come_from_one_audit(cheat: Workshop, tmp_path: Path) -> None:
    sarif, page = tmp_path / "pgolf.sarif", tmp_path / "summary.md"
    done = audit(cheat, "--base", "main", "--format", "github", "--also", f"sarif={sarif}", "--also", f"markdown={page}")
    assert done.returncode == 1
    assert done.stdout.startswith("::error ")
    assert json.loads(sarif.read_text())["version"] == "2.1.0"
    assert page.read_text().startswith("### ")
    wrong = audit(cheat, "--base", "main", "--also", "yaml=x")
    assert wrong.returncode == 2
    assert "FORMAT=FILE" in wrong.stderr
