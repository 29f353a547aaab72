"""Where one run ends and the next begins in a log that holds several.

A log may hold several processes' output one after another: a training and a later evaluation, a sweep, a re-run. A new
run begins where a program introduces itself again (prints its source, its hyper-parameters, its interpreter's version, or
a heading with a seed) after the previous one has already trained or scored something, or where the training steps start
over. Introductory lines just before such a place (seed, loaders, sizes) belong to the new run.

Not covered: runs of two processes whose lines are interleaved.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from auditor.submission.logs.lines import Line

_STEP = re.compile(r"\s*(?:step|s)?\s*[:=]?\s*(?P<step>\d{1,9})\s*/\s*\d+[ ,|].*(?:loss|\btl:|\bvl:|bpb)", re.IGNORECASE)
_HEADER = re.compile(r"\s*hyper-?parameters\s*:|Running Python ", re.IGNORECASE)
_SEED_HEADING = re.compile(
    r"\s{0,8}(?:#{1,6}|[=*-]{2,80})\s{0,8}(?:\w{1,20}\s){0,2}seed\W{0,3}(?P<seed>\d{1,12})\s*(?:[-–:(=#*].*)?$",
    re.IGNORECASE,
)
_SEED_NAME = re.compile(r"(?:^|[_.-])seeds?[_-]?(\d{1,12})(?=[_.-])", re.IGNORECASE)
_INTRODUCTION = re.compile(
    r"\s*(?:seed|world_size|model_params|val_bpb:enabled|train_loader|val_loader|train_shards|val_tokens|warmup_step:? ?1/)"
)


def named_seed(path: str) -> int | None:
    """The seed in a log's file name (``train_seed42.log``); None if it names none, or several."""
    seeds = set(_SEED_NAME.findall(path.rsplit("/", 1)[-1]))
    return int(seeds.pop()) if len(seeds) == 1 else None


def training_step(text: str) -> int | None:
    """The step of a training loop's line; None for every other line."""
    if "loss" not in text and "bpb" not in text and " tl:" not in text:
        return None
    match = _STEP.match(text)
    return int(match["step"]) if match else None


def heading_seed(text: str) -> int | None:
    """The seed in a heading between runs (``=== Seed 42 ===``); None for every other line."""
    if "eed" not in text and "EED" not in text:
        return None
    match = _SEED_HEADING.match(text)
    return int(match["seed"]) if match else None


def find_starts(lines: Sequence[Line], inside: Sequence[bool], source_starts: set[int]) -> list[int]:
    """The indices where the second and every further run begins.

    `inside` tells for each line whether it is printed source, `source_starts` where such sources begin.
    """
    starts: list[int] = []
    run = _RunSoFar()
    for index, line in enumerate(lines):
        if index in source_starts or (not inside[index] and _is_header(line.text)):
            if run.worked:
                starts.append(run.beginning(index))
            run = _RunSoFar()
        elif not inside[index] and run.restarts_at(index, line.text):
            starts.append(run.beginning(index))
            run = _RunSoFar(step=1)
    return starts


def _is_header(text: str) -> bool:
    return _HEADER.match(text) is not None or heading_seed(text) is not None


class _RunSoFar:
    """What has been seen of the current run: whether it did any work, its last step, and a possible new introduction."""

    def __init__(self, step: int = 0) -> None:
        self.worked = False
        self.step = step
        self.introduced: int | None = None

    def beginning(self, index: int) -> int:
        """The first line of a run that is recognised at `index`."""
        return index if self.introduced is None else self.introduced

    def restarts_at(self, index: int, text: str) -> bool:
        """Take in one line; True if the training steps start over there."""
        if self.worked and self.introduced is None and _INTRODUCTION.match(text):
            self.introduced = index
        step = training_step(text)
        if step is None:
            self.worked = self.worked or ("bpb" in text and ":enabled" not in text)
            return False
        if step <= 1 < self.step:
            return True
        self.step = step
        if step > 1:
            self.worked, self.introduced = True, None
        return False
