"""How many bytes a logged score was divided by: the identity bytes = tokens * val_loss / (ln 2 * val_bpb).

The identity follows from the definitions (val_loss is nats per token, val_bpb is bits per byte) and needs nothing but
one log line and the token count of the same run. Printed values are rounded, so the result is an interval: every
number counts as known to half of its last printed digit. Not covered: a line whose val_loss and val_bpb describe two
different predictors (mixtures print the network's loss beside the mixture's bpb); callers must expect it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from auditor.submission.logs.metrics import bytes_beside
from auditor.submission.logs.model import Log, Metric, Run
from auditor.submission.submission import Submission
from rules.limits import Range

_NUMBER = re.compile(r"\d+\.(\d+)(?![\d.eE])")


@dataclass(frozen=True, slots=True)
class ScoredLine:
    """A reported score and what its line and run say about the bytes that it was divided by.

    `in_headline` says that this line carries the submitted number. `bytes_per_token` and `num_bytes` are intervals,
    None where the log does not say enough. `printed_bytes` is a byte count that the line prints itself, or another line
    (number `bytes_line`) with its tokens beside the same score.
    """

    metric: Metric
    run: Run
    in_headline: bool
    num_tokens: int | None
    bytes_per_token: Range | None
    printed_bytes: int | None
    bytes_line: int | None = None

    @property
    def num_bytes(self) -> Range | None:
        """The byte total by the identity; a total that the line prints does not enter."""
        if self.bytes_per_token is None or self.num_tokens is None:
            return None
        return Range(self.bytes_per_token.low * self.num_tokens, self.bytes_per_token.high * self.num_tokens)


def scored_lines(submission: Submission) -> tuple[ScoredLine, ...]:
    """The lines that carry the submitted number; where none was located, the last scored line of every run."""
    runs = {(run.log, run.index): (run, log) for log in submission.logs for run in log.runs}
    carriers = [line.metric for line in submission.headline.lines]
    if carriers:
        return tuple(_carrier(metric, *runs[metric.log, metric.run]) for metric in carriers)
    last = ((run, final_metric(run)) for run in submission.runs)
    return tuple(scored_line(metric, run, in_headline=False) for run, metric in last if metric is not None)


def _carrier(metric: Metric, run: Run, log: Log) -> ScoredLine:
    """A line that carries the submitted number, with the bytes that another line of its run tells for it."""
    line = scored_line(metric, run, in_headline=True)
    told = None if metric.num_bytes else bytes_beside(metric, log.lines[run.first_line - 1 : run.last_line], run.first_line)
    return replace(line, printed_bytes=told[0], bytes_line=told[1]) if told else line


def scored_line(metric: Metric, run: Run, *, in_headline: bool) -> ScoredLine:
    """What `metric` and its run say about bytes. A line without a loss borrows it from a line with the same bpb."""
    full = metric if metric.val_loss is not None else _same_score(metric, run)
    return ScoredLine(
        metric=metric,
        run=run,
        in_headline=in_headline,
        num_tokens=metric.num_tokens or num_val_tokens(run),
        bytes_per_token=bytes_per_token(full) if full else None,
        printed_bytes=metric.num_bytes,
    )


def final_metric(run: Run) -> Metric | None:
    """The last line of a run that has both a loss and a bpb."""
    return next((metric for metric in reversed(run.metrics) if metric.val_loss is not None), None)


def num_val_tokens(run: Run) -> int | None:
    """Validation tokens that the run says it scores."""
    count = run.count("target_tokens") or run.count("val_tokens")
    return int(count.value) if count else None


def bytes_per_token(metric: Metric) -> Range | None:
    """val_loss / (ln 2 * val_bpb) of one line, as the interval that its printed digits allow."""
    if not metric.val_loss or metric.val_loss <= 0 or metric.val_bpb <= 0:
        return None
    loss_slack = 0.5 * 10.0 ** -num_decimals(metric.text, metric.val_loss)
    bpb_slack = 0.5 * 10.0**-metric.num_decimals
    if bpb_slack >= metric.val_bpb:
        return None
    low = (metric.val_loss - loss_slack) / (math.log(2) * (metric.val_bpb + bpb_slack))
    high = (metric.val_loss + loss_slack) / (math.log(2) * (metric.val_bpb - bpb_slack))
    return Range(low, high)


def num_decimals(text: str, value: float) -> int:
    """How many decimals `value` is printed with in `text`; 0 if it is not there as a decimal number."""
    return max((len(match[1]) for match in _NUMBER.finditer(text) if float(match[0]) == value), default=0)


def _same_score(metric: Metric, run: Run) -> Metric | None:
    """Another line of the run with a loss and, to its printed digits, the same bpb."""
    for other in reversed(run.metrics):
        slack = 0.5 * 10.0 ** -min(metric.num_decimals, other.num_decimals)
        if other.val_loss is not None and abs(other.val_bpb - metric.val_bpb) <= slack * 1.0001:
            return other
    return None
