"""The byte identity as an interval: it must hold the true value, and shrink with the digits that were printed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.submission.logs.model import Count, Metric, Run
from rules.limits import CANONICAL_VAL_BYTES
from rules.metric.identity import bytes_per_token, num_decimals, scored_line
from rules.metric.split import CONTEST_SPLIT

LN2 = math.log(2)


def metric(loss, bpb, decimals=8, label="final", **more):
    text = (
        f"{label} val_bpb:{bpb:.{decimals}f}"
        if loss is None
        else f"{label} val_loss:{loss:.{decimals}f} val_bpb:{bpb:.{decimals}f}"
    )
    printed_loss = None if loss is None else round(loss, decimals)
    return Metric(
        log="train.log",
        line=1,
        run=0,
        text=text,
        label=label,
        key="val_bpb",
        val_bpb=round(bpb, decimals),
        num_decimals=decimals,
        val_loss=printed_loss,
        **more,
    )


def run(*metrics, val_tokens=None):
    count = Count(log="train.log", line=1, run=0, text="", name="val_tokens", value=val_tokens or 0)
    return Run(log="train.log", index=0, first_line=1, last_line=9, metrics=metrics, counts=(count,) if val_tokens else ())


@given(st.floats(0.5, 3.0), st.floats(1.0, 5.0), st.integers(2, 8))
def test_interval_holds_the_true_ratio_whatever_was_rounded_away(bpb, ratio, decimals):
    interval = bytes_per_token(metric(bpb * LN2 * ratio, bpb, decimals))
    assert interval is not None
    assert interval.low <= ratio * (1 + 1e-9)
    assert ratio * (1 - 1e-9) <= interval.high


@given(st.floats(0.8, 2.0), st.integers(2, 7))
def test_more_digits_give_a_narrower_interval(bpb, decimals):
    loss = bpb * LN2 * 2.436
    coarse, fine = bytes_per_token(metric(loss, bpb, decimals)), bytes_per_token(metric(loss, bpb, decimals + 1))
    assert coarse is not None
    assert fine is not None
    assert fine.high - fine.low < coarse.high - coarse.low


@pytest.mark.parametrize(("loss", "bpb"), [(None, 1.2), (0.0, 1.2), (2.0, 0.0), (2.0, -1.0)])
def test_a_line_without_a_usable_pair_has_no_ratio(loss, bpb):
    assert bytes_per_token(metric(loss, bpb)) is None


def test_a_bpb_smaller_than_its_rounding_has_no_ratio():
    assert bytes_per_token(metric(2.0, 0.001, decimals=2)) is None


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("val_loss:2.0727 val_bpb:1.2244", 2.0727, 4),
        ("val_loss:2.07269931", 2.07269931, 8),
        ("val_loss: 2", 2.0, 0),
        ("val_loss: 2.50", 2.5, 2),
        ("version 2.5.1 val_loss:3.25", 2.5, 0),
    ],
)
def test_decimals_are_read_from_the_printed_line(text, value, expected):
    assert num_decimals(text, value) == expected


def test_token_count_of_the_line_goes_before_that_of_the_run():
    one = metric(2.0, 1.2, num_tokens=500)
    assert scored_line(one, run(one, val_tokens=62_021_632), in_headline=True).num_tokens == 500


def test_target_tokens_go_before_validation_tokens():
    one = metric(2.0, 1.2)
    counts = tuple(
        Count(log="train.log", line=1, run=0, text="", name=name, value=value)
        for name, value in (("target_tokens", 100), ("val_tokens", 200))
    )
    of_run = Run(log="train.log", index=0, first_line=1, last_line=2, metrics=(one,), counts=counts)
    assert scored_line(one, of_run, in_headline=True).num_tokens == 100


def test_a_line_without_a_loss_borrows_it_from_the_line_with_the_same_score():
    bare, full = metric(None, 1.2244, decimals=4), metric(2.0727, 1.22436570)
    other = metric(2.2, 1.31)
    line = scored_line(bare, run(other, full, bare, val_tokens=62_021_632), in_headline=True)
    assert line.bytes_per_token == bytes_per_token(full)


def test_a_line_without_a_loss_does_not_borrow_from_another_score():
    bare, full = metric(None, 0.3922, decimals=4), metric(2.0727, 1.2243657)
    assert scored_line(bare, run(full, bare), in_headline=True).bytes_per_token is None


def test_total_is_absolute():
    bpb = 1.2
    full = metric(bpb * LN2 * CANONICAL_VAL_BYTES.value / 62_021_632, bpb)
    whole = scored_line(full, run(full, val_tokens=62_021_632), in_headline=True).num_bytes
    part = scored_line(full, run(full, val_tokens=6_202_163), in_headline=True).num_bytes
    assert whole is not None
    assert part is not None
    assert CONTEST_SPLIT.whole.overlaps(whole)
    assert not CONTEST_SPLIT.whole.overlaps(part)
