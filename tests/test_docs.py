"""What the pages tell people to type: every command parses, those of the tutorial run, and links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TUTORIAL = ROOT / "docs/tutorial.md"
STATUS = re.compile(r"# exit status (\d)$")
TAKES_MINUTES = (["train"], ["demo"])  # `make demo` and the tutorial do the same at a smaller size


def code_lines(page: Path) -> Iterator[str]:
    """Lines of fenced and of indented code, continued lines joined, without the prompt."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip().removeprefix("$ ")


def commands(page: Path) -> Iterator[tuple[list[str], int]]:
    """The words behind `pgolf` or `cli.py` of every command, and the exit status that is announced."""
    for line in code_lines(page):
        if match := re.match(r"(?:(?:python|torchrun)\b.*?\bcli\.py|pgolf)\s+(?=[a-z-])(.*)", line):
            status = STATUS.search(line)
            yield shlex.split(match[1], comments=True), int(status[1]) if status else 0


EVERY = [(page.name, words, status) for page in PAGES for words, status in commands(page)]


def test_there_are_commands_to_look_at() -> None:
    assert len(EVERY) > 30
    assert {"README.md", "tutorial.md", "trainer.md", "data.md"} <= {name for name, _, _ in EVERY}


@pytest.mark.parametrize(("page", "words"), [(page, words) for page, words, _ in EVERY])
def test_every_command_parses(page: str, words: list[str]) -> None:
    words = ["1" if word == "N" else word for word in words if word != "..."]
    if words[-1] == "--help":
        with pytest.raises(SystemExit) as end:
            cli.parser().parse_args(words)
        assert end.value.code == 0
    else:
        assert cli.parser().parse_args(words).run


@pytest.mark.parametrize("name", sorted(set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text()))))
def test_every_target_that_the_readme_names_exists(name: str) -> None:
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "cli.py"), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def needs_nothing(words: list[str]) -> bool:
    """Can the README's command run anywhere: no file, no repository, no data set?"""
    return words not in TAKES_MINUTES and (words[-1] == "--help" or words[0] in ("explain", "rules"))


@pytest.mark.parametrize("words", [words for page, words, _ in EVERY if page == "README.md" and needs_nothing(words)])
def test_commands_of_the_readme_that_need_nothing_run(words: list[str], tmp_path: Path) -> None:
    done = run(words, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.torch
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="trains")
def test_the_tutorial_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    audits = {}
    for words, status in commands(TUTORIAL):
        done = run(words, tmp_path)
        assert done.returncode == status, f"{words}\n{done.stdout}\n{done.stderr}"
        if words[0] == "audit":
            audits[" ".join(words[1:])] = done.stdout
    plain, own, readme, page = audits.values()
    assert "VIOLATION" in plain
    assert "not the contest's" not in plain
    for report in (own, readme):
        assert " ".join(report.split()).startswith("Judged against the validation split data, not the contest's")
        assert "CLEAN" in report
        assert "Printed at train_gpt.py:" in report
    assert page == ""
    assert "<!doctype html>" in (tmp_path / "runs/tutorial/report.html").read_text()[:40]


@pytest.mark.skipif(importlib.util.find_spec("zensical") is None, reason="needs the extra docs")
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / "zensical.toml").write_bytes((ROOT / "zensical.toml").read_bytes())
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
