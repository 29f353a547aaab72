"""The log of a run, in the line format of the contest's reference, and a progress bar for whoever watches.

Every line goes to the file as it is written, so that a killed run leaves all that it said. Only the main process writes.
A resumed run continues the file of the run that it continues: lines after its checkpoint are cut off, since their steps
are done again. What the progress bar shows stands in no log.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from types import TracebackType
from typing import Protocol

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

RULE = "=" * 100


class LineLog(Protocol):
    """What a run needs of a log."""

    def line(self, text: str, *, console: bool = True) -> None:
        """One line to the file and the console."""

    @property
    def num_bytes(self) -> int:
        """Size of the file so far; 0 without one."""


class Log:
    """Lines to a file and, unless quiet, to standard output; a bar below them if that is a terminal."""

    def __init__(self, path: Path | None, *, quiet: bool = False, keep_bytes: int = 0) -> None:
        self.path = path
        self._console = Console(quiet=quiet, highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"),
            console=self._console, transient=True, disable=quiet or not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("train", total=None, text="")
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                with path.open("r+b") as file:
                    file.truncate(keep_bytes)
            except OSError as error:
                raise ValueError(f"{path}: the log cannot be written: {error.strerror}") from error

    def __enter__(self) -> Log:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def line(self, text: str, *, console: bool = True) -> None:
        """One line to the file and the console."""
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{text}\n")
        except OSError as error:
            raise ValueError(f"{self.path}: the log cannot be written: {error.strerror}") from error
        if console:
            self._console.print(text, markup=False)

    def advance(self, done: float, text: str) -> None:
        """Move the bar to this share of the run."""
        self._bar.update(self._task, completed=done, total=1.0, text=text)

    @property
    def num_bytes(self) -> int:
        """Size of the file so far; 0 without one."""
        return self.path.stat().st_size if self.path is not None else 0


def silent() -> Log:
    """A log that nobody reads: what every process but the main one gets."""
    return Log(None, quiet=True)


def versions() -> list[str]:
    """What a log says about where it ran."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.processor() or 'CPU'}"
    return [f"Running Python {sys.version}", f"Running PyTorch {torch.__version__}", f"device:{device}"]
