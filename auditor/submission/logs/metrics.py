"""Reported bits-per-byte numbers.

A line is a metric if a key that names bits per byte carries a number. Differences of two such numbers (gain, gap, delta,
standard deviation) are not metrics. A line inside an evaluation or an adaptation (a counter, a percentage, a running
mean) is kept as `progress`, so that nobody takes it for a result.

Not covered: numbers in prose without a key, and plots.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from auditor.submission.logs.lines import Line
from auditor.submission.logs.model import Metric
from auditor.submission.logs.pairs import MAX_DIGITS, NUMBER, Pair, find_pairs

_WORDED = re.compile(r"bits?[ _-]per[ _-]byte", re.IGNORECASE)
_BPB_KEY = re.compile(r"bpb|bits/byte|bits_per_byte", re.IGNORECASE)
_NO_SCORE = re.compile(  # words of a key that make it a difference of scores, or a setting about them
    r"(?:^|[_ .-])(?:delta|gain|gap|diff|improvement|improve|std|sigma|stderr|penalty|cost|advantage|threshold|target|drop"
    r"|weight(?:ed)?)"
    r"(?:$|[_ .-])",
    re.IGNORECASE,
)
_BARE = re.compile(rf"(?<![\w./+-])(?P<key>[\w./-]+)\s{{1,16}}(?P<number>{NUMBER})(?![\w.:=])")
_UNDEFINED = re.compile(r"bpb[\"']?\s?[:=]\s?nan\b", re.IGNORECASE)
_STEP_LINE = re.compile(
    r"\W*(?:val\W+)?(?:step|iter|iteration)\s*[:=#]?\s*(?P<step>\d{1,9})\b"  # step:2000/20000, [VAL] step 500:
    r"|\s*(?:s:)?\s?(?P<counted>\d{1,9})\s?/\s?\d{1,9}\s+(?:val_|train_|vl:|tl:)",  # 4997/20000 val_loss: 2.3
    re.IGNORECASE,
)
_COUNTER = re.compile(r"\[?\s*\d+(?:\.\d+)?\s*(?:/\s*\d+|%)")
_PROGRESS = re.compile(
    r"\b(?:batch|chunk|window|doc|phase)\s?[:=\[#]?\s?\d|running|progress|\beta[:= ]|chunk\s*\[|epoch|\bttp:|\btc\[",
    re.IGNORECASE,
)
_RESULT = re.compile(r"eval_time|done|final|exact", re.IGNORECASE)  # words of an evaluation's own last line
_RUNNING_KEY = re.compile(r"^(?:r|run|running|cum|avg|batch|chunk|b)_", re.IGNORECASE)
_PHASED_KEYS = {"bb", "rb"}  # batch and running bits per byte of the phased adaptation's progress lines

_LOSS = ("val_loss", "vl", "loss", "nll", "eval_loss")
_EVAL_TIME = ("eval_time", "elapsed", "time", "t", "eval", "eval_seconds", "eval_time_s", "eval_time_ms")
_TOKENS = ("scored_tokens", "tokens_scored", "N_tokens", "num_tokens", "target_tokens", "token_count", "tokens")
_BYTES = ("N_sidecar_bytes", "scored_bytes", "N_bytes", "num_bytes", "byte_count", "total_bytes", "bytes")
_FEWEST_DECIMALS = 4  # ours: of a score that names a line
_EXACT = 5e-4  # an "exact" key repeats the rounded number of its line


def is_undefined_score(text: str) -> bool:
    """Whether a line reports a score that is not a number."""
    return _UNDEFINED.search(text) is not None


def is_candidate(lower: str) -> bool:
    """Whether a lower-case line can hold a metric at all; cheap."""
    return "bpb" in lower or "bits" in lower or (" rb:" in lower and " rl:" in lower)


def read_metrics(line: Line, log: str, run: int) -> tuple[Metric, ...]:
    """Every metric of one line."""
    text = _WORDED.sub("bits_per_byte", line.text)
    pairs = find_pairs(text)
    carriers = [pair for pair in pairs if _carries(pair, pairs)] or _bare_carriers(text)
    if not carriers:
        return ()
    start = min(pair.start for pair in (*pairs, *carriers))
    step = _step(text)
    label = "step" if step is not None else _label(text[:start])
    values = tuple((pair.key, pair.value) for pair in pairs)
    in_progress = step is None and _is_progress(text, start)
    return tuple(
        Metric(
            log=log,
            line=line.number,
            run=run,
            text=line.text.strip(),
            label=label,
            key=pair.key,
            val_bpb=pair.value,
            num_decimals=pair.num_decimals,
            val_loss=_value(pairs, _LOSS),
            step=step,
            eval_seconds=_eval_seconds(pairs),
            num_tokens=_whole(pairs, _TOKENS),
            num_bytes=_whole(pairs, _BYTES),
            values=values,
            progress=in_progress or bool(_RUNNING_KEY.match(pair.key)) or pair.key in _PHASED_KEYS,
        )
        for pair in carriers
    )


def bytes_beside(score: Metric, lines: Sequence[str], first: int) -> tuple[int, int] | None:
    """The byte count that another of `lines` prints together with a token count and the same score, and its number.

    A mixture tells its totals in a line of its own, whose keys name no bits per byte, and returns only the score. `first`
    is the number of the first of the lines.
    """
    for number, text in enumerate(lines, start=first):
        pairs = find_pairs(text) if "bytes" in text else []
        num_bytes = _whole(pairs, _BYTES)
        if num_bytes and _whole(pairs, _TOKENS) and number != score.line and any(_is_same(pair, score) for pair in pairs):
            return num_bytes, number
    return None


def _is_same(pair: Pair, score: Metric) -> bool:
    """Is this the score, to the digits that both print? Fewer than four would agree by chance."""
    num_decimals = min(pair.num_decimals, score.num_decimals)
    return num_decimals >= _FEWEST_DECIMALS and abs(pair.value - score.val_bpb) <= 0.5001 * 10.0**-num_decimals


def _carries(pair: Pair, pairs: Sequence[Pair]) -> bool:
    if pair.unit == "%" or pair.digits[0] in "+-":
        return False
    if pair.key in _PHASED_KEYS:
        return any(other.key == "rl" for other in pairs)
    if pair.key == "exact":
        return any(_BPB_KEY.search(other.key) and abs(other.value - pair.value) < _EXACT for other in pairs)
    return bool(_BPB_KEY.search(pair.key) or _BPB_KEY.fullmatch(pair.unit)) and not _NO_SCORE.search(pair.key)


def _bare_carriers(text: str) -> list[Pair]:
    """Numbers that follow their key without a sign (``FINAL bpb 1.1``); only fractions, since counts are no scores."""
    found = []
    for match in _BARE.finditer(text):
        digits = match["number"].replace(",", "")[:MAX_DIGITS]
        key = match["key"]
        if "." in digits and digits[0].isdigit() and _BPB_KEY.search(key) and not _NO_SCORE.search(key):
            found.append(Pair(key, float(digits), digits, "", None, match.start()))
    return found


def _step(text: str) -> int | None:
    """The training step of a validation inside the training loop: a counter of steps at the line's beginning."""
    match = _STEP_LINE.match(text)
    return int(match["step"] or match["counted"]) if match else None


def _is_progress(text: str, start: int) -> bool:
    if _RESULT.search(text) and not _COUNTER.search(text[:start]):
        return False
    return bool(_COUNTER.search(text[:start]) or _PROGRESS.search(text))


def _label(text: str) -> str:
    """What stands before the first key, without counters, bars and dumps."""
    if counter := _COUNTER.search(text):
        text = text[: counter.start()]
    text = re.split(r"\s\[|\{", text, maxsplit=1)[0]
    return text.strip().strip("\"'{}[](),;:=|-–—>*#").strip()


def _value(pairs: Sequence[Pair], keys: Sequence[str]) -> float | None:
    return next((pair.value for key in keys for pair in pairs if pair.key == key), None)


def _whole(pairs: Sequence[Pair], keys: Sequence[str]) -> int | None:
    value = _value(pairs, keys)
    return int(value) if value is not None and value == value // 1 else None


def _eval_seconds(pairs: Sequence[Pair]) -> float | None:
    for key in _EVAL_TIME:
        for pair in pairs:
            if pair.key == key:
                return pair.seconds("ms" if key.endswith("_ms") else None)
    return None
