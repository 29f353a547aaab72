"""The hook, run by pre-commit itself, which clones this repository and builds the hook's environment from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gate.test_action import ROOT, need_package_index
from tests.workshop import RECORDS, Workshop

CONFIG = """repos:
- repo: {source}
  rev: {revision}
  hooks:
  - id: pgolf-audit
    args: [--fail-on, review]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pre-commit keeps the environment that it builds."""
    pytest.importorskip("pre_commit", reason="pre-commit is not installed; it is part of the dev extra")
    need_package_index()
    return tmp_path_factory.mktemp("pre-commit")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """This checkout as a repository of its own, with what is not committed yet."""
    workshop = Workshop(tmp_path_factory.mktemp("source") / "pgolf")
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], check=True, capture_output=True
    ).stdout
    for name in map(os.fsdecode, filter(None, listed.split(b"\0"))):
        if (ROOT / name).is_file() and not name.startswith(("fixtures/", "tests/")):
            target = workshop.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    workshop.commit("pgolf")
    return workshop


def commit(workshop: Workshop, home: Path) -> subprocess.CompletedProcess[str]:
    """Commit what is staged, with the hook installed as a user installs it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"PRE_COMMIT_HOME": str(home)}
    for command in (
        [sys.executable, "-m", "pre_commit", "install"],
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "-m", "mine"],
    ):
        done = subprocess.run(command, cwd=workshop.path, env=environment, capture_output=True, text=True, check=False)
    return done


def test_a_commit_is_refused_until_the_record_is_whole(home: Path, source: Workshop, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "contest")
    revision = source.git("rev-parse", "HEAD")
    workshop.write(".pre-commit-config.yaml", CONFIG.format(source=source.path, revision=revision))
    workshop.commit("adopt the hook")

    folder = workshop.fixture("PG001-good_printed_by_the_script", "2026-04-15_Good")
    workshop.git("add", "-A")
    refused = commit(workshop, home)
    assert refused.returncode == 1, refused.stderr
    assert "the folder has no README.md" in refused.stdout + refused.stderr

    workshop.write(f"{folder}/README.md", "# A record\n")  # in the work tree is not enough
    assert commit(workshop, home).returncode == 1
    workshop.git("add", "-A")
    done = commit(workshop, home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert workshop.git("log", "-1", "--format=%s") == "mine"

    workshop.write("README.md", "# words\n")
    workshop.git("add", "-A")
    words = commit(workshop, home)
    assert words.returncode == 0
    assert "Skipped" in words.stdout + words.stderr
    assert f"{RECORDS}/2026-04-15_Good/README.md" in workshop.git("ls-files")
