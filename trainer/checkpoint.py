"""Checkpoints that are whole or not there.

A checkpoint is written beside its place, flushed to the disk, and renamed into it, so that a process killed at any
moment leaves the last good one. The newest few are kept. A failed write (disk full, folder not writable) removes its
partial file and is a ValueError that names the checkpoint that is still good.

It holds everything that decides the rest of a run, and nothing is random in training, so that a run continued from it
is bit for bit the run that was not interrupted (at the same number of processes, on the same machine, measured by
steps; a run measured by the wallclock depends on the clock, interrupted or not).
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

FORMAT = 1
NAME = "step_{step:06d}.pt"


class Checkpoints:
    """The checkpoints of one run folder."""

    def __init__(self, folder: Path, num_kept: int) -> None:
        self.folder = folder
        self.num_kept = num_kept

    def paths(self) -> list[Path]:
        """All checkpoints, oldest first."""
        return sorted(path for path in self.folder.glob("step_*.pt") if path.is_file())

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write the state of this step, then remove the oldest checkpoints beyond the number kept."""
        path = self.folder / NAME.format(step=step)
        partial = path.with_suffix(".partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(partial, {"format": FORMAT, "step": step, **state})
            os.replace(partial, path)
        except (OSError, RuntimeError) as error:  # torch reports a short write as RuntimeError
            partial.unlink(missing_ok=True)
            good = self.paths()
            kept = f"the last good checkpoint is {good[-1]}" if good else "there is no earlier checkpoint"
            raise ValueError(f"{path}: the checkpoint cannot be written: {error}; {kept}") from error
        for old in self.paths()[: -self.num_kept]:
            old.unlink()
        return path

    def load_last(self) -> dict[str, Any]:
        """The newest checkpoint; ValueError if there is none or it cannot be read."""
        paths = self.paths()
        if not paths:
            raise ValueError(f"{self.folder}: no checkpoint to resume from")
        return load(paths[-1])


def load(path: Path) -> dict[str, Any]:
    """Read one checkpoint onto the CPU; ValueError if it is damaged or of another format."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: not a readable checkpoint: {reason}") from error
    if state.get("format") != FORMAT:
        raise ValueError(f"{path}: checkpoint format {state.get('format')!r}, this version reads {FORMAT}")
    return state


def _write(path: Path, state: dict[str, Any]) -> None:
    with path.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
