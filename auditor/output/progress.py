"""Progress of a long audit on a terminal; silent where standard error is none (a pipe, a CI log)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """What to tell: `on_done` each name as it is finished, `on_phase` what is at work meanwhile."""

    on_done: Told
    on_phase: Told


def _silent(told: str) -> None:
    pass


@contextmanager
def progress(total: int, *, has_phases: bool = False) -> Iterator[Progress]:
    """Shows a bar for two or more on a terminal, and for one whose phases will be told."""
    if not sys.stderr.isatty() or (total < 2 and not has_phases):
        yield Progress(_silent, _silent)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    time = TimeElapsedColumn() if has_phases else TimeRemainingColumn()
    columns = (BarColumn(), MofNCompleteColumn(), time, TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield Progress(
            on_done=lambda name: bar.update(task, advance=1, description=escape(name.rsplit("/", 1)[-1])),
            on_phase=lambda phase: bar.update(task, description=escape(phase)),
        )
