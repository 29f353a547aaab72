"""One submission, run: which world and which settings it needs, and the run itself."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from auditor.run.overrides import Override, overrides
from auditor.run.runner import Limits, Outcome, lay_out, placed, run_child
from auditor.run.world import VAL_DOCUMENTS, World, toy_world, write_shards
from auditor.submission.submission import Submission

_SIDECAR = re.compile(r"fineweb_val_bytes")
_DEFAULT_VOCABULARY = 1024
_EVAL_ONLY = re.compile(r"EVAL_ONLY$")
_TRUE = ("1", "true", "True")
_BLOCK = re.compile(
    r"^[ \t]+\w*(?:chunk|prefill|min_tokens|warm_?up_tokens)\w*[ \t]*=[ \t]*(\d[\d_]*)[ \t]*(?:#.*)?$",
    re.MULTILINE | re.IGNORECASE,
)  # tokens that a function works on before it uses what it has seen, written out
_LARGEST_BLOCK, _NUM_BLOCKS, _DOCUMENT_TOKENS = 65536, 2.25, 200


@dataclass(frozen=True, slots=True)
class Session:
    """How a submission is run: the same for every run of it, so that runs can be compared."""

    submission: Submission
    script: str
    world: World
    overrides: tuple[Override, ...]
    python: Path
    limits: Limits
    num_ranks: int = 1

    def run(
        self,
        validation: Sequence[int] | None = None,
        *,
        record: bool = True,
        training: Sequence[Sequence[int]] | None = None,
        collect: Path | None = None,
        swap: Path | None = None,
    ) -> Outcome:
        """Run the script once, on another validation stream or other training shards if they are given.

        A script that is set to evaluate only runs once before, set to train, for the files that it then finds. What it
        wrote that is no text goes to the folder `collect`; files that it reads back are first replaced by those of the same
        name in the folder `swap`.
        """
        with tempfile.TemporaryDirectory(prefix="pgolf-run-") as folder:
            work = Path(folder)
            (work / "work").mkdir()
            left_out = lay_out(self.submission, work / "work")
            shutil.copytree(self.world.folder / "data", work / "work" / "data", dirs_exist_ok=True)
            dataset = work / "work" / self.world.dataset
            write_shards(dataset, "val", [] if validation is None else [validation])
            write_shards(dataset, "train", training or ())
            if swap is not None:
                shutil.copytree(swap, work / "swap")
            given = set(_files(work / "work"))
            environment = {each.name: each.value for each in self.overrides}
            run = partial(run_child, self.script, work, python=self.python, limits=self.limits, num_ranks=self.num_ranks)
            if trained := {name: "0" for name, value in environment.items() if _EVAL_ONLY.search(name) and value in _TRUE}:
                run(environment | trained, record=False)
            outcome = run(environment, record=record)
            if collect is not None:
                _collect(work / "work", given, collect)
            return dataclasses.replace(outcome, left_out=left_out)


def _files(folder: Path) -> list[Path]:
    """Ordinary files below a folder; links, which a script may have made, lead elsewhere."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]


def _collect(folder: Path, given: set[Path], target: Path) -> None:
    """Copy the files that a run made and that are no text."""
    for path in _files(folder):
        if path in given or b"\0" not in path.read_bytes():
            continue
        copy = target / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def open_session(submission: Submission, cache: Path, python: Path, limits: Limits, num_ranks: int = 1) -> Session:
    """Prepare to run a submission. ValueError, with the reason, for one that cannot be run."""
    script = submission.script
    if script is None:
        raise ValueError(f"{submission.path}: has no script to run")
    texts = [module.source for module in script.modules]
    has_sidecar = any(_SIDECAR.search(text) for text in texts)
    world = toy_world(_vocab_size(submission), has_sidecar, cache, _num_documents(texts))
    return Session(
        submission=submission,
        script=placed(submission, script.path),
        world=world,
        overrides=overrides(submission.configuration, world, texts),
        python=python,
        limits=limits,
        num_ranks=num_ranks,
    )


def _num_documents(texts: Sequence[str]) -> int:
    """Of the validation split: enough to fill more than two blocks of a size that a script has written out.

    A cache that is filled block by block is asked from the second on.
    """
    sizes = (int(match[1]) for text in texts for match in _BLOCK.finditer(text))
    largest = max((size for size in sizes if size <= _LARGEST_BLOCK), default=0)
    return max(VAL_DOCUMENTS, math.ceil(largest * _NUM_BLOCKS / _DOCUMENT_TOKENS))


def _vocab_size(submission: Submission) -> int:
    resolved = submission.configuration.environment("VOCAB_SIZE") or submission.configuration.attribute(None, "vocab_size")
    text = str(resolved.value) if resolved else str(_DEFAULT_VOCABULARY)
    if not text.isdigit():
        raise ValueError(f"vocabulary size {text!r}: no number")
    return int(text)
