"""Verdicts on single lines, at the edges that the fixtures do not reach."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.submission.logs.model import Count, Metric, Run
from rules.limits import BYTE_COUNT_FINGERPRINTS, BYTES_PER_TOKEN, CANONICAL_VAL_BYTES, CASEOPS_BYTES_PER_TOKEN, Range
from rules.metric.identity import scored_line
from rules.metric.judgement import Verdict, find_fingerprint, judge
from rules.metric.split import CONTEST_SPLIT, Split


def judged(num_bytes, num_tokens=62_021_632, bpb=1.2, decimals=8, split=CONTEST_SPLIT):
    loss = bpb * math.log(2) * num_bytes / num_tokens
    text = f"final val_loss:{loss:.{decimals}f} val_bpb:{bpb:.{decimals}f}"
    line = Metric(
        log="train.log",
        line=2,
        run=0,
        text=text,
        label="final",
        key="val_bpb",
        val_bpb=bpb,
        num_decimals=decimals,
        val_loss=round(loss, decimals),
    )
    count = Count(log="train.log", line=1, run=0, text="", name="val_tokens", value=num_tokens)
    run = Run(log="train.log", index=0, first_line=1, last_line=2, metrics=(line,), counts=(count,))
    return judge(scored_line(line, run, in_headline=True), split)


@given(st.floats(0.9997, 1.0003))
def test_as_near_as_runs_differ_is_the_full_split(multiple):
    assert judged(CANONICAL_VAL_BYTES.value * multiple).verdict is Verdict.CANONICAL


@given(st.one_of(st.floats(0.9971, 0.9995), st.floats(1.0005, 1.0029)))
def test_within_the_tolerance_but_further_off_than_runs_differ_is_unusual(multiple):
    assert judged(CANONICAL_VAL_BYTES.value * multiple).verdict is Verdict.UNUSUAL


@given(st.one_of(st.floats(0.01, 0.9969), st.floats(1.0031, 3.0)))
def test_outside_the_tolerance_is_a_mismatch(multiple):
    assert judged(CANONICAL_VAL_BYTES.value * multiple).verdict is Verdict.MISMATCH


def test_coarse_digits_decide_nothing():
    assert judged(CANONICAL_VAL_BYTES.value * 1.004, decimals=2).verdict is Verdict.CANONICAL


def test_a_share_of_the_split_is_called_that_only_where_it_is_clear():
    assert judged(CANONICAL_VAL_BYTES.value * 0.2).sentence.endswith("only a part of the split was scored")
    assert judged(CANONICAL_VAL_BYTES.value * 0.97).sentence.endswith("or its bytes are undercounted")


@pytest.mark.parametrize("multiple", [1.0412, 1.0558, 1.2100, 1.3102])
def test_known_totals_are_explained(multiple):
    assert judged(CANONICAL_VAL_BYTES.value * multiple, num_tokens=61_111_111).sentence.count(": ") == 1


def test_right_ratios_are_no_fingerprint_and_fingerprints_do_not_overlap():
    right = [*(limit.value for limit in BYTES_PER_TOKEN.values()), CASEOPS_BYTES_PER_TOKEN.value]
    assert not [value for value in right if find_fingerprint(Range(value * 0.997, value * 1.003))]
    spans = sorted((known.bytes_per_token.low, known.bytes_per_token.high) for known in BYTE_COUNT_FINGERPRINTS)
    assert all(before[1] < after[0] for before, after in pairwise(spans))


OWN = Split("demo", 206_358)


@given(st.floats(0.9997, 1.0003))
def test_a_split_that_the_caller_names_takes_the_place_of_the_contests(multiple):
    assert judged(OWN.num_bytes * multiple, num_tokens=89_352, split=OWN).verdict is Verdict.CANONICAL
    assert judged(CANONICAL_VAL_BYTES.value * multiple, split=OWN).verdict is Verdict.MISMATCH


def test_a_part_of_a_named_split_is_a_mismatch_that_names_it_to_the_byte():
    judgement = judged(OWN.num_bytes / 2, num_tokens=44_676, split=OWN)
    assert judgement.verdict is Verdict.MISMATCH
    assert "x0.5000 of the split's 206,358 bytes: only a part of the split was scored" in judgement.sentence


@pytest.mark.parametrize("known", BYTE_COUNT_FINGERPRINTS)
def test_marks_of_errors_that_were_measured_on_the_contests_split_say_nothing_of_another(known):
    ratio = (known.bytes_per_token.low + known.bytes_per_token.high) / 2
    sentence = judged(OWN.num_bytes * 1.5, num_tokens=round(OWN.num_bytes * 1.5 / ratio), split=OWN).sentence
    assert known.name not in sentence
