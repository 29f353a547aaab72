"""What the byte identity says about one logged score, and which known error explains it.

Kept apart from the rule because two rules ask: byte-count-mismatch for any wrong total, partial-validation for a short one.
Not covered: why a total is wrong beyond the errors whose bytes per token are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rules.limits import (
    BYTE_COUNT_FINGERPRINTS,
    BYTE_TOTAL_FINGERPRINTS,
    BYTES_PER_TOKEN,
    CASEOPS_BYTES_PER_TOKEN,
    CLEARLY_PARTIAL,
    PRE_LAUNCH_EXPORT_BYTES,
    PRE_LAUNCH_EXPORT_TOKENS,
    VAL_BYTES_TOLERANCE,
    Fingerprint,
    Range,
)
from rules.metric.identity import ScoredLine, scored_line
from rules.metric.split import Split, shown_bytes


class Verdict(Enum):
    """What the identity says about one line."""

    CANONICAL = "canonical"
    UNUSUAL = "near the canonical total, but not at it"
    PRE_LAUNCH = "pre-launch export"
    MISMATCH = "mismatch"
    RATIO_MISMATCH = "wrong bytes per token, token count unknown"
    TOKENS_AS_BYTES = "token count printed as byte count"
    OTHER_PREDICTOR = "loss and bpb of different predictors"
    NO_TOTAL = "no token count"
    NO_LOSS = "no loss"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One line, the verdict on it, and one sentence with its numbers. `num_bytes` is the total in question."""

    line: ScoredLine
    verdict: Verdict
    sentence: str
    num_bytes: float | None = None


def judge(line: ScoredLine, split: Split) -> Judgement:
    """Hold one line against the byte total of `split`."""
    if line.printed_bytes is not None:
        return _judge_printed(line, line.printed_bytes, split)
    if line.bytes_per_token is None:
        sentence = f"the headline line {_label(line)} prints no val_loss and no byte count; {_other_lines(line, split)}"
        return Judgement(line, Verdict.NO_LOSS, sentence)
    if line.num_bytes is None:
        return _judge_ratio(line, line.bytes_per_token, split)
    return _judge_total(line, line.bytes_per_token, line.num_bytes, split)


def _judge_printed(line: ScoredLine, printed: int, split: Split) -> Judgement:
    if printed == line.num_tokens:
        sentence = (
            f"{_label(line)} prints {printed:,} as its byte count, which is the number of tokens; the bytes are not logged"
        )
        return Judgement(line, Verdict.TOKENS_AS_BYTES, sentence)
    prints = f"{_label(line)} prints {printed:,} bytes"
    if line.bytes_line is not None:
        prints = f"line {line.bytes_line} prints {printed:,} bytes beside the score of {_label(line)}"
    sentence = f"{prints}; {split.described} has {shown_bytes(split.num_bytes)}"
    verdict = Verdict.CANONICAL if split.whole.overlaps(Range(printed, printed)) else Verdict.MISMATCH
    return Judgement(line, verdict, sentence, printed)


def _judge_ratio(line: ScoredLine, ratio: Range, split: Split) -> Judgement:
    known = find_fingerprint(ratio) if split.is_contest else None
    shown = f"{_middle(ratio):.3f} bytes per token"
    if known:
        sentence = (
            f"{_label(line)} was divided by {shown}, the mark of a known error: {known.name} (no token count is logged)"
        )
        return Judgement(line, Verdict.RATIO_MISMATCH, sentence)
    sentence = f"no token count is logged beside {_label(line)}: {shown} says nothing about the size of the scored split"
    return Judgement(line, Verdict.NO_TOTAL, sentence)


def _judge_total(line: ScoredLine, ratio: Range, total: Range, split: Split) -> Judgement:
    middle = _middle(total)
    sum_of = f"{line.num_tokens:,} tokens * {_middle(ratio):.4f} bytes per token on {_label(line)} = {shown_bytes(middle)}"
    if split.usual.overlaps(total):
        return Judgement(line, Verdict.CANONICAL, f"{sum_of}, {split.described_whole}", middle)
    if split.whole.overlaps(total):
        sentence = (
            f"{sum_of}, {_compared(middle, split)}: runs on the full split agree to a few parts in 100,000, so other "
            "tokens were scored than were counted, or other bytes"
        )
        return Judgement(line, Verdict.UNUSUAL, sentence, middle)
    if split.is_contest and _is_pre_launch_export(line, middle):
        sentence = f"{sum_of}: the launch baseline's own export of the split, made before launch"
        return Judgement(line, Verdict.PRE_LAUNCH, sentence, middle)
    known = find_fingerprint(ratio) if split.is_contest else None
    if known is None and _rest_of_run_is_whole(line, split):
        sentence = (
            f"val_loss and val_bpb of {_label(line)} describe different predictors: they imply {shown_bytes(middle)}, "
            "while other lines of the run come to the full split; the byte count behind this score is not logged"
        )
        return Judgement(line, Verdict.OTHER_PREDICTOR, sentence, middle)
    sentence = f"{sum_of}, {_compared(middle, split)}{_explained(ratio, middle, known, split)}"
    return Judgement(line, Verdict.MISMATCH, sentence, middle)


def _is_pre_launch_export(line: ScoredLine, num_bytes: float) -> bool:
    return line.num_tokens == PRE_LAUNCH_EXPORT_TOKENS.value and _is_close(num_bytes, PRE_LAUNCH_EXPORT_BYTES.value)


def find_fingerprint(ratio: Range) -> Fingerprint | None:
    """The known error whose bytes per token `ratio` shows."""
    return next((known for known in BYTE_COUNT_FINGERPRINTS if known.bytes_per_token.overlaps(ratio)), None)


def _rest_of_run_is_whole(line: ScoredLine, split: Split) -> bool:
    others = (
        scored_line(metric, line.run, in_headline=False) for metric in line.run.metrics if metric.val_loss is not None
    )
    return any(other.num_bytes is not None and split.whole.overlaps(other.num_bytes) for other in others)


def _compared(num_bytes: float, split: Split) -> str:
    return f"x{num_bytes / split.num_bytes:.4f} of the split's {shown_bytes(split.num_bytes)}"


def _explained(ratio: Range, num_bytes: float, known: Fingerprint | None, split: Split) -> str:
    if known:
        return f": {known.name}"
    if num_bytes < split.whole.low:
        clearly = num_bytes < CLEARLY_PARTIAL.value * split.num_bytes
        return ": only a part of the split was scored" + ("" if clearly else ", or its bytes are undercounted")
    if not split.is_contest:
        return ""
    usual = [limit.value for limit in BYTES_PER_TOKEN.values()] + [CASEOPS_BYTES_PER_TOKEN.value]
    if any(_is_close(_middle(ratio), value) for value in usual):
        return ": bytes per token are right, so this is more text than the split has"
    multiple = num_bytes / split.num_bytes
    name = next((name for span, name in BYTE_TOTAL_FINGERPRINTS if span.low <= multiple <= span.high), None)
    return f": {name}" if name else ""


def _other_lines(line: ScoredLine, split: Split) -> str:
    if _rest_of_run_is_whole(line, split):
        return "other lines of the run come to the full split, but not this one's score"
    return "and no other line of its run comes to the full split"


def _is_close(value: float, expected: float) -> bool:
    return abs(value / expected - 1) <= VAL_BYTES_TOLERANCE.value


def _middle(interval: Range) -> float:
    return (interval.low + interval.high) / 2


def _label(line: ScoredLine) -> str:
    return f"`{line.metric.name}`"
