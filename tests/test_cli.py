"""The command line as users call it: real processes, real folders, real git repositories."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_bad_input import ROOT, write_record
from tools.lay_out_fixtures import find_cases, lay_out


def pgolf(*words: Path | str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "cli.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def contest(tmp_path: Path) -> Path:
    """A contest repository with a base branch, and a branch that adds one record."""
    repo = tmp_path / "contest"
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main")
    (repo / "README.md").write_text("# The contest\n")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "base")
    git(repo, "checkout", "-qb", "entry")
    write_record(repo / "records/track_10min_16mb/2026-04-15_Entry")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "entry")
    git(repo, "update-ref", "refs/pull/12/head", "HEAD")
    return repo


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("audit",), "name something to audit"),
        (("audit", "--pr", "3"), "need --repo"),
        (("audit", "--repo", "."), "--repo needs"),
        (("audit", ".", "--jobs", "0"), "no number from 1 on"),
        (("audit", ".", "--as-of", "yesterday"), "no date"),
        (("audit", ".", "--select", "PG999"), "no rule is called"),
        (("audit", ".", "--split", "nowhere.json"), "nowhere.json: No such file"),
        (("audit", ".", "--against", "no such row"), "no row has it in its name"),
        (("audit", ".", "--against", "CaseOps"), "rows have it in their name"),
        (("audit", ".", "--select", "foreign-log", "--ignore", "foreign-log"), "leaves no rule"),
        (("explain", "forein-log"), "did you mean"),
        (("nonsense",), "invalid choice"),
    ],
)
def test_wrong_usage_is_told_and_ends_in_2(words: tuple[str, ...], complaint: str) -> None:
    done = pgolf(*words)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_reports_come_in_the_order_of_the_paths_however_many_jobs(tmp_path: Path, jobs: str) -> None:
    folders = [write_record(tmp_path / name) for name in ("b", "a", "c")]
    done = pgolf("audit", *folders, "--format", "json", "--jobs", jobs)
    assert [r["submission"]["path"] for r in json.loads(done.stdout)["reports"]] == [str(folder) for folder in folders]


def test_what_was_written_before_survives_when_the_output_cannot_be_written(tmp_path: Path) -> None:
    record = write_record(tmp_path / "record")
    done = pgolf("audit", record, "--format", "json", "--output", tmp_path / "missing" / "reports.json")
    assert done.returncode == 2
    assert "missing" in done.stderr
    good = tmp_path / "reports.json"
    assert pgolf("audit", record, "--format", "json", "--output", good).returncode in (0, 1)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert json.loads(good.read_text())["schema_version"] == 1


def test_a_pull_request_is_read_without_a_checkout(contest: Path) -> None:
    done = pgolf("audit", "--repo", contest, "--pr", "12", "--format", "json")
    (report,) = json.loads(done.stdout)["reports"]
    assert report["submission"]["pr"] == 12
    assert report["submission"]["path"] == "records/track_10min_16mb/2026-04-15_Entry"
    assert report["headline"]["label"] == "final_int8_zlib_roundtrip_exact"


def test_all_pull_requests_leave_out_those_without_a_submission_but_a_named_one_is_an_error(contest: Path) -> None:
    git(contest, "checkout", "-q", "-b", "docs", "main")
    (contest / "README.md").write_text("# Other words\n")
    git(contest, "commit", "-qam", "words")
    git(contest, "update-ref", "refs/pull/13/head", "HEAD")
    every = json.loads(pgolf("audit", "--repo", contest, "--all-prs", "--format", "json").stdout)["reports"]
    assert [report["submission"]["pr"] for report in every] == [12]
    done = pgolf("audit", "--repo", contest, "--pr", "13", "12", "--format", "json")
    verdicts = {r["submission"]["pr"]: r["verdict"] for r in json.loads(done.stdout)["reports"]}
    assert done.returncode == 2
    assert verdicts[13] == "error"
    assert verdicts[12] != "error"


def test_a_change_in_the_checkout_is_audited_against_its_base(contest: Path) -> None:
    done = pgolf("audit", "--base", "main", "--format", "json", cwd=contest)
    (report,) = json.loads(done.stdout)["reports"]
    assert report["submission"]["path"] == "records/track_10min_16mb/2026-04-15_Entry"


def test_a_change_without_a_submission_passes_with_a_word(contest: Path) -> None:
    done = pgolf("audit", "--base", "HEAD", cwd=contest)
    assert done.returncode == 0
    assert "nothing to audit" in done.stderr


def test_the_exit_status_follows_fail_on(tmp_path: Path) -> None:
    record = write_record(tmp_path / "record")
    (record / "submission.json").write_text('{"val_bpb": 1.1, "name": "better than the log"}')
    assert pgolf("audit", record, "--fail-on", "violation").returncode == 1
    assert pgolf("audit", record, "--select", "PG802", "--fail-on", "violation").returncode == 0
    assert pgolf("audit", record, "--select", "lossy-tokenizer", "--fail-on", "open").returncode == 1


def test_the_audit_needs_neither_torch_nor_numpy(tmp_path: Path) -> None:
    record = write_record(tmp_path / "record")
    blocked = (
        "import sys\n"
        "for name in ('torch', 'numpy', 'sentencepiece'): sys.modules[name] = None\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        f"import cli; sys.exit(cli.main(['audit', {str(record)!r}, '--format', 'json']))"
    )
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert json.loads(done.stdout)["reports"]


def test_completion_scripts_name_the_commands() -> None:
    for shell in ("bash", "zsh", "tcsh"):
        done = pgolf("completion", shell)
        assert done.returncode == 0
        assert "audit" in done.stdout


def test_another_folder_of_a_pull_request_can_be_named(contest: Path) -> None:
    write_record(contest / "records/track_10min_16mb/2026-04-16_Second")
    git(contest, "add", ".")
    git(contest, "commit", "-qm", "second")
    git(contest, "update-ref", "refs/pull/12/head", "HEAD")
    first = "records/track_10min_16mb/2026-04-15_Entry"

    def opened(*words: str) -> dict[str, object]:
        done = pgolf("audit", "--repo", contest, "--pr", "12", *words, "--format", "json")
        (report,) = json.loads(done.stdout)["reports"]
        return dict(report["submission"])

    assert str(opened()["path"]).endswith("2026-04-16_Second")
    assert opened("--folder", first)["path"] == first
    missing = pgolf("audit", "--repo", contest, "--pr", "12", "--folder", "records/other")
    assert missing.returncode == 2
    assert first in missing.stderr


def test_the_evaluation_is_told_as_a_story(tmp_path: Path) -> None:
    cases = {case.name: case for case in find_cases()}
    told = {}
    for name in ("PG701-good_score_first_chunks", "PG701-bad_train_then_score"):
        lay_out(cases[name], tmp_path / name)
        report = pgolf("audit", tmp_path / name, "--explain-flow").stdout
        told[name] = " ".join(report.partition("The evaluation")[2].split())
    assert "not scored before" in told["PG701-bad_train_then_score"]
    assert "scored before at line" in told["PG701-good_score_first_chunks"]
    assert "not scored before" not in told["PG701-good_score_first_chunks"]


def test_a_python_that_cannot_run_submissions_is_told_before_anything_is_audited(tmp_path: Path) -> None:
    record = write_record(tmp_path / "records/track_10min_16mb/2026-04-15_Entry")
    missing = tmp_path / "no-python"
    for words in (("audit", "--run"), ("run-trace",)):
        done = pgolf(*words, record, "--run-python", missing)
        assert done.returncode == 2
        assert done.stdout == ""
        assert f"{missing} cannot be run as a Python" in done.stderr


def test_a_python_without_torch_is_told_what_it_lacks(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    done = pgolf("audit", "--run", tmp_path, "--run-python", bare)
    assert done.returncode == 2
    assert "running a submission needs torch, numpy, sentencepiece" in done.stderr
    assert "--run-python" in done.stderr


def test_a_submission_cannot_declare_a_split_but_its_auditor_can(tmp_path: Path) -> None:
    record = tmp_path / "records/track_non_record_16mb/2026-04-15_Own_data"
    record.mkdir(parents=True)
    split = {"schema_version": 1, "name": "own", "num_tokens": 52_911, "num_bytes": 117_716, "source": "docstrings"}
    text = json.dumps(split | {"tokenizer": {"sha256": "02", "vocab_size": 1024}})
    (record / "split.json").write_text(text)
    (record / "train.log").write_text(
        "val_loader:shards pattern=own/fineweb_val_*.bin tokens:52910\nseed:1\n"
        "final_sgd_ttt_exact val_loss:5.20566847 val_bpb:3.37561813\n"
    )
    (record / "submission.json").write_text('{"val_bpb": 3.37561813, "name": "Own data", "seeds": [1]}')

    def outcomes(*words: Path | str) -> dict[str, str]:
        done = pgolf("audit", record, "--format", "json", "--select", "PG802", "PG901", *words)
        found = json.loads(done.stdout)
        assert ("split" in found["ruleset"]) == bool(words)
        return {result["rule_id"]: result["outcome"] for result in found["reports"][0]["results"]}

    assert outcomes() == {"PG802": "fail", "PG901": "fail"}
    assert outcomes("--split", record / "split.json") == {"PG802": "pass", "PG901": "pass"}
