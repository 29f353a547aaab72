"""Schedules as functions of step and time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trainer.config import Config, OptimizerConfig, QuantConfig, ScheduleConfig
from trainer.schedule import Moment, muon_momentum, progress, training_seconds, warmdown_scale

BY_STEPS = ScheduleConfig(iterations=100, warmdown_iters=40, clock="steps", max_wallclock_seconds=0.0)
BY_TIME = ScheduleConfig(iterations=10_000, warmdown_iters=40, max_wallclock_seconds=600.0)


@pytest.mark.parametrize(("step", "expected"), [(0, 1.0), (60, 1.0), (80, 0.5), (99, 0.025), (100, 0.0)])
def test_warmdown_by_steps_is_linear_to_zero(step, expected):
    assert warmdown_scale(Moment(step=step, elapsed_seconds=0.0), BY_STEPS, 0.0) == pytest.approx(expected)


@pytest.mark.parametrize(("elapsed", "expected"), [(0.0, 1.0), (100.0, 1.0), (580.0, 0.5), (600.0, 0.0), (610.0, 0.0)])
def test_warmdown_by_time_starts_when_its_steps_just_fit(elapsed, expected):
    now = Moment(step=int(elapsed), elapsed_seconds=elapsed)
    assert warmdown_scale(now, BY_TIME, 600.0) == pytest.approx(expected, abs=1e-3)


def test_no_warmdown_is_a_constant():
    schedule = replace(BY_STEPS, warmdown_iters=0)
    assert warmdown_scale(Moment(step=99, elapsed_seconds=1.0), schedule, 0.0) == 1.0


def test_progress_follows_the_clock_of_the_run():
    now = Moment(step=25, elapsed_seconds=300.0)
    assert progress(now, BY_STEPS, 0.0) == 0.25
    assert progress(now, BY_TIME, 600.0) == 0.5


@pytest.mark.parametrize(("step", "expected"), [(0, 0.92), (750, 0.955), (1500, 0.99), (9000, 0.99)])
def test_momentum_rises_over_its_warmup(step, expected):
    optimizer = OptimizerConfig(muon_momentum=0.99, muon_momentum_start=0.92, muon_momentum_warmup_steps=1500)
    assert muon_momentum(step, optimizer) == pytest.approx(expected)


def test_calibration_on_training_tokens_takes_its_time_from_the_cap():
    assert training_seconds(Config()) == 600.0
    assert training_seconds(Config(quant=QuantConfig(gptq="self"))) == 600.0
    assert training_seconds(Config(quant=QuantConfig(gptq="train", calibration_reserve_seconds=8.0))) == 592.0


def test_a_reserve_that_leaves_no_time_is_an_error():
    config = Config(schedule=ScheduleConfig(max_wallclock_seconds=5.0), quant=QuantConfig(gptq="train"))
    with pytest.raises(ValueError, match="leaves no time"):
        training_seconds(config)
