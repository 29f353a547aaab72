from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from auditor.submission.logs.model import Duration, DurationKind
from rules.budget.span import Span, shown, span_of

TIMES = st.floats(min_value=0.0, max_value=1e5, allow_nan=False)
DECIMALS = st.integers(min_value=0, max_value=3)


def printed(seconds: float, decimals: int) -> Duration:
    return Duration(
        log="train.log",
        line=1,
        run=0,
        text="",
        kind=DurationKind.EVALUATE,
        label="",
        seconds=seconds,
        resolution=10.0**-decimals,
    )


@given(TIMES, DECIMALS)
def test_a_rounded_or_cut_time_has_the_true_one_in_its_span(true: float, decimals: int):
    scale = 10**decimals
    for number in (round(true, decimals), math.floor(true * scale) / scale):
        span = span_of(printed(number, decimals))
        assert span.low - 1e-9 <= true <= span.high + 1e-9


@given(st.lists(st.tuples(TIMES, DECIMALS), max_size=5))
def test_a_sum_of_printed_times_has_the_true_sum_in_its_span(times: list[tuple[float, int]]):
    span = span_of(*(printed(round(true, decimals), decimals) for true, decimals in times))
    true_sum = sum(true for true, _ in times)
    assert span.low - 1e-6 <= true_sum <= span.high + 1e-6


@given(TIMES, TIMES, TIMES)
def test_no_span_is_both_over_a_cap_and_within_it(one: float, other: float, cap: float):
    span = Span(min(one, other), max(one, other))
    assert not (span.is_over(cap) and span.is_within(cap))


def test_a_time_in_minutes_decides_nothing_near_the_cap():
    ten_minutes = Duration(
        log="a", line=1, run=0, text="", kind=DurationKind.TRAIN, label="", seconds=600.0, resolution=6.0
    )
    span = span_of(ten_minutes)
    assert not span.is_over(600.0)
    assert not span.is_within(600.0)


def test_times_are_shown_to_the_millisecond():
    assert [shown(printed(value, 3)) for value in (600.051, 600.5, 600.0)] == ["600.051 s", "600.5 s", "600 s"]
