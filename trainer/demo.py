"""`pgolf demo`: a submission's whole way, from no data to two audits, with the commands that a user would type.

Data from text that every Python has; two short seeds side by side, a core for each; the record of both; the audit of that
record, which must be clean against the validation split of these data; the audit of a fixture that cheats, which must not.
Every step is a process of its own that runs the command line, so that what the demo shows is what a user gets, and this
module imports neither the audit nor torch. An installation without the fixtures leaves the last step out and says so.

Not covered: the contest's own data and hardware. The model is tiny and the score says nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.command import report_errors
from trainer.record import read_log
from trainer.run_folder import LOG_NAME

if TYPE_CHECKING:
    from rich.console import Console

COMMAND_LINE = Path(__file__).resolve().parent.parent / "cli.py"
SEEDS = (1, 2)
SHORT = ("schedule.iterations=40", "schedule.warmdown_iters=20")
CHEAT = "PG701-bad_train_then_score"
MARK = ".pgolf-demo"  # a folder with it is ours and may be emptied
CLEAN, FINDINGS = 0, 1
POLL_SECONDS = 0.5


def add_demo_parser(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """The `demo` command."""
    parser = commands.add_parser("demo", help="train, record and audit a tiny submission, and audit one that cheats")
    parser.add_argument("--output", type=Path, default=Path("runs/demo"), metavar="DIR", help="default: %(default)s")
    parser.set_defaults(run=lambda arguments: report_errors("demo", lambda: demo(arguments.output)))


def demo(output: Path) -> int:
    """Run every step; 0 if both audits came to what they must. ValueError names the step that could not be done."""
    from rich.console import Console

    _empty(output)
    show = _Show(Console(highlight=False), time.monotonic())
    show.step("Data from text that every Python has")
    split = _make_data(show)
    show.step(f"Training with seeds {' and '.join(map(str, SEEDS))}, side by side")
    runs = _train(output, show)
    show.step("The record of both seeds, every number from their logs")
    record = _record(output, runs, show)
    show.step("The audit of this record: files, logs, source, and a run of the script at toy scale")
    pages = [output / "record.html"]
    status = _audit([str(record), "--split", str(split), "--run"], Path(), pages[0], show)
    outcomes = [("the record", CLEAN, status)]
    show.step("The audit of a submission that trains on the validation tokens before it scores them")
    cheat = _lay_out_cheat(output / "fixture")
    if cheat is None:
        show.line(f"left out: this installation of pgolf comes without the fixtures (it has no {_tool().parent})")
    else:
        pages.append(output / "cheat.html")
        outcomes.append(("the fixture", FINDINGS, _audit([str(cheat[1]), "--run"], cheat[0], pages[1], show)))
    return _conclude(outcomes, pages, show)


@dataclass(frozen=True, slots=True)
class _Show:
    """What a person sees between the outputs of the commands."""

    console: Console
    started: float

    def step(self, title: str) -> None:
        """Announce a step with the time since the start."""
        self.console.print(f"\n[bold cyan]{time.monotonic() - self.started:4.0f} s[/]  [bold]{title}[/]")

    def line(self, text: str) -> None:
        """One line."""
        self.console.print(text, markup=False, soft_wrap=True)

    def command(self, words: Sequence[str]) -> None:
        """The command that runs, as a user would type it."""
        self.console.print(f"$ pgolf {' '.join(words)}", markup=False, soft_wrap=True, style="dim")


def _empty(output: Path) -> None:
    """Make the demo's folder, or empty the one of an earlier demo; ValueError for a folder with anything else in it."""
    if output.is_dir() and any(output.iterdir()):
        if not (output / MARK).exists():
            raise ValueError(f"{output}: has files in it that no demo made; name another folder with --output")
        shutil.rmtree(output)
    output.mkdir(parents=True, exist_ok=True)
    (output / MARK).touch()


def _pgolf(words: Sequence[str]) -> list[str]:
    return [sys.executable, str(COMMAND_LINE), *words]


def _call(words: Sequence[str], show: _Show, cwd: Path = Path()) -> int:
    show.command(words)
    sys.stdout.flush()
    return subprocess.run(_pgolf(words), cwd=cwd, check=False).returncode


def _must(words: Sequence[str], show: _Show) -> None:
    status = _call(words, show)
    if status:
        raise ValueError(f"`pgolf {' '.join(words)}` ended with status {status}")


# ---- the steps ----


def _make_data(show: _Show) -> Path:
    """The demo data, where `train` looks for them too; returns the file that describes their validation split."""
    words = ["data", "demo"]
    show.command(words)
    done = subprocess.run(_pgolf(words), check=False, stdout=subprocess.PIPE, text=True)
    found = re.search(r"^data\.path=(.+)$", done.stdout, re.MULTILINE)
    if done.returncode or found is None:
        raise ValueError(f"`pgolf data demo` ended with status {done.returncode}")
    return Path(found[1]) / "split.json"


def _train(output: Path, show: _Show) -> list[Path]:
    """Train all seeds at once, each with one thread; returns the folders of the runs."""
    folders, processes = [output / f"seed{seed}" for seed in SEEDS], []
    environment = {"OMP_NUM_THREADS": "1"} | os.environ
    try:
        for seed, folder in zip(SEEDS, folders, strict=True):
            words = ["train", "--quiet"]
            for setting in (*SHORT, f"run.seed={seed}", f"run.output={folder}"):
                words += ["--set", setting]
            show.command(words)
            processes.append(subprocess.Popen(_pgolf(words), stdout=subprocess.DEVNULL, env=environment))
        _watch(processes, folders, show)
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
    for folder, process in zip(folders, processes, strict=True):
        if process.returncode:
            raise ValueError(f"{folder}: the training ended with status {process.returncode}")
        results = (f"{label} val_bpb {val_bpb:.4f}" for label, val_bpb in read_log(folder).evaluations)
        show.line(f"{folder}: {', '.join(results)}")
    return folders


def _watch(processes: Sequence[subprocess.Popen[bytes]], folders: Sequence[Path], show: _Show) -> None:
    """A bar for each run until all have ended; without a terminal nothing is drawn."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[last]}"))
    with Progress(*columns, console=show.console, transient=True, disable=not show.console.is_terminal) as progress:
        tasks = [progress.add_task(folder.name, total=1.0, last="") for folder in folders]
        while any(process.poll() is None for process in processes):
            for task, folder in zip(tasks, folders, strict=True):
                done, last = _progress(folder)
                progress.update(task, completed=done, last=last)
            time.sleep(POLL_SECONDS)


def _progress(folder: Path) -> tuple[float, str]:
    """The share of a run that is done, and its last log line, cut to fit."""
    log = folder / LOG_NAME
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    last = lines[-1] if lines else ""
    for pattern, before in ((r"ttt_chunk:(\d+)/(\d+) ", 0.5), (r"step:(\d+)/(\d+) ", 0.0)):
        for line in reversed(lines):
            if match := re.match(pattern, line):
                return before + 0.5 * int(match[1]) / int(match[2]), last[:60]
    return 0.0, last[:60]


def _record(output: Path, runs: Sequence[Path], show: _Show) -> Path:
    """Write the record; returns its folder."""
    records = output / "records"
    about = ["--name", "Demo", "--author", "A. Person", "--github-id", "a-person"]
    about += ["--blurb", "The tiny settings, cut short, on data from docstrings."]
    _must(["record", *map(str, runs), *about, "--records", str(records)], show)
    (folder,) = records.glob("*/*")
    return folder


def _audit(words: Sequence[str], cwd: Path, page: Path, show: _Show) -> int:
    """Print a report and write it as a page as well; returns the exit status."""
    return _call(["audit", *words, "--also", f"html={page.absolute()}"], show, cwd)


def _tool() -> Path:
    return COMMAND_LINE.parent / "tools" / "lay_out_fixtures.py"


def _lay_out_cheat(target: Path) -> tuple[Path, Path] | None:
    """Lay the fixture out as the submission that it is; returns where it lies: a folder, and the path inside it.

    None where there are no fixtures: they are part of a checkout, not of an installation.
    """
    if not _tool().exists():
        return None
    words = [sys.executable, "-m", "tools.lay_out_fixtures", str(target.absolute()), CHEAT]
    done = subprocess.run(words, cwd=COMMAND_LINE.parent, check=True, capture_output=True, text=True)
    folder = Path(done.stdout.strip())
    root = folder.parents[2]
    return root, folder.relative_to(root)


def _conclude(outcomes: Sequence[tuple[str, int, int]], pages: Sequence[Path], show: _Show) -> int:
    show.step("Done")
    wrong = [(what, wanted, status) for what, wanted, status in outcomes if status != wanted]
    for what, wanted, status in wrong:
        show.line(f"the audit of {what} ended with status {status}, where {wanted} was expected")
    for (what, _, _), page in zip(outcomes, pages, strict=True):
        show.line(f"{what} as a page: {page.absolute()}")
    return 1 if wrong else 0
