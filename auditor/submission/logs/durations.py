"""Printed times: the training loop, evaluations, calibration, quantisation, adaptation, warm-up.

A table maps the shape of a line to the kind of its time; the first row that matches decides. Times inside a loop (one
chunk, one epoch, one batch) are not kept: only totals count against a limit.

Not covered: phases whose end is only told by time stamps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from auditor.submission.logs.lines import Line
from auditor.submission.logs.model import Duration, DurationKind
from auditor.submission.logs.pairs import Pair, find_pairs

_SPAN = re.compile(
    r"\b(?:in|done|took|after|completed?)\s{0,8}[:(]?\s{0,8}(?P<number>\d+(?:\.\d+)?)\s?(?P<unit>ms|s|sec|seconds|min|m)\b"
)
_TIME_KEY = re.compile(r"time|elapsed|seconds|wallclock|wall_ms|_ms$|_s$|^tt$|^t$|^sec$|^eval$", re.IGNORECASE)
_STEP_TIME_KEYS = ("train_time", "tt", "train_time_ms", "t", "elapsed", "time")
_SETTING_KEY = re.compile(
    r"max_|reserve|budget|limit|(?:^|_)cap(?:_|$)|timeout|heartbeat|remaining|effective|margin", re.IGNORECASE
)
_NOT_TOTAL = re.compile(
    r"\d/\d|\bepoch\b|\bchunk[ =:]?\[|\bchunk[ =:]\d|\bbatch \d|\b(?:short|long)_docs\b|\bstarting\b|\bphase:\d|step_avg"
    r"|ETA|\[\s*\d+(?:\.\d+)?%|progress|shard \d|^\W*rank|LONGTRAIN",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Row:
    pattern: re.Pattern[str]
    kind: DurationKind


_TRAIN = DurationKind.TRAIN
_TABLE = tuple(
    _Row(re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"stopping_early|^stop |hard_stop|^\W*(?:total )?training (?:complete|done|finished|time)|^phase:train\b", _TRAIN),
        (r"artifact_production|total_elapsed|decompress|exit[ _]?code", DurationKind.OTHER),
        (r"total_eval_time|eval(?:uation)? total|total eval", DurationKind.EVALUATE_TOTAL),
        (r"eval_time", DurationKind.EVALUATE),
        (r"compile|warm-?up|warming", DurationKind.WARMUP),
        (r"hessian|calibrat|self-?gen|generated \d+ seq|collected|act_stats|awq.{0,80}collect", DurationKind.CALIBRATE),
        (r"quantized in|quantization|compress|serializ|gptq:(?:done|quantized)|gptq.{0,80} done", DurationKind.QUANTIZE),
        (r"bpb", DurationKind.EVALUATE),
        (r"precompute|prefill|pre-fill|ngram|cache|ttt|ttpp|adapt|slot|lora|ppm", DurationKind.ADAPT),
        (r"\beval", DurationKind.EVALUATE),
    )
)
_WORDS = ("time", "elapsed", " in ", "done", "took", "seconds", "wall", "stop ", "complete", " t=", " t:")


def is_candidate(lower: str) -> bool:
    """Whether a lower-case line can hold a total time at all; cheap."""
    return any(word in lower for word in _WORDS) and "train_loss" not in lower


def read_durations(line: Line, log: str, run: int) -> tuple[Duration, ...]:
    """The total times of one line."""
    text = line.text.strip()
    early = "stopping_early" in text
    if not early and _NOT_TOTAL.search(text):
        return ()
    kind = next((row.kind for row in _TABLE if row.pattern.search(text)), None)
    if kind is None:
        return ()
    return tuple(
        Duration(
            log=log,
            line=line.number,
            run=run,
            text=text,
            kind=DurationKind.OTHER if kind is not _TRAIN and "train_time" in time.label else kind,
            label=time.label,
            seconds=time.seconds,
            resolution=time.resolution,
        )
        for time in _times(text)
    )


def time_of_step(line: Line, log: str, run: int) -> Duration | None:
    """The time of the training loop that a line of a training step tells; None if it tells none."""
    text = line.text.strip()
    for pair in find_pairs(text):
        if pair.key in _STEP_TIME_KEYS and (time := _time(pair, pair.key)) is not None:
            return Duration(
                log=log,
                line=line.number,
                run=run,
                text=text,
                kind=_TRAIN,
                label=time.label,
                seconds=time.seconds,
                resolution=time.resolution,
            )
    return None


@dataclass(frozen=True, slots=True)
class _Time:
    label: str
    seconds: float
    resolution: float


def _times(text: str) -> list[_Time]:
    pairs = find_pairs(text)
    head = text[: pairs[0].start].strip(" :|-") if pairs else ""
    keyed = [pair for pair in pairs if _TIME_KEY.search(pair.key) and not _SETTING_KEY.search(pair.key)]
    found = [time for pair in keyed if (time := _time(pair, f"{head} {pair.key}".strip())) is not None]
    if not found and (match := _SPAN.search(text)):
        span = Pair("", float(match["number"]), match["number"], match["unit"], None, match.start())
        time = _time(span, text[: match.start()].strip(" :|-("))
        found = [time] if time else []
    return found


def _time(pair: Pair, label: str) -> _Time | None:
    unit = _implied_unit(pair.key)
    seconds, resolution = pair.seconds(unit), pair.resolution(unit)
    return None if seconds is None or resolution is None else _Time(label, seconds, resolution)


def _implied_unit(key: str) -> str | None:
    lower = key.lower()
    if lower.endswith("ms"):
        return "ms"
    return "s" if lower.endswith(("_s", "seconds", "_sec")) else None
