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
from auditor.submission.logs.pairs import find_pairs, in_seconds

_SPAN = re.compile(
    r"\b(?:in|done|took|after|completed?)\s*[:(]?\s*(?P<number>\d+(?:\.\d+)?)\s?(?P<unit>ms|s|sec|seconds|min|m)\b"
)
_TIME_KEY = re.compile(r"time|elapsed|seconds|wallclock|wall_ms|_ms$|_s$|^tt$|^t$|^sec$|^eval$", re.IGNORECASE)
_SETTING_KEY = re.compile(
    r"max_|reserve|budget|limit|(?:^|_)cap(?:_|$)|timeout|heartbeat|remaining|effective|margin", re.IGNORECASE
)
_NOT_TOTAL = re.compile(
    r"\d/\d|\bepoch\b|\bchunk[ =:]?\[|\bchunk \d|\bbatch \d|\bphase:\d|step_avg|ETA|\[\s*\d+(?:\.\d+)?%|progress|shard \d"
    r"|^\W*rank|LONGTRAIN",
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
        (r"artifact_production|total_elapsed|decompress", DurationKind.OTHER),
        (r"total_eval_time|eval(?:uation)? total|total eval", DurationKind.EVALUATE_TOTAL),
        (r"bpb.*eval_time|eval_time.*bpb", DurationKind.EVALUATE),
        (r"compile|warm-?up|warming", DurationKind.WARMUP),
        (r"hessian|calibrat|self-?gen|generated \d+ seq|collected|act_stats|awq.*collect", DurationKind.CALIBRATE),
        (r"quantized in|quantization|compress|serializ|gptq:(?:done|quantized)|gptq.* done", DurationKind.QUANTIZE),
        (r"bpb|eval_time", DurationKind.EVALUATE),
        (r"precompute|prefill|pre-fill|ngram|cache|ttt|ttpp|adapt|slot|lora|ppm", DurationKind.ADAPT),
        (r"\beval", DurationKind.EVALUATE),
    )
)
_WORDS = ("time", "elapsed", " in ", "done", "took", "seconds", "wall", "stop ", "complete")


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
            kind=DurationKind.OTHER if kind is not _TRAIN and "train_time" in label else kind,
            label=label,
            seconds=seconds,
        )
        for label, seconds in _times(text)
    )


def _times(text: str) -> list[tuple[str, float]]:
    pairs = find_pairs(text)
    found = []
    for pair in pairs:
        if not _TIME_KEY.search(pair.key) or _SETTING_KEY.search(pair.key):
            continue
        seconds = pair.seconds(_implied_unit(pair.key))
        if seconds is not None:
            head = text[: pairs[0].start].strip(" :|-")
            found.append((f"{head} {pair.key}".strip(), seconds))
    if not found and (match := _SPAN.search(text)):
        seconds = in_seconds(float(match["number"]), match["unit"])
        if seconds is not None:
            found.append((text[: match.start()].strip(" :|-("), seconds))
    return found


def _implied_unit(key: str) -> str | None:
    lower = key.lower()
    if lower.endswith("ms"):
        return "ms"
    return "s" if lower.endswith(("_s", "seconds", "_sec")) else None
