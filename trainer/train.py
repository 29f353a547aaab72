"""The training loop: from step 0 or a checkpoint to one stated reason to stop.

One step is `micro_steps` forward and backward passes over all processes, one averaged gradient, one update. The clock
counts training only: it stands still while the model is validated, as in the contest's reference. All processes follow
the main process's clock, so that they take the same decisions.

Late QAT and averaging hang into the step here and are defined elsewhere. What watches a run (the curve of its losses, a
progress bar, checkpoints) is handed in and may be left out, as a packed script does; without checkpoints a signal ends the
process at once. What the loop does not do: evaluation of the final model, quantisation and everything after it (see
pipeline.py).
"""

from __future__ import annotations

import math
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from trainer.averaging import Averager
from trainer.checkpoint import Checkpoints
from trainer.config import Config, to_dict
from trainer.data import TrainLoader
from trainer.distributed import average_gradients, from_main, is_main, mean_over_processes, world_size
from trainer.evaluate import EvalResult
from trainer.log import LineLog
from trainer.model import GPT
from trainer.optimizers import Optimizers
from trainer.qat import LateQAT
from trainer.schedule import Moment, muon_momentum, progress, training_seconds, warmdown_scale

FIRST_STEPS_LOGGED = 10


class StopReason(StrEnum):
    """Why the loop ended."""

    ITERATIONS = "iterations"
    WALLCLOCK = "wallclock_cap"
    INTERRUPTED = "interrupted"


@dataclass(slots=True)
class Curve:
    """What was measured along the way: (step, loss) of training batches, (step, loss, bpb) of validation."""

    train: list[tuple[int, float]] = field(default_factory=list)
    val: list[tuple[int, float, float]] = field(default_factory=list)


def grad_accum_steps(micro_steps: int) -> int:
    """Forward passes of each process per step; ValueError if they do not divide evenly."""
    if micro_steps % world_size():
        raise ValueError(
            f"run.micro_steps={micro_steps}: {world_size()} processes do not divide it; set a multiple of {world_size()}"
        )
    return micro_steps // world_size()


class Trainer:
    """One run in progress. `validate` scores the current model; None leaves validation out.

    `curve` collects the losses, `checkpoints` keeps states to resume from, `on_step` is called after every step with this
    object and the moment.
    """

    def __init__(
        self,
        config: Config,
        model: GPT,
        new_loader: Callable[[], TrainLoader],
        log: LineLog,
        *,
        validate: Callable[[], EvalResult] | None = None,
        checkpoints: Checkpoints | None = None,
        curve: Curve | None = None,
        on_step: Callable[[Trainer, Moment], None] | None = None,
    ) -> None:
        self.config = config
        self.model = model
        self.log = log
        self.device = model.tok_emb.weight.device
        self.curve = curve
        self._on_step = on_step
        self._new_loader = new_loader
        self._validate = validate
        self._checkpoints = checkpoints
        self._limit_seconds = training_seconds(config)
        self._accumulation = grad_accum_steps(config.run.micro_steps)
        self._loss = self._compiled_loss()
        self._interrupted = False
        self.step = 0
        self._elapsed_before = 0.0
        self._started: float | None = None
        self._saved_step = -1
        self.loader = new_loader()
        self.optimizers = Optimizers(model, config.optimizer)
        self.averager = Averager(model, config.schedule) if config.schedule.averaging != "off" else None
        self.qat = LateQAT(model, config.quant) if config.quant.qat else None

    # ---- the loop ----

    def run(self) -> StopReason:
        """Train until there is a reason to stop, which is logged and returned."""
        if self.step == 0:
            self._warm_up()
        with _stop_on_signal(self._interrupt) if self._checkpoints is not None else nullcontext():
            self._start_clock()
            now = self._now()
            while (reason := self._stop_reason(now)) is None:
                if self._is_due(self.config.eval.val_every) or self.step == 0:
                    self._measure()
                now = self._train_step(now)
                if self._checkpoints is not None and self._is_due(self.config.run.checkpoint_every):
                    self.save()
            self._stop_clock()
        if self._checkpoints is not None and self.step != self._saved_step:
            self.save()
        if reason is not StopReason.INTERRUPTED:
            self._measure()
        self._log_stop(reason)
        return reason

    def _train_step(self, before: Moment) -> Moment:
        """One update; returns the moment after it."""
        scale = warmdown_scale(before, self.config.schedule, self._limit_seconds)
        if self.qat is not None and not self.qat.active:
            self._activate_qat_if_due(before)
        self.optimizers.set_rates(scale=scale, momentum=muon_momentum(self.step, self.config.optimizer))
        loss = self._accumulate_gradients(self.loader)
        self.optimizers.step()
        self.step += 1
        if self.averager is not None and self.averager.update(self.step, scale):
            self.log.line(f"{self.config.schedule.averaging}:start step:{self.step}")
        now = self._now()
        if self._is_reported():
            self._report(now, float(mean_over_processes(loss)))
        if self._on_step is not None:
            self._on_step(self, now)
        return now

    def _accumulate_gradients(self, loader: TrainLoader) -> Tensor:
        """Mean gradient of one step's batch over all processes; returns this process's mean loss."""
        total = torch.zeros((), device=self.device)
        with self.qat.rounded() if self.qat is not None else nullcontext():
            for _ in range(self._accumulation):
                x_BT, y_BT = loader.next_batch(self.device)
                loss = self._loss(x_BT, y_BT)
                (loss / self._accumulation).backward()
                total += loss.detach()
        average_gradients(self.optimizers.parameters)
        return total / self._accumulation

    def _stop_reason(self, now: Moment) -> StopReason | None:
        if self.step >= self.config.schedule.iterations:
            return StopReason.ITERATIONS
        if self._limit_seconds and now.elapsed_seconds >= self._limit_seconds:
            return StopReason.WALLCLOCK
        return StopReason.INTERRUPTED if self._interrupted else None

    def _is_due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _is_reported(self) -> bool:
        early = self.step <= FIRST_STEPS_LOGGED
        return early or self._is_due(self.config.run.log_every)

    def _activate_qat_if_due(self, now: Moment) -> None:
        share = progress(now, self.config.schedule, self._limit_seconds)
        if share < self.config.quant.qat_start_frac:
            return
        self._set_qat_active()
        clock = "wallclock" if self.config.schedule.clock == "wallclock" else "steps"
        elapsed = f"elapsed:{1000 * now.elapsed_seconds:.0f}ms ({100 * share:.1f}% {clock})"
        self.log.line(f"qat:activated step:{self.step} {elapsed}")

    def _set_qat_active(self) -> None:
        assert self.qat is not None
        self.qat.active = True
        for group in self.optimizers.groups:
            group["base_lr"] *= self.config.quant.qat_lr_factor

    # ---- before the clock starts ----

    def _compiled_loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        choice = self.config.run.compile
        if choice == "on" or (choice == "auto" and self.device.type == "cuda"):
            return torch.compile(self.model.loss, dynamic=False, fullgraph=True)
        return self.model.loss

    def _warm_up(self) -> None:
        """Run some steps on throw-away state: compilers and caches are warm, weights and data position untouched."""
        num_steps = self.config.schedule.warmup_steps
        if num_steps == 0:
            return
        weights = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        loader = self._new_loader()
        for index in range(num_steps):
            self._accumulate_gradients(loader)
            self.optimizers.step()
            self.log.line(f"warmup_step:{index + 1}/{num_steps}")
        self.model.load_state_dict(weights)
        self.optimizers = Optimizers(self.model, self.config.optimizer)

    # ---- the clock ----

    def _start_clock(self) -> None:
        self._synchronise()
        self._started = time.perf_counter()

    def _stop_clock(self) -> None:
        self._synchronise()
        self._elapsed_before = self.elapsed_seconds
        self._started = None

    @property
    def elapsed_seconds(self) -> float:
        """Seconds of training so far, validation left out."""
        return self._elapsed_before + (0.0 if self._started is None else time.perf_counter() - self._started)

    def _synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _now(self) -> Moment:
        elapsed, interrupted = from_main((self.elapsed_seconds, float(self._interrupted)), self.device)
        self._interrupted = bool(interrupted)
        return Moment(step=self.step, elapsed_seconds=elapsed)

    # ---- reports ----

    def _measure(self) -> None:
        """Validate with the clock standing still."""
        if self._validate is None:
            return
        is_running = self._started is not None
        if is_running:
            self._stop_clock()
        result = self._validate()
        if self.curve is not None:
            self.curve.val.append((self.step, result.val_loss, result.val_bpb))
        scores = f"val_loss:{result.val_loss:.4f} val_bpb:{result.val_bpb:.4f}"
        self.log.line(f"step:{self.step}/{self.config.schedule.iterations} {scores} {self._time_text()}")
        if is_running:
            self._start_clock()

    def _report(self, now: Moment, train_loss: float) -> None:
        if not math.isfinite(train_loss):
            raise ValueError(f"train_loss is {train_loss} at step {self.step}: {self._last_good()}")
        if self.curve is not None:
            self.curve.train.append((self.step, train_loss))
        self.log.line(
            f"step:{self.step}/{self.config.schedule.iterations} train_loss:{train_loss:.4f} {self._time_text(now)}"
        )

    def _last_good(self) -> str:
        if self._checkpoints is None:
            return "there is no earlier checkpoint"
        paths = self._checkpoints.paths()
        return f"the last good checkpoint is {paths[-1]}" if paths else "there is no earlier checkpoint"

    def _time_text(self, now: Moment | None = None) -> str:
        elapsed_ms = 1000 * (now.elapsed_seconds if now else self._elapsed_before)
        return f"train_time:{elapsed_ms:.0f}ms step_avg:{elapsed_ms / max(self.step, 1):.2f}ms"

    def _log_stop(self, reason: StopReason) -> None:
        elapsed_ms = 1000 * self._elapsed_before
        name = "stopping" if reason is StopReason.ITERATIONS else "stopping_early"
        self.log.line(f"{name}: {reason} train_time:{elapsed_ms:.0f}ms step:{self.step}/{self.config.schedule.iterations}")
        self.log.line(_peak_memory(self.device))

    # ---- checkpoints ----

    def save(self) -> None:
        """Write a checkpoint. Every process must call this; the main one writes.

        ValueError if a weight is not finite: a checkpoint of it would push a good one out.
        """
        self._require_finite_weights()
        self._saved_step = self.step
        state = {
            "config": to_dict(self.config),
            "world_size": world_size(),
            "elapsed_seconds": self.elapsed_seconds,
            "model": self.model.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "averager": None if self.averager is None else self.averager.state_dict(),
            "loader": self.loader.state_dict(),
            "qat_active": self.qat is not None and self.qat.active,
            "curve": None if self.curve is None else {"train": self.curve.train, "val": self.curve.val},
            "log_bytes": self.log.num_bytes,
        }
        if is_main() and self._checkpoints is not None:
            self._checkpoints.save(self.step, state)

    def _require_finite_weights(self) -> None:
        for name, weight in self.model.named_parameters():
            if not bool(weight.isfinite().all()):
                raise ValueError(f"{name} is not finite after step {self.step}: {self._last_good()}")

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `save` wrote."""
        self.step = self._saved_step = state["step"]
        self._elapsed_before = state["elapsed_seconds"]
        self.model.load_state_dict(state["model"])
        if state["qat_active"]:
            self._set_qat_active()  # before Adam's groups, which were saved with the factor applied
        self.optimizers.load_state_dict(state["optimizers"])
        if self.averager is not None:
            self.averager.load_state_dict(state["averager"])
        self.loader.load_state_dict(state["loader"])
        if self.curve is not None and state["curve"] is not None:
            self.curve.train = [tuple(point) for point in state["curve"]["train"]]
            self.curve.val = [tuple(point) for point in state["curve"]["val"]]
        self.log.line(f"resumed step:{self.step} train_time:{1000 * self._elapsed_before:.0f}ms")

    def _interrupt(self) -> None:
        self._interrupted = True


@contextmanager
def _stop_on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first interrupt or termination signal end the loop in order; a second one interrupts at once."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in signals]

    def handle(number: int, frame: object) -> None:
        stop()
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)

    for number in signals:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _peak_memory(device: torch.device) -> str:
    if device.type == "cuda":
        allocated, reserved = (
            peak(device) >> 20 for peak in (torch.cuda.max_memory_allocated, torch.cuda.max_memory_reserved)
        )
        return f"peak memory allocated: {allocated} MiB reserved: {reserved} MiB"
    return f"peak memory resident: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB"
