"""A whole run: data, training, averaging, quantisation, artifact, reload, evaluation, test-time training, record.

The order is the submission's honesty. The artifact is written before anything is evaluated for the record, the model
that is evaluated is built from the artifact file and nothing else, and validation tokens are learned from only through
`evaluate_with_ttt`, which scores first. The headline is the last evaluation that the settings ask for, not the best.

With several processes all train and evaluate; the main one writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch

from trainer.artifact import SavedArtifact
from trainer.checkpoint import Checkpoints
from trainer.config import Config, from_dict, to_dict
from trainer.data import (
    TrainLoader,
    TrainShards,
    ValidationTokens,
    check_separate,
    open_train_shards,
    open_validation,
    train_pattern,
    val_pattern,
)
from trainer.demo_data import ensure_demo
from trainer.distributed import barrier, is_main, process_group, rank, world_size
from trainer.evaluate import EvalResult, Evaluator, log_result
from trainer.events import EventLog, Read, Write
from trainer.files import write_atomically
from trainer.log import RULE, LineLog, Log, silent, versions
from trainer.model import GPT, count_parameters
from trainer.pack import pack
from trainer.plot import write_curves
from trainer.prepare import TOKENIZER
from trainer.record import About, read_log, render_readme, render_submission
from trainer.run_folder import ARTIFACT_NAME, CHECKPOINT_FOLDER, CONFIG_NAME, CURVE_NAME, EVENTS_NAME, LOG_NAME, SCRIPT_NAME
from trainer.schedule import Moment, training_seconds
from trainer.serialize import load_model, quantization_label, write_artifact
from trainer.shrink import advise
from trainer.size import SubmissionSize
from trainer.tokens import ByteTable, byte_table, load_tokenizer
from trainer.train import Curve, StopReason, Trainer, grad_accum_steps
from trainer.ttt import evaluate_with_ttt

NON_RECORD_TRACK = "non_record_16mb"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """The tokens of a run and their tokenizer, opened and checked against each other."""

    folder: Path
    tokenizer_path: Path
    train: TrainShards
    validation: ValidationTokens
    table: ByteTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to, on the main process; on the others `folder` is None.

    `evaluations` are in the order of their log lines; the last is the headline.
    """

    folder: Path | None
    stop_reason: StopReason
    num_steps: int
    artifact: SavedArtifact | None = None
    evaluations: Mapping[str, EvalResult] = field(default_factory=dict)

    @property
    def is_interrupted(self) -> bool:
        """Did a signal stop the training?"""
        return self.stop_reason is StopReason.INTERRUPTED

    def summary(self) -> list[str]:
        """Lines for whoever started the run."""
        if self.artifact is None:
            return [f"stopped at step {self.num_steps}; continue with --resume {self.folder}"]
        lines = [f"{label}: val_bpb {result.val_bpb:.4f}" for label, result in self.evaluations.items()]
        return [*lines, *self._gain(), f"artifact: {self.artifact.path}, {self.artifact.num_bytes:,} bytes"]

    def _gain(self) -> list[str]:
        results = list(self.evaluations.values())
        if len(results) < 2:
            return []
        change = results[-1].val_bpb - results[0].val_bpb
        return [f"test-time training {'improves' if change < 0 else 'does not improve'} val_bpb: {change:+.4f}"]


def open_data(config: Config) -> RunData:
    """Open shards and tokenizer, the embedded demo's without a path.

    ValueError says which file is missing or does not fit the settings.
    """
    if config.data.path:
        return open_folder(config, Path(config.data.path), Path(config.data.tokenizer_path))
    folder = ensure_demo()
    return open_folder(config, folder, folder / TOKENIZER)


def open_folder(config: Config, folder: Path, tokenizer_path: Path) -> RunData:
    """Open the shards of a folder and their tokenizer; ValueError as for `open_data`."""
    processor = load_tokenizer(tokenizer_path, config.model.vocab_size)
    table = byte_table(processor)
    looks_back = config.model.smear_gate or config.model.bigram_buckets
    if looks_back and table.bos_token_id != config.model.bos_token_id:
        raise ValueError(f"{tokenizer_path}: documents start with token {table.bos_token_id}; set model.bos_token_id to it")
    train = open_train_shards(train_pattern(folder))
    check_separate(train, val_pattern(folder))
    validation = open_validation(val_pattern(folder))
    return RunData(folder=folder, tokenizer_path=tokenizer_path, train=train, validation=validation, table=table)


def build_model(config: Config, device: torch.device) -> GPT:
    """A fresh model of this configuration on this device, at the run's precision."""
    model = GPT(config.model, seed=config.run.seed).to(device)
    model.compute_dtype = compute_dtype(config, device)
    return model


def compute_dtype(config: Config, device: torch.device) -> torch.dtype:
    """The type of the activations."""
    precision = config.run.precision
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return torch.bfloat16 if precision == "bf16" else torch.float32


def new_loader(config: Config, data: RunData) -> TrainLoader:
    """The training stream from its start, for this process."""
    return TrainLoader(
        data.train,
        micro_batch_tokens=config.data.train_batch_tokens // config.run.micro_steps,
        seq_len=config.data.seq_len,
        vocab_size=config.model.vocab_size,
        rank=rank(),
        world_size=world_size(),
    )


def prepare_folder(folder: Path, *, overwrite: bool) -> None:
    """Make the run's folder; ValueError if it cannot be written or holds a run already."""
    existing = [path for path in (folder / LOG_NAME, folder / CHECKPOINT_FOLDER) if path.exists()]
    if existing and not overwrite:
        raise ValueError(f"{folder}: holds a run already; --resume {folder} continues it, --overwrite replaces it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for checkpoint in Checkpoints(folder / CHECKPOINT_FOLDER, 1).paths():
            checkpoint.unlink()
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written: {error.strerror}") from error


def run(config: Config, *, overwrite: bool = False, quiet: bool = False) -> Outcome:
    """A run from step 0. ValueError for everything that the user can mend."""
    with process_group(config.run.device) as device:
        if is_main():
            prepare_folder(Path(config.run.output), overwrite=overwrite)
        barrier()
        return _run(config, device, resume_from=None, quiet=quiet)


def resume(folder: Path, *, quiet: bool = False) -> Outcome:
    """Continue the run of this folder from its newest checkpoint, with the settings that it was started with."""
    state = Checkpoints(folder / CHECKPOINT_FOLDER, 1).load_last()
    config = from_dict(state["config"])
    config = replace(config, run=replace(config.run, output=str(folder)))  # it may have been moved
    with process_group(config.run.device) as device:
        return _run(config, device, resume_from=state, quiet=quiet)


def _run(config: Config, device: torch.device, *, resume_from: dict[str, Any] | None, quiet: bool) -> Outcome:
    folder = Path(config.run.output)
    data = open_data(config)
    keep_bytes = resume_from["log_bytes"] if resume_from else 0
    log = Log(folder / LOG_NAME, quiet=quiet, keep_bytes=keep_bytes) if is_main() else silent()
    if is_main():
        (folder / EVENTS_NAME).unlink(missing_ok=True)  # events begin after training, which is done again
    with log, EventLog(folder / EVENTS_NAME if is_main() else None) as events:
        events.emit(Read(what=train_pattern(data.folder), phase="train"))
        evaluator = Evaluator(data.validation, data.table, config.eval, device=device)
        model = build_model(config, device)
        checkpoints = Checkpoints(folder / CHECKPOINT_FOLDER, config.run.keep_checkpoints)
        trainer = Trainer(
            config, model, lambda: new_loader(config, data), log, validate=lambda: evaluator.full_pass(model),
            checkpoints=checkpoints, curve=Curve(), on_step=partial(_advance_bar, log),
        )  # fmt: skip
        if resume_from is None:
            log_settings(log, config, data, model)
        else:
            trainer.restore(resume_from)
        code_bytes = _pack_script(folder, config, log) if is_main() else 0
        reason = trainer.run()
        if reason is StopReason.INTERRUPTED:
            return Outcome(folder=folder if is_main() else None, stop_reason=reason, num_steps=trainer.step)
        return _finish(config, trainer, evaluator, log, events, reason, code_bytes)


def _pack_script(folder: Path, config: Config, log: Log) -> int:
    """Put the settings of this run and its script into its folder; returns the bytes of code that count.

    Where no script can be made, all modules of the trainer count.
    """
    write_atomically(folder / CONFIG_NAME, (json.dumps(to_dict(config), indent=2) + "\n").encode())
    try:
        script = pack(config).plain
    except ValueError as error:
        modules = list(Path(__file__).parent.rglob("*.py"))
        log.line(f"pack: no script: {error}; all {len(modules)} modules are counted")
        return sum(path.stat().st_size for path in modules)
    write_atomically(folder / SCRIPT_NAME, script)
    return len(script)


def _finish(
    config: Config,
    trainer: Trainer,
    evaluator: Evaluator,
    log: Log,
    events: EventLog,
    reason: StopReason,
    code_bytes: int,
) -> Outcome:
    folder = Path(config.run.output)
    apply_average(trainer, log)
    path = folder / ARTIFACT_NAME
    saved = None
    if is_main():
        saved = write_artifact(
            path, config, trainer.model, trainer.loader, log,
            elapsed_seconds=trainer.elapsed_seconds, code_bytes=code_bytes,
        )  # fmt: skip
        size = SubmissionSize(code_bytes=code_bytes, model_bytes=saved.num_bytes)
        for text in advise(trainer.model.state_dict(), config.quant, size) if size.over_bytes else ():
            log.line(text)
        events.emit(Write(what=ARTIFACT_NAME, num_bytes=saved.num_bytes))
    evaluations = evaluate_saved(path, saved, trainer, evaluator, log, events)
    if is_main():
        _draw_curve(folder, trainer)
        _describe_run(folder, config)
    return Outcome(
        folder=folder if is_main() else None,
        stop_reason=reason,
        num_steps=trainer.step,
        artifact=saved,
        evaluations=evaluations,
    )


def log_settings(log: LineLog, config: Config, data: RunData, model: GPT) -> None:
    """What a log says before its first step."""
    optimizer, schedule = config.optimizer, config.schedule
    for text in (RULE, *versions(), RULE):
        log.line(text, console=False)
    embed_lr = optimizer.tied_embed_lr if config.model.tie_embeddings else optimizer.embed_lr
    head_lr = 0.0 if config.model.tie_embeddings else optimizer.head_lr
    attention = "gqa" if config.model.num_heads != config.model.num_kv_heads else "mha"
    for text in (
        f"val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path={data.tokenizer_path}",
        f"train_loader:dataset:{data.folder.name} train_shards:{len(data.train.shards)}",
        f"val_loader:shards pattern={val_pattern(data.folder)} tokens:{data.validation.num_targets}",
        f"model_params:{count_parameters(model)}",
        f"world_size:{world_size()} grad_accum_steps:{grad_accum_steps(config.run.micro_steps)}",
        f"attention_mode:{attention} num_heads:{config.model.num_heads} num_kv_heads:{config.model.num_kv_heads}",
        f"tie_embeddings:{config.model.tie_embeddings} embed_lr:{embed_lr} head_lr:{head_lr} "
        f"matrix_lr:{optimizer.matrix_lr} scalar_lr:{optimizer.scalar_lr}",
        f"train_batch_tokens:{config.data.train_batch_tokens} train_seq_len:{config.data.seq_len} "
        f"iterations:{schedule.iterations} warmup_steps:{schedule.warmup_steps} "
        f"max_wallclock_seconds:{schedule.max_wallclock_seconds:.3f}",
        f"seed:{config.run.seed}",
    ):
        log.line(text)


def apply_average(trainer: Trainer, log: LineLog) -> None:
    """Put the average of the weights in their place, if there is one."""
    if trainer.averager is None:
        return
    num_averaged = trainer.averager.apply()
    kind = trainer.config.schedule.averaging
    if num_averaged:
        log.line(f"{kind}:applying averaged {num_averaged} checkpoints" if kind == "swa" else "ema:applying EMA weights")
    else:
        log.line(f"{kind}:not applied, {trainer.averager.num_averaged} states are too few")


def evaluate_artifact(path: Path, config: Config) -> dict[str, EvalResult]:
    """Measure an artifact as the end of a run does; the model's settings come from the file."""
    with process_group(config.run.device) as device:
        model = load_model(path, device, compute_dtype(config, device))
        data = open_data(replace(config, model=model.config))
        evaluator = Evaluator(data.validation, data.table, config.eval, device=device)
        return evaluate(config, model, evaluator, "artifact", silent())


def evaluate_saved(
    path: Path,
    saved: SavedArtifact | None,
    trainer: Trainer,
    evaluator: Evaluator,
    log: LineLog,
    events: EventLog | None = None,
) -> dict[str, EvalResult]:
    """Measure the artifact that the main process just wrote, read back from its file; `saved` is None on the others."""
    barrier()
    model = load_model(path, trainer.device, trainer.model.compute_dtype)
    if events is not None:
        events.emit(Read(what=path.name, phase="evaluate"))
    compressor = saved.compressor if saved is not None else "packed"
    label = f"final_{quantization_label(trainer.config)}_{compressor}_roundtrip"
    return evaluate(trainer.config, model, evaluator, label, log, events)


def evaluate(
    config: Config, model: GPT, evaluator: Evaluator, label: str, log: LineLog, events: EventLog | None = None
) -> dict[str, EvalResult]:
    """Every evaluation that the settings ask for, logged, in this order; the last is the headline."""
    log.line(f"final_eval_mode:sliding_window stride:{config.eval.stride}")
    scored = evaluator.sliding(model, label, events)
    log_result(log.line, label, scored)
    evaluations = {label: scored}
    if config.ttt.kind != "off":
        label = f"final_{config.ttt.kind}_ttt"
        adapted = evaluate_with_ttt(model, evaluator, config.ttt, label=label, events=events, log=log.line)
        log_result(log.line, label, adapted)
        evaluations[label] = adapted
    return evaluations


def _advance_bar(log: Log, trainer: Trainer, now: Moment) -> None:
    total_steps, limit = trainer.config.schedule.iterations, training_seconds(trainer.config)
    elapsed = max(now.elapsed_seconds, 1e-9)
    speed = now.step * trainer.config.data.train_batch_tokens / elapsed
    remaining_seconds = (total_steps - now.step) * elapsed / now.step
    loss = f"loss {trainer.curve.train[-1][1]:.3f} " if trainer.curve is not None else ""
    text = f"step {now.step} {loss}{speed:,.0f} tokens/s "
    if limit:
        text += f"wallclock left {max(limit - elapsed, 0):.0f}s "
        remaining_seconds = min(remaining_seconds, limit - elapsed)
    done = max(now.step / total_steps, elapsed / limit if limit else 0.0)
    log.advance(done, f"{text}ETA {max(remaining_seconds, 0):.0f}s")


def _draw_curve(folder: Path, trainer: Trainer) -> None:
    if trainer.curve is None:
        return
    curves = {
        "train (one batch)": [(step, loss) for step, loss in trainer.curve.train],
        "validation": [(step, loss) for step, loss, _ in trainer.curve.val],
    }
    write_curves(folder / CURVE_NAME, f"{trainer.config.run.name}: loss", "step", "nats per token", curves)


def _describe_run(folder: Path, config: Config) -> None:
    """README.md and submission.json of this run alone, from its log; `pgolf record` makes those of several seeds."""
    about = About(
        name=config.run.name,
        author=config.run.author,
        github_id=config.run.github_id,
        blurb=f"One run of the {config.run.name} settings.",
        track=NON_RECORD_TRACK,
        day=date.today(),
    )
    runs = [read_log(folder / LOG_NAME)]
    (folder / "submission.json").write_text(json.dumps(render_submission(runs, about), indent=2) + "\n")
    (folder / "README.md").write_text(render_readme(runs, about))
