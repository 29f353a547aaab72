"""Printed times as intervals, so that a rounded number never decides by itself.

A printed number may have been rounded or cut off: the true time lies from half a unit of its last digit below it to one
unit above. Sums of times are sums of their intervals. Not covered: clocks that a script stops while it works.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from auditor.submission.logs.model import Duration


@dataclass(frozen=True, slots=True)
class Span:
    """A time in seconds that lies between `low` and `high`, both included."""

    low: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.high + other.high)

    def is_over(self, cap_seconds: float) -> bool:
        """Is the time certainly longer?"""
        return self.low > cap_seconds

    def is_within(self, cap_seconds: float) -> bool:
        """Is the time certainly not longer?"""
        return self.high <= cap_seconds


def span_of(*durations: Duration) -> Span:
    """The time that `durations` took together."""
    return total(Span(each.seconds - each.resolution / 2, each.seconds + each.resolution) for each in durations)


def total(spans: Iterable[Span]) -> Span:
    """The sum; zero of none."""
    return sum(spans, Span(0.0, 0.0))


def shown(duration: Duration) -> str:
    """A printed time for a message: ``600.051 s``."""
    return f"{duration.seconds:.3f}".rstrip("0").rstrip(".") + " s"
