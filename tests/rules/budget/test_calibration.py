from __future__ import annotations

import pytest

from auditor.submission.logs.reader import read_log
from rules.budget.calibration import Calibration, CalibrationData, find_calibration
from rules.headline_runs import SeedRun
from tests.rules.budget.submissions import log_text

SCORE = "final val_bpb:1.08012345 eval_time:100000ms"


def calibration_of(*lines: str, end_ms: int = 590_000) -> Calibration | None:
    log = read_log("train.log", log_text(*lines, SCORE, end_ms=end_ms).encode())
    (run,) = log.runs
    return find_calibration(SeedRun(run, run.seed, None, ()), {log.path: log})


@pytest.mark.parametrize(
    ("lines", "data"),
    [
        (("gptq:calibrating with training data...", "gptq:calibrated 66 layers in 6.8s"), CalibrationData.TRAINING),
        (
            ("GPTQ:collecting Hessians from calibration data...", "GPTQ:collected 67 Hessians in 9s"),
            CalibrationData.TRAINING,
        ),
        (("gptq:generated 64 sequences in 196.7s",), CalibrationData.SELF_GENERATED),
        (("gptq:collecting hessians (AR self-gen)", "gptq:collected hessians in 3.1s"), CalibrationData.SELF_GENERATED),
        (("gptq:collecting hessians batches=64 source=val", "gptq:hessians collected time=9s"), CalibrationData.VALIDATION),
        (("gptq:using validation data for calibration (64 seqs)", "gptq:calibrated in 9s"), CalibrationData.VALIDATION),
    ],
)
def test_what_a_log_says_about_the_data(lines: tuple[str, ...], data: CalibrationData):
    calibration = calibration_of(*lines)
    assert calibration is not None
    assert calibration.data is data


@pytest.mark.parametrize(
    "line",
    [
        "gptq:SKIPPED (SKIP_GPTQ=1)",
        "gptq:using post-training mixed int6 quantization without train-data calibration",
        "Temperature calibration enabled: range=(0.9, 1.1)",
        "Running GPTQ-lite calibration...",
        "GPTQ quantization: 66 layers with full GPTQ, 0 fallback to clip-search",
    ],
)
def test_lines_that_tell_of_no_calibration(line: str):
    assert calibration_of(line) is None


def test_calibration_before_the_end_of_the_loop_is_not_after_it():
    log = read_log("train.log", ("gptq:calibrated 66 layers in 6.8s\n" + log_text(SCORE)).encode())
    (run,) = log.runs
    assert find_calibration(SeedRun(run, run.seed, None, ()), {log.path: log}) is None


def test_all_steps_count_and_a_line_held_twice_counts_once():
    calibration = calibration_of(
        "gptq:calibrated 66 layers in 6.8s", "gptq:calibrated 66 layers in 6.8s", "gptq:calibrated 65 layers in 5.0s"
    )
    assert calibration is not None
    assert calibration.known.low == pytest.approx(590 + 6.8 + 5.0, abs=0.2)


def test_an_excess_of_the_loop_itself_is_left_to_its_own_rule():
    late = calibration_of("gptq:calibrated 66 layers in 6.8s", end_ms=650_000)
    assert late is not None
    assert late.loop_is_over
    assert late.known.high < 607.5


def test_the_whole_quantization_is_a_bound_only_where_the_calibration_is_not_timed():
    bounded = calibration_of("gptq:calibrating batches=64", "gptq:done layers=66 time=6930ms")
    timed = calibration_of("gptq:calibrated 66 layers in 6.8s", "gptq:done in 46.8s")
    assert bounded is not None
    assert timed is not None
    assert bounded.most.high == pytest.approx(596.93, abs=0.1)
    assert bounded.known.high == pytest.approx(590, abs=0.1)
    assert timed.most == timed.known
