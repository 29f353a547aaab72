"""The facts that a log can hold. Every fact names its log, its true line number (from 1) and the run it belongs to.

Units: losses in nats per token, `val_bpb` in bits per byte, times in seconds, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFact:
    """Where a fact stands: log path, line number from 1, index of the run in the log, and the line's text."""

    log: str
    line: int
    run: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(LogFact):
    """A reported bits-per-byte number.

    `label` is the text before the first key (``final_int8_zlib_roundtrip_exact``; ``step:2000/20000`` lines have label
    ``step``). `key` is the key that carried it (``val_bpb``, ``mix_bpb``, ``bpb``): a line with two of them yields two
    metrics. `num_decimals` is how many decimals were printed. `values` holds every key and number of the line.
    `progress` marks a running value inside one evaluation or one adaptation (``ttt_chunk [12/474] bpb=1.1``): never a
    result. Validations of the training loop carry their `step`.
    """

    label: str
    key: str
    val_bpb: float
    num_decimals: int
    val_loss: float | None = None
    step: int | None = None
    eval_seconds: float | None = None
    num_tokens: int | None = None
    num_bytes: int | None = None
    values: tuple[tuple[str, float], ...] = ()
    progress: bool = False

    @property
    def name(self) -> str:
        """What a reader knows it by: its label, or the key where nothing stands before that."""
        return self.label or self.key


class SizeKind(StrEnum):
    """What a printed size is the size of."""

    CODE = "code"
    CODE_COMPRESSED = "code compressed"
    MODEL_RAW = "model raw"  # serialised, before quantisation and compression
    MODEL = "model"  # the compressed artifact
    TOTAL_RAW = "total raw"  # code + raw model
    TOTAL = "total"  # code + compressed artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class Size(LogFact):
    """A printed size in bytes.

    `resolution` is how many bytes one unit of the last printed digit stands for: 1 where bytes were printed, 10,000 for
    ``15.94 MB``. `unit` is the unit as printed. MB is read as 10^6 and MiB as 2^20, though scripts confuse them: a size
    with a coarse resolution never decides by itself whether something fits.
    """

    kind: SizeKind
    label: str
    num_bytes: int
    resolution: int = 1
    unit: str = "bytes"


class DurationKind(StrEnum):
    """What a printed time is the time of."""

    TRAIN = "train"  # the training loop
    EVALUATE = "evaluate"  # one evaluation
    EVALUATE_TOTAL = "evaluate total"
    CALIBRATE = "calibrate"  # collecting Hessians or activations from data
    QUANTIZE = "quantize"
    WARMUP = "warmup"  # compile warm-up outside the timers
    ADAPT = "adapt"  # test-time training, n-gram precompute: part of an evaluation
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration(LogFact):
    """A printed time in seconds.

    `resolution` is how many seconds one unit of the last printed digit stands for: 0.001 for ``600015ms``, 6 for ``10.1m``.
    """

    kind: DurationKind
    label: str
    seconds: float
    resolution: float = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Count(LogFact):
    """A printed count by its usual name: ``val_tokens``, ``target_tokens``, ``train_shards``, ``model_params``."""

    name: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(LogFact):
    """A printed hyper-parameter, path or switch; `value` as printed."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedSource:
    """The source that a script printed into its own log: lines `first_line` to `last_line`, and the text."""

    log: str
    first_line: int
    last_line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process's output: a log holds one or several.

    `settings` keeps the last value printed for each lower-case name. `train_seconds` and `num_steps` are where the
    training loop ended; `stopped_early` tells whether the log says that the wall-clock cap stopped it.
    """

    log: str
    index: int
    first_line: int
    last_line: int
    seed: int | None = None
    world_size: int | None = None
    gpus: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    sizes: tuple[Size, ...] = ()
    durations: tuple[Duration, ...] = ()
    counts: tuple[Count, ...] = ()
    settings: Mapping[str, Setting] | None = None
    train_seconds: Duration | None = None
    num_steps: int | None = None
    stopped_early: bool = False
    source: EmbeddedSource | None = None

    def size(self, kind: SizeKind) -> Size | None:
        """The last printed size of a kind."""
        return next((size for size in reversed(self.sizes) if size.kind is kind), None)

    def count(self, name: str) -> Count | None:
        """The last printed count of that name."""
        return next((count for count in reversed(self.counts) if count.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One log file. `lines` are its lines without endings. `duplicate_of` names an identical log read before it.

    `is_log` is False for text that was looked at and is no training log (it then has no runs).
    """

    path: str
    encoding: str
    lines: tuple[str, ...]
    runs: tuple[Run, ...]
    duplicate_of: str | None = None
    problems: tuple[str, ...] = ()
