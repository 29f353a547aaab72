"""Every setting of a run, typed, in one frozen tree of dataclasses.

Why not environment reads or flags: a setting has one name (`section.key`), one type, one default and one sentence, and
what a run used can be written into its checkpoint and artifact and read back. Three kinds of mistakes are errors, not
surprises: a name that does not exist, a value of the wrong type or range, and a setting that would change nothing
because the option that it refines is off. The last is declared beside each field (`needs`) and checked for the values a
user gives; a preset may leave such a field at any value.

What it does not cover: whether a combination is a good idea, and anything that depends on the data on disk.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Condition = tuple[str, ...]


def setting(default: Any, help_text: str, needs: str = "") -> Any:  # noqa: ANN401 - typed by the field that it fills
    """A field with its sentence; `needs` says when it has an effect.

    `needs` is "name" (that field, of the same section or as section.name, must be on: not false, 0, "" or "off"),
    "name=a|b" (must have one of these values), or several of these joined by " or ".
    """
    return field(default=default, metadata={"help": help_text, "needs": needs})


def _require(condition: bool, name: str, value: object, reason: str) -> None:
    if not condition:
        raise ValueError(f"{name}={value!r}: {reason}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The shape of the model and its options. An option that is off has no parameters and costs nothing."""

    vocab_size: int = setting(1024, "number of tokens; must be that of the tokenizer")
    num_layers: int = setting(9, "transformer blocks; the first half stores U-net skips, the second half uses them")
    model_dim: int = setting(512, "width of the residual stream")
    num_heads: int = setting(8, "query heads")
    num_kv_heads: int = setting(4, "key and value heads; divides num_heads")
    mlp_mult: float = setting(2.0, "hidden width of the MLP as a multiple of model_dim")
    activation: Literal["relu2", "leaky_relu2"] = setting("relu2", "activation of the MLP, squared")
    leaky_slope: float = setting(0.5, "slope below zero", needs="activation=leaky_relu2")
    tie_embeddings: bool = setting(True, "share the token embedding with the output head")
    logit_softcap: float = setting(30.0, "logits are bounded by this through tanh")
    qk_gain_init: float = setting(1.5, "initial gain of each query head after normalisation")
    rope_base: float = setting(10_000.0, "base of the rotary frequencies")
    rope_dims: int = setting(0, "rotate only this many dimensions of each head; 0 rotates all")
    norm_depth_scale: bool = setting(False, "scale the normalised input of block i by 1/sqrt(i + 1)")
    xsa_layers: int = setting(0, "exclusive self-attention on the last so many layers")
    smear_gate: bool = setting(False, "blend each embedding with the one before it, never across a document start")
    bigram_buckets: int = setting(0, "rows of the hashed bigram embedding; 0 is off")
    bigram_dim: int = setting(128, "width of the bigram embedding before projection", needs="bigram_buckets")
    bos_token_id: int = setting(1, "token that starts a document", needs="smear_gate or bigram_buckets")
    init: Literal["default", "orthogonal"] = setting("default", "initialisation of the matrices")
    output_init: Literal["zero", "scaled"] = setting(
        "zero",
        "output projections of attention and MLP at the start: zero, or orthogonal over sqrt(2 num_layers)",
        needs="init=orthogonal",
    )
    embedding_init: Literal["normal", "overtone"] = setting("normal", "spectrum of the tied token embedding at the start")
    embedding_init_std: float = setting(0.005, "standard deviation of the tied embedding", needs="tie_embeddings")
    resid_mix_init: Literal["current", "phased"] = setting(
        "current", "residual mix at the start: all current stream, or a sigmoid over depth from the embedding to it"
    )

    def __post_init__(self) -> None:
        for name in ("vocab_size", "num_layers", "model_dim", "num_heads", "num_kv_heads", "mlp_mult", "logit_softcap"):
            _require(getattr(self, name) > 0, f"model.{name}", getattr(self, name), "must be positive")
        _require(self.model_dim % self.num_heads == 0, "model.num_heads", self.num_heads, f"must divide {self.model_dim}")
        _require(self.num_heads % self.num_kv_heads == 0, "model.num_kv_heads", self.num_kv_heads, "must divide num_heads")
        _require(self.head_dim % 2 == 0, "model.model_dim", self.model_dim, "rotary needs an even head width")
        _require(0 <= self.xsa_layers <= self.num_layers, "model.xsa_layers", self.xsa_layers, "must be 0 to num_layers")
        _require(
            self.rope_dims % 2 == 0 and 0 <= self.rope_dims <= self.head_dim,
            "model.rope_dims",
            self.rope_dims,
            f"must be even and at most the head width, {self.head_dim}",
        )
        _require(self.bigram_buckets != 1, "model.bigram_buckets", 1, "one bucket is for document starts; 0 or 2 and more")
        _require(
            self.tie_embeddings or self.embedding_init == "normal",
            "model.embedding_init",
            self.embedding_init,
            "shapes the tied embedding only",
        )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.model_dim // self.num_heads

    @property
    def mlp_hidden(self) -> int:
        """Hidden width of the MLP."""
        return int(self.mlp_mult * self.model_dim)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """Muon for the matrices, Adam with decoupled weight decay for embeddings, head and small parameters."""

    matrix_lr: float = setting(0.04, "learning rate of Muon: the spectral size of an update")
    tied_embed_lr: float = setting(0.05, "learning rate of the tied embedding", needs="model.tie_embeddings=True")
    embed_lr: float = setting(0.6, "learning rate of an untied embedding", needs="model.tie_embeddings=False")
    head_lr: float = setting(0.008, "learning rate of an untied head", needs="model.tie_embeddings=False")
    scalar_lr: float = setting(0.04, "learning rate of gains, scales, mixes and gates")
    muon_momentum: float = setting(0.95, "momentum of Muon after its warm-up")
    muon_momentum_start: float = setting(0.85, "momentum of Muon at step 0", needs="muon_momentum_warmup_steps")
    muon_momentum_warmup_steps: int = setting(500, "steps over which the momentum rises; 0 starts at its end")
    muon_ns_steps: int = setting(5, "Newton-Schulz iterations")
    muon_weight_decay: float = setting(0.0, "decoupled weight decay of the matrices")
    adam_weight_decay: float = setting(0.0, "decoupled weight decay of embeddings and small parameters")
    beta1: float = setting(0.9, "first moment of Adam")
    beta2: float = setting(0.95, "second moment of Adam")
    adam_eps: float = setting(1e-8, "epsilon of Adam")
    grad_clip_norm: float = setting(0.0, "clip the global gradient norm to this; 0 is off")

    def __post_init__(self) -> None:
        for name in ("muon_momentum", "muon_momentum_start", "beta1", "beta2"):
            _require(0 <= getattr(self, name) < 1, f"optimizer.{name}", getattr(self, name), "must be in [0, 1)")
        for name in ("matrix_lr", "tied_embed_lr", "embed_lr", "head_lr", "scalar_lr", "grad_clip_norm"):
            _require(getattr(self, name) >= 0, f"optimizer.{name}", getattr(self, name), "must not be negative")
        _require(1 <= self.muon_ns_steps < 100, "optimizer.muon_ns_steps", self.muon_ns_steps, "must be 1 to 99")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleConfig:
    """How long a run lasts, how its learning rate falls, and which weights it keeps."""

    iterations: int = setting(20_000, "stop after so many steps")
    max_wallclock_seconds: float = setting(600.0, "stop when training has taken this long; 0 is no limit")
    clock: Literal["wallclock", "steps"] = setting(
        "wallclock", "what warm-down and late QAT are measured by; only steps give the same weights on every machine"
    )
    warmup_steps: int = setting(20, "steps that compile and warm caches before the clock starts; all state is restored")
    warmdown_iters: int = setting(1200, "steps over which the learning rate falls linearly to zero; 0 is off")
    averaging: Literal["off", "swa", "ema"] = setting("off", "which average of the weights is kept")
    swa_start_scale: float = setting(0.5, "average once the learning rate is below this share", needs="averaging=swa")
    swa_every: int = setting(200, "steps between two averaged states", needs="averaging=swa")
    ema_decay: float = setting(0.997, "decay of the moving average per step", needs="averaging=ema")

    def __post_init__(self) -> None:
        for name in ("iterations", "max_wallclock_seconds", "warmup_steps", "warmdown_iters"):
            _require(getattr(self, name) >= 0, f"schedule.{name}", getattr(self, name), "must not be negative")
        _require(self.swa_every > 0, "schedule.swa_every", self.swa_every, "must be positive")
        _require(0 <= self.ema_decay < 1, "schedule.ema_decay", self.ema_decay, "must be in [0, 1)")
        _require(
            self.clock == "steps" or self.max_wallclock_seconds > 0,
            "schedule.clock",
            self.clock,
            "needs max_wallclock_seconds; use schedule.clock=steps for a run without a time limit",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantConfig:
    """How the weights are rounded, packed and compressed."""

    bits_mlp: int = setting(6, "bits of the MLP matrices, per-row scale")
    bits_attention: int = setting(6, "bits of the attention matrices, per-row scale")
    bits_other: int = setting(8, "bits of other large tensors")
    embedding: Literal["int8", "fp16"] = setting("fp16", "how the token embedding and the head are kept")
    keep_fp16: tuple[str, ...] = setting((), "tensors whose names contain one of these stay in fp16")
    keep_float_max_numel: int = setting(65_536, "tensors up to this many elements stay in fp16")
    clip_search: bool = setting(True, "search the clip of each row that gives the least squared error (GPTQ-lite)")
    gptq: Literal["off", "self", "train"] = setting("off", "full GPTQ, calibrated on own samples or on training tokens")
    calibration_tokens: int = setting(131_072, "tokens of the calibration", needs="gptq")
    calibration_reserve_seconds: float = setting(
        10.0, "part of the wallclock that is kept for calibration on training tokens", needs="gptq=train"
    )
    gptq_block_size: int = setting(128, "columns rounded before the rest is updated", needs="gptq")
    gptq_damping: float = setting(0.01, "share of the mean diagonal added to the Hessian", needs="gptq")
    compression: tuple[str, ...] = setting(("zstd", "brotli", "lzma"), "compressors tried; the smallest result is kept")
    qat: bool = setting(False, "round the matrices in the forward pass late in training (straight-through)")
    qat_start_frac: float = setting(0.85, "share of the run after which rounding starts", needs="qat")
    qat_lr_factor: float = setting(0.5, "factor on all learning rates from then on", needs="qat")

    def __post_init__(self) -> None:
        for name in ("bits_mlp", "bits_attention", "bits_other"):
            _require(2 <= getattr(self, name) <= 8, f"quant.{name}", getattr(self, name), "must be 2 to 8")
        _require(0 <= self.qat_start_frac <= 1, "quant.qat_start_frac", self.qat_start_frac, "must be in [0, 1]")
        known = {"zstd", "brotli", "lzma"}
        _require(
            bool(self.compression) and set(self.compression) <= known,
            "quant.compression",
            self.compression,
            f"must name at least one of {', '.join(sorted(known))}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalConfig:
    """How val_bpb is measured."""

    seq_len: int = setting(1024, "tokens of a window")
    stride: int = setting(64, "tokens scored per window after the first; equal to seq_len is the plain full pass")
    batch_sequences: int = setting(32, "windows per forward pass")
    document_aware: bool = setting(False, "a window never reaches back past the start of its document")
    val_every: int = setting(1000, "steps between full passes during training; 0 only at the start and the end")

    def __post_init__(self) -> None:
        _require(self.seq_len > 0, "eval.seq_len", self.seq_len, "must be positive")
        _require(0 < self.stride <= self.seq_len, "eval.stride", self.stride, f"must be 1 to seq_len, {self.seq_len}")
        _require(self.batch_sequences > 0, "eval.batch_sequences", self.batch_sequences, "must be positive")


@dataclass(frozen=True, kw_only=True, slots=True)
class TTTConfig:
    """Test-time training: a chunk is scored, its score is fixed, and only then may the model learn from it."""

    kind: Literal["off", "sgd", "lora"] = setting("off", "which weights adapt: all of them, or low-rank deltas")
    chunk_tokens: int = setting(32_768, "tokens scored before each adaptation", needs="kind")
    epochs: int = setting(1, "passes over a scored chunk", needs="kind")
    batch_sequences: int = setting(32, "sequences per adaptation step", needs="kind")
    grad_clip_norm: float = setting(1.0, "clip the gradient norm to this; 0 is off", needs="kind")
    lr: float = setting(3e-4, "learning rate of SGD", needs="kind=sgd")
    momentum: float = setting(0.95, "momentum of SGD", needs="kind=sgd")
    lora_lr: float = setting(0.01, "learning rate of Adam on the low-rank deltas", needs="kind=lora")
    rank: int = setting(8, "rank of the deltas", needs="kind=lora")

    def __post_init__(self) -> None:
        for name in ("chunk_tokens", "epochs", "batch_sequences", "rank"):
            _require(getattr(self, name) > 0, f"ttt.{name}", getattr(self, name), "must be positive")
        _require(0 <= self.momentum < 1, "ttt.momentum", self.momentum, "must be in [0, 1)")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Which tokens are trained on, in which portions."""

    path: str = setting("", "folder with fineweb_train_*.bin and fineweb_val_*.bin; empty is the embedded demo data")
    tokenizer_path: str = setting("", "SentencePiece model of these shards", needs="path")
    train_batch_tokens: int = setting(524_288, "tokens per step, over all ranks and accumulation steps")
    seq_len: int = setting(1024, "tokens of a training sequence")

    def __post_init__(self) -> None:
        _require(self.seq_len > 0, "data.seq_len", self.seq_len, "must be positive")
        _require(bool(self.path) == bool(self.tokenizer_path), "data.tokenizer_path", self.tokenizer_path, "goes with path")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Where a run happens and what it leaves behind."""

    name: str = setting("pgolf", "name of the run in its record")
    author: str = setting("", "who submits it")
    github_id: str = setting("", "under which account")
    output: str = setting("runs/pgolf", "folder of log, checkpoints, artifact and record")
    seed: int = setting(1337, "seed of the weights; the order of the data has none")
    micro_steps: int = setting(8, "forward passes per step over all ranks; accumulation is this divided by the world size")
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "where to compute")
    precision: Literal["auto", "bf16", "fp32"] = setting("auto", "autocast; auto is bf16 on CUDA and fp32 on a CPU")
    compile: Literal["auto", "on", "off"] = setting("auto", "torch.compile; auto is on for CUDA only")
    log_every: int = setting(200, "steps between log lines after the first ten")
    checkpoint_every: int = setting(0, "steps between checkpoints; 0 writes one at the end of training only")
    keep_checkpoints: int = setting(2, "checkpoints kept", needs="checkpoint_every")

    def __post_init__(self) -> None:
        _require(self.micro_steps > 0, "run.micro_steps", self.micro_steps, "must be positive")
        _require(self.keep_checkpoints > 0, "run.keep_checkpoints", self.keep_checkpoints, "must be positive")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """All sections of a run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    quant: QuantConfig = field(default_factory=QuantConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    ttt: TTTConfig = field(default_factory=TTTConfig)
    data: DataConfig = field(default_factory=DataConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        granule = self.run.micro_steps * self.data.seq_len
        _require(
            self.data.train_batch_tokens > 0 and self.data.train_batch_tokens % granule == 0,
            "data.train_batch_tokens",
            self.data.train_batch_tokens,
            f"must be a multiple of run.micro_steps x data.seq_len = {granule}",
        )


def to_dict(config: object) -> dict[str, Any]:
    """A section or a whole configuration as plain JSON data."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"not a configuration: {config!r}")
    return {
        f.name: to_dict(value) if dataclasses.is_dataclass(value) else list(value) if isinstance(value, tuple) else value
        for f in dataclasses.fields(config)
        for value in (getattr(config, f.name),)
    }


Section = typing.TypeVar("Section")


def section_from_dict(section: type[Section], values: Mapping[str, Any], name: str = "") -> Section:
    """Read one section back; unknown or missing keys and wrong types are a ValueError."""
    hints = typing.get_type_hints(section)
    _reject_unknown(values, hints, name or section.__name__)
    missing = sorted(set(hints) - set(values))
    _require(not missing, name or section.__name__, missing, "these settings are missing")
    return section(**{key: _check_type(f"{name}.{key}", hints[key], value) for key, value in values.items()})


def from_dict(values: Mapping[str, Any]) -> Config:
    """The configuration that `to_dict` wrote."""
    hints = typing.get_type_hints(Config)
    _reject_unknown(values, hints, "configuration")
    return Config(**{name: section_from_dict(hint, values.get(name, {}), name) for name, hint in hints.items()})


def apply_overrides(config: Config, assignments: Iterable[str]) -> Config:
    """The configuration with each `section.key=value` applied; what would change nothing is a ValueError."""
    changes: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        section, key, value = _parse_assignment(assignment)
        changes.setdefault(section, {})[key] = value
    sections = {name: replace(getattr(config, name), **values) for name, values in changes.items()}
    changed = replace(config, **sections)
    for section, values in changes.items():
        for key in values:
            reason = ineffective(changed, section, key)
            _require(not reason, f"{section}.{key}", values[key], f"has no effect: {reason}")
    return changed


def ineffective(config: Config, section: str, key: str) -> str:
    """Why this setting has no effect in this configuration; empty if it has one."""
    fields = {f.name: f for f in dataclasses.fields(getattr(config, section))}
    needs = [need for need in fields[key].metadata["needs"].split(" or ") if need]
    if not needs or any(_is_met(config, section, need) for need in needs):
        return ""
    return f"it needs {' or '.join(needs)}"


def _is_met(config: Config, section: str, need: str) -> bool:
    path, _, wanted = need.partition("=")
    where, _, name = path.rpartition(".")
    actual = getattr(getattr(config, where or section), name)
    return str(actual) in wanted.split("|") if wanted else actual not in (False, 0, "", "off")


def describe_settings(config: Config) -> list[tuple[str, str, str]]:
    """(section.key, value, sentence) of every setting, in order."""
    return [
        (f"{section.name}.{f.name}", str(getattr(getattr(config, section.name), f.name)), f.metadata["help"])
        for section in dataclasses.fields(config)
        for f in dataclasses.fields(getattr(config, section.name))
    ]


def _parse_assignment(assignment: str) -> tuple[str, str, Any]:
    path, equals, text = assignment.partition("=")
    section, dot, key = path.strip().partition(".")
    _require(bool(equals and dot), "--set", assignment, "must be section.key=value")
    sections = typing.get_type_hints(Config)
    _reject_unknown([section], sections, "configuration")
    hints = typing.get_type_hints(sections[section])
    _reject_unknown([key], hints, section)
    return section, key, _parse_value(f"{section}.{key}", hints[key], text.strip())


def _reject_unknown(names: Iterable[str], known: Iterable[str], where: str) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5) or sorted(known)
            raise ValueError(f"unknown setting {name!r} in {where}; did you mean {', '.join(near)}?")


def _parse_value(name: str, hint: Any, text: str) -> Any:  # noqa: ANN401 - the hint decides
    if typing.get_origin(hint) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if hint is bool:
        words = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}
        _require(text.lower() in words, name, text, "must be true or false")
        return words[text.lower()]
    if hint in (int, float):
        try:
            return hint(text.replace("_", ""))
        except ValueError:
            raise ValueError(f"{name}={text!r}: must be {'an integer' if hint is int else 'a number'}") from None
    return _check_type(name, hint, text)


def _check_type(name: str, hint: Any, value: Any) -> Any:  # noqa: ANN401 - the hint decides
    if typing.get_origin(hint) is Literal:
        _require(value in typing.get_args(hint), name, value, f"must be one of {', '.join(typing.get_args(hint))}")
        return value
    if typing.get_origin(hint) is tuple:
        _require(isinstance(value, list | tuple), name, value, "must be a list")
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    _require(type(value) is hint, name, value, f"must be of type {hint.__name__}")
    return value


def _late_qat() -> Config:
    """The recipe of pull request #297: its logged hyper-parameters and the defaults of its script."""
    return Config(
        model=ModelConfig(
            mlp_mult=3.0,
            smear_gate=True,
            bigram_buckets=4096,
            bigram_dim=128,
            init="orthogonal",
            embedding_init="overtone",
            resid_mix_init="phased",
        ),
        optimizer=OptimizerConfig(
            matrix_lr=0.025,
            tied_embed_lr=0.03,
            scalar_lr=0.02,
            muon_momentum=0.99,
            muon_momentum_start=0.92,
            muon_momentum_warmup_steps=1500,
            muon_weight_decay=0.038,
            adam_weight_decay=0.01,
            grad_clip_norm=0.3,
        ),
        schedule=ScheduleConfig(warmdown_iters=3000, averaging="swa"),
        quant=QuantConfig(keep_fp16=("blocks.8.attn.c_k",), compression=("zstd",), qat=True),
        eval=EvalConfig(seq_len=2048, val_every=500),
        ttt=TTTConfig(kind="sgd", lr=3e-4, momentum=0.95),
        data=DataConfig(train_batch_tokens=786_432, seq_len=2048),
        run=RunConfig(name="late-qat", output="runs/late-qat", log_every=100),
    )


def _xsa_ema() -> Config:
    """The follow-up, pull request #287: eleven layers, XSA on the last four, EMA instead of SWA, no QAT."""
    seed = _late_qat()
    return Config(
        model=replace(
            seed.model,
            num_layers=11,
            bigram_buckets=2048,
            xsa_layers=4,
            embedding_init="normal",
            resid_mix_init="current",
        ),
        optimizer=replace(
            seed.optimizer, tied_embed_lr=0.035, scalar_lr=0.025, muon_weight_decay=0.04, adam_weight_decay=0.04
        ),
        schedule=replace(seed.schedule, iterations=9000, averaging="ema"),
        quant=QuantConfig(embedding="int8"),
        eval=replace(seed.eval, val_every=1000),
        data=seed.data,
        run=RunConfig(name="xsa-ema", output="runs/xsa-ema"),
    )


def _tiny() -> Config:
    """The whole recipe at a size that two busy CPU cores finish in about a minute; steps are the clock."""
    seed = _late_qat()
    return Config(
        model=replace(
            seed.model, num_layers=4, model_dim=96, num_heads=2, num_kv_heads=1, bigram_buckets=1024, bigram_dim=64
        ),
        optimizer=replace(seed.optimizer, muon_momentum=0.95, muon_momentum_start=0.85, muon_momentum_warmup_steps=50),
        schedule=ScheduleConfig(
            iterations=90,
            max_wallclock_seconds=120.0,
            clock="steps",
            warmup_steps=1,
            warmdown_iters=50,
            averaging="swa",
            swa_every=5,
        ),
        quant=QuantConfig(keep_float_max_numel=4096, compression=("zstd",), qat=True),
        eval=EvalConfig(seq_len=256, stride=128, batch_sequences=8, val_every=0),
        ttt=TTTConfig(kind="sgd", chunk_tokens=4096, batch_sequences=4, lr=1e-3),
        data=DataConfig(train_batch_tokens=4096, seq_len=256),
        run=RunConfig(name="tiny", output="runs/tiny", log_every=10, checkpoint_every=50, micro_steps=2),
    )


PRESETS = {
    "tiny": _tiny,
    "baseline": lambda: Config(run=RunConfig(name="baseline", output="runs/baseline")),
    "late-qat": _late_qat,
    "xsa-ema": _xsa_ema,
}


def preset(name: str) -> Config:
    """A named configuration; an unknown name is a ValueError with near matches."""
    _reject_unknown([name], PRESETS, "presets")
    return PRESETS[name]()
