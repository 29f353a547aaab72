"""What changes over a run, as pure functions of the step and of the time spent.

A run is measured by one of two clocks. By wallclock, warm-down starts when the remaining time is what `warmdown_iters`
steps take at the speed so far, and ends with the time; this is how the contest's reference does it, and it depends on
the machine. By steps, both are fixed in advance, and equal seeds give equal weights everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainer.config import Config, OptimizerConfig, ScheduleConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Steps done and seconds of training spent."""

    step: int
    elapsed_seconds: float


def training_seconds(config: Config) -> float:
    """Seconds that the loop may take: the cap less what is kept for calibration; 0 is no limit."""
    reserve = config.quant.calibration_reserve_seconds if config.quant.gptq == "train" else 0.0
    cap = config.schedule.max_wallclock_seconds
    if 0 < cap <= reserve:
        raise ValueError(f"schedule.max_wallclock_seconds={cap}: leaves no time beside the reserve of {reserve} s")
    return cap - reserve if cap else 0.0


def progress(now: Moment, schedule: ScheduleConfig, limit_seconds: float) -> float:
    """Share of the run that is done, 0 to 1, by the run's clock."""
    if schedule.clock == "wallclock":
        return min(now.elapsed_seconds / limit_seconds, 1.0)
    return now.step / schedule.iterations if schedule.iterations else 1.0


def warmdown_scale(now: Moment, schedule: ScheduleConfig, limit_seconds: float) -> float:
    """Factor on all learning rates: 1, then linearly to 0."""
    if schedule.warmdown_iters == 0:
        return 1.0
    by_steps = (schedule.iterations - now.step) / schedule.warmdown_iters
    if schedule.clock == "steps":
        return min(max(by_steps, 0.0), 1.0)
    step_seconds = now.elapsed_seconds / max(now.step, 1)
    remaining_seconds = max(limit_seconds - now.elapsed_seconds, 0.0)
    return min(remaining_seconds / max(schedule.warmdown_iters * step_seconds, 1e-12), 1.0)


def muon_momentum(step: int, optimizer: OptimizerConfig) -> float:
    """Linear from its start to its end over the warm-up."""
    if optimizer.muon_momentum_warmup_steps == 0:
        return optimizer.muon_momentum
    share = min(step / optimizer.muon_momentum_warmup_steps, 1.0)
    return (1 - share) * optimizer.muon_momentum_start + share * optimizer.muon_momentum
