from __future__ import annotations

import pytest

from auditor.submission.logs.reader import read_log
from rules.budget.headline_evaluation import HeadlineEvaluation, headline_evaluation
from tests.rules.budget.submissions import log_text

SERIALIZED = "Serialized model int6+zlib: 15800000 bytes"


def evaluation_of(*lines: str, val_bpb: float = 1.0801) -> HeadlineEvaluation | None:
    """The evaluation behind the first line that carries `val_bpb`."""
    log = read_log("train.log", log_text(*lines).encode())
    (run,) = log.runs
    metric = next(metric for metric in run.metrics if round(metric.val_bpb, 4) == val_bpb)
    return headline_evaluation(run, metric, log)


def seconds(evaluation: HeadlineEvaluation | None) -> tuple[float, list[float], list[float]]:
    assert evaluation is not None
    return (
        evaluation.own.seconds,
        [each.seconds for each in evaluation.outside],
        [each.seconds for each in evaluation.unsure],
    )


def test_the_time_stands_with_another_printing_of_the_score():
    lines = ("ttt_sliding:done val_bpb=1.080123 elapsed=409.8s", "legal_ttt val_bpb:1.0801 eval_time:410268ms")
    assert seconds(evaluation_of(*lines, "legal_ttt_exact val_bpb:1.08012345")) == (410.268, [], [])


def test_a_longer_total_replaces_the_timer_and_an_equal_one_does_not():
    line = "quantized_ttt val_bpb:1.08012345 eval_time:500000ms"
    assert seconds(evaluation_of(line, "total_eval_time:561.2s"))[0] == 561.2
    assert seconds(evaluation_of(line, "total_eval_time:500.0s"))[0] == 500.0


def test_the_total_of_a_later_evaluation_is_not_this_ones():
    lines = ("sliding val_bpb:1.08012345 eval_time:75000ms", "quantized_ttt val_bpb:1.0700 eval_time:700000ms")
    assert seconds(evaluation_of(*lines, "total_eval_time:700.5s"))[0] == 75.0


def test_a_total_with_compile_time_is_no_evaluation_time():
    line = "quantized_ttt val_bpb:1.08012345 eval_time:500000ms"
    assert seconds(evaluation_of(line, "total_eval_time_with_compile:661.3s"))[0] == 500.0


def test_a_score_without_any_time_has_none():
    assert evaluation_of("sliding val_bpb:1.08012345", "other val_bpb:1.2 eval_time:75000ms") is None


def test_a_running_value_belongs_to_the_evaluation_that_ends_next():
    lines = ("ttp: b97/782 bl:2.45 bb:1.15 rl:2.29 rb:1.0801", "quantized_ttt val_bpb:1.0900 eval_time:640460ms")
    assert seconds(evaluation_of(*lines))[0] == 640.46


SCORE = "final val_bpb:1.08012345 eval_time:100000ms"


@pytest.mark.parametrize(
    ("lines", "outside", "unsure"),
    [
        (("ttt:done elapsed=60.0s", SCORE), [], [60.0]),
        (("ttt:done elapsed=160.0s", SCORE), [160.0], []),
        (("ttt:done elapsed=100.4s", SCORE), [], []),
        (("ttt:done elapsed=60.0s", SERIALIZED, SCORE), [60.0], []),
        (("ngram table built in 60.0s", SERIALIZED, SCORE), [], []),
        (("hints precompute_outside_timer_done elapsed=60.0s", SCORE), [60.0], []),
        (("ngram precompute done elapsed=60.0s", "beginning eval timer", SCORE), [60.0], []),
        (("beginning eval timer", "ngram precompute done elapsed=60.0s", SCORE), [], []),
        (("ttt:done elapsed=60.0s", "ttt val_bpb:1.0900 eval_time:61000ms", SCORE), [], []),
        (("ttt:done elapsed=60.0s", "ttt:elapsed=60.0s", SERIALIZED, SCORE), [60.0], []),
        (("phase1_ttt: done in 60.0s", "phase2_ttt: done in 30.0s", SERIALIZED, SCORE), [60.0, 30.0], []),
        (("ngram_prefill:rank1 in 20.0s", "ngram_prefill:rank2 in 60.0s", SCORE), [], [60.0]),
    ],
    ids=[
        "shorter than the evaluation: may be inside",
        "longer than the evaluation: outside",
        "a timer around the evaluation",
        "before the model was serialised: outside",
        "a table stored in the model: training data",
        "the line says so",
        "before the timer started",
        "after the timer started",
        "part of another evaluation",
        "printed twice",
        "two phases",
        "ranks at the same time",
    ],
)
def test_on_which_side_of_the_timer_other_work_ran(lines: tuple[str, ...], outside: list[float], unsure: list[float]):
    assert seconds(evaluation_of(*lines))[1:] == (outside, unsure)


def test_the_whole_counts_each_other_evaluation_and_the_warmup_once():
    evaluation = evaluation_of(
        "roundtrip val_bpb:1.1000 eval_time:20000ms",
        "roundtrip_exact val_bpb:1.10001234",
        "ttt_sliding:done val_bpb=1.090000 elapsed=300.0s",
        "ttt val_bpb:1.0900 eval_time:301000ms",
        "ttt_lora:compile warmup done (50.0s)",
        SCORE,
    )
    assert evaluation is not None
    assert evaluation.whole.low == pytest.approx(100 + 20 + 300 + 50, abs=0.2)
    assert evaluation.least.low == pytest.approx(100, abs=0.1)
