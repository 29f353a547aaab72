"""What calibrated a seed's model after its training, for how long, and on which data, by its log.

A log names the data in words or not at all. What names none is counted as training data, which is what calibration reads
unless something else is arranged. Not covered: calibration that prints nothing, and what the source would tell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from auditor.submission.logs.model import Duration, DurationKind, Log
from rules.budget.span import Span, span_of
from rules.budget.training_end import TrainingEnd, training_end
from rules.headline_runs import SeedRun
from rules.limits import ACCEPTED_TRAIN_SECONDS

_WORK = re.compile(
    r"calibrating|(?:collect|build)\w*\b.{0,40}(?:hessian|calib)|calibration data|calib prepared", re.IGNORECASE
)
_CALIBRATES = re.compile(r"hessian|calib", re.IGNORECASE)
_NONE = re.compile(r"skip|without|enabled|disabled|\blite\b", re.IGNORECASE)
_SELF_GENERATED = re.compile(r"generat(?:ed|ing) .{0,30}(?:seq|calib)|self-?gen|auto-?regressive", re.IGNORECASE)
_VALIDATION = re.compile(r"validation data|val[- _]data|source=val|\bval calib", re.IGNORECASE)


class CalibrationData(StrEnum):
    """What a model was calibrated on."""

    TRAINING = "training data"
    SELF_GENERATED = "sequences that the model generated"
    VALIDATION = "validation data"


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration after one seed's training loop.

    `times` are the printed times of its steps; where there are none, `bounds` are those of a quantisation that it is a part
    of. `mention` is a line, as number and text, that says that it took place. `data` is what it read.
    """

    seed_run: SeedRun
    end: TrainingEnd
    times: tuple[Duration, ...]
    bounds: tuple[Duration, ...]
    mention: tuple[int, str]
    data: CalibrationData

    @property
    def is_timed(self) -> bool:
        """Is there a time that the calibration took at most?"""
        return bool(self.times or self.bounds)

    @property
    def loop_is_over(self) -> bool:
        """Was the training loop over the cap by itself, which is another rule's matter?"""
        return span_of(self.end.time).is_over(ACCEPTED_TRAIN_SECONDS.value)

    @property
    def known(self) -> Span:
        """The end of the loop and of what is timed as calibration; a loop over the cap counts as ending in time."""
        return _in_time(span_of(self.end.time)) + span_of(*self.times)

    @property
    def most(self) -> Span:
        """The same with all quantisation that calibration may be a part of."""
        return self.known + span_of(*self.bounds)


def _in_time(end: Span) -> Span:
    """Without an excess of the loop itself, which is another rule's matter."""
    latest = ACCEPTED_TRAIN_SECONDS.value
    return Span(min(end.low, latest), min(end.high, latest))


def find_calibration(seed_run: SeedRun, logs: Mapping[str, Log]) -> Calibration | None:
    """The calibration after a seed's training; None if its end is not known or its log tells of none."""
    end = training_end(seed_run)
    if end is None or not end.is_final:
        return None
    after = [each for each in end.run.durations if each.line > end.time.line]
    times = tuple(each for each in _once(after) if each.kind is DurationKind.CALIBRATE)
    lines = _lines(logs[end.run.log].lines, end)
    mentions = [(number, text) for number, text in lines if _WORK.search(text) and not _NONE.search(text)]
    if times:
        mentions = [(times[0].line, times[0].text)]
    if not mentions:
        return None
    whole = tuple(each for each in _once(after) if each.kind is DurationKind.QUANTIZE and "gptq" in each.text.lower())
    return Calibration(seed_run, end, times, () if times else whole, mentions[0], _data([text for _, text in lines]))


def _lines(lines: Sequence[str], end: TrainingEnd) -> list[tuple[int, str]]:
    """The numbered lines of the run after its training loop."""
    return list(enumerate(lines[end.time.line : end.run.last_line], start=end.time.line + 1))


def _once(durations: Sequence[Duration]) -> list[Duration]:
    """Without lines that a log holds twice."""
    return list({each.text: each for each in reversed(durations)}.values())[::-1]


def _data(texts: Sequence[str]) -> CalibrationData:
    if any(_SELF_GENERATED.search(text) for text in texts):
        return CalibrationData.SELF_GENERATED
    if any(_VALIDATION.search(text) and _CALIBRATES.search(text) for text in texts):
        return CalibrationData.VALIDATION
    return CalibrationData.TRAINING
