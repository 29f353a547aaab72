"""A contest repository under construction, for tests: real git, and records out of the fixtures."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from pathlib import Path

import cli
from tools.lay_out_fixtures import find_cases, lay_out

RECORDS = "records/track_10min_16mb"
CASES = {case.name: case for case in find_cases()}


def pgolf_here(*words: Path | str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in this very process, which saves loading it anew for each of many calls."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main([*map(str, words)])
        except SystemExit as error:  # the usage was wrong
            status = int(error.code or 0)
    return subprocess.CompletedProcess(words, status, out.buffer.getvalue().decode(), err.getvalue())  # type: ignore[attr-defined]


class Workshop:
    """A contest repository under construction; every method is one action on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")
        self.write("README.md", "# the contest\n")
        self.write("train_gpt.py", "print('baseline')\n")
        self.write("data/prepare.py", "print('data')\n")
        self.commit("start")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false")
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=self.path, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, path: str, text: str) -> None:
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def record(self, name: str, val_bpb: float | None = 1.2) -> str:
        """A minimal record; its folder."""
        folder = f"{RECORDS}/{name}"
        self.write(f"{folder}/train_gpt.py", f"print({name!r})\n")
        self.write(f"{folder}/README.md", f"# {name}\n")
        self.write(f"{folder}/submission.json", json.dumps({"name": name, "val_bpb": val_bpb}))
        self.write(f"{folder}/helpers/tool.py", "print('helper')\n")
        return folder

    def fixture(self, case: str, name: str) -> str:
        """A fixture case as a record; its folder."""
        folder = f"{RECORDS}/{name}"
        lay_out(CASES[case], self.path / folder)
        return folder

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def branch(self, name: str) -> None:
        self.git("checkout", "-q", "-b", name, "main")

    def publish(self, number: int) -> None:
        self.git("update-ref", f"refs/pull/{number}/head", "HEAD")
        self.git("checkout", "-q", "main")
