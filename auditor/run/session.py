"""One submission, run: which world and which settings it needs, the run itself, and what is kept of it."""

from __future__ import annotations

import dataclasses
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.run.overrides import Override, overrides
from auditor.run.runner import Limits, Outcome, lay_out, run_child
from auditor.run.world import World, shard, toy_world
from auditor.submission.submission import Submission

_SIDECAR = re.compile(r"fineweb_val_bytes")
_DEFAULT_VOCABULARY = 1024


@dataclass(frozen=True, slots=True)
class Session:
    """How a submission is run: the same for every run of it, so that runs can be compared."""

    submission: Submission
    script: str
    world: World
    overrides: tuple[Override, ...]
    python: Path
    limits: Limits
    keep: Path | None = None

    def run(self, validation: Sequence[int] | None = None, *, record: bool = True) -> Outcome:
        """Run the script once, with another validation stream if one is given."""
        with tempfile.TemporaryDirectory(prefix="pgolf-run-") as folder:
            work = Path(folder)
            (work / "work").mkdir()
            left_out = lay_out(self.submission, work / "work")
            shutil.copytree(self.world.folder / "data", work / "work" / "data", dirs_exist_ok=True)
            if validation is not None:
                stream = work / "work" / self.world.dataset / "fineweb_val_000000.bin"
                stream.write_bytes(shard(validation))
            environment = {each.name: each.value for each in self.overrides}
            outcome = run_child(self.script, work, environment, python=self.python, limits=self.limits, record=record)
            if self.keep is not None:
                self.keep.mkdir(parents=True, exist_ok=True)
                (self.keep / "log.txt").write_text(outcome.log, encoding="utf-8")
            return dataclasses.replace(outcome, left_out=left_out)


def open_session(submission: Submission, cache: Path, python: Path, limits: Limits, keep: Path | None = None) -> Session:
    """Prepare to run a submission. ValueError, with the reason, for one that cannot be run."""
    script = submission.script
    if script is None:
        raise ValueError(f"{submission.path}: has no script to run")
    texts = [module.source for module in script.modules]
    world = toy_world(_vocab_size(submission), any(_SIDECAR.search(text) for text in texts), cache)
    return Session(
        submission=submission,
        script=script.path,
        world=world,
        overrides=overrides(submission.configuration, world),
        python=python,
        limits=limits,
        keep=keep,
    )


def _vocab_size(submission: Submission) -> int:
    resolved = submission.configuration.environment("VOCAB_SIZE") or submission.configuration.attribute(None, "vocab_size")
    text = str(resolved.value) if resolved else str(_DEFAULT_VOCABULARY)
    if not text.isdigit():
        raise ValueError(f"vocabulary size {text!r}: no number")
    return int(text)
