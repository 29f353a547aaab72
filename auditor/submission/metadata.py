"""What submission.json declares, in all the spellings that real submissions use.

No schema was ever enforced, so every fact is looked for under a short list of keys, in order of trust, and what was odd is
told in `Metadata.problems` rather than repaired in silence. A null, a zero or a "TBD" is no score. Not covered: numbers
inside prose fields, and nested experiment tables that name no seed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from auditor.report import Unreadable
from auditor.submission.errors import SubmissionError
from auditor.submission.logs.lines import decode
from auditor.submission.tree import FileTree

FILE_NAME = "submission.json"
_NEAR_NAME = re.compile(r"submis+ion[\w-]*\.json", re.IGNORECASE)
_BPB_KEYS = (
    "val_bpb",
    "mean_val_bpb",
    "val_bpb_mean",
    "val_bpb_3seed_mean",
    "val_bpb_3_seed_mean",
    "val_bpb_exact",
    "final_val_bpb",
    "mean_bpb",
    "bpb",
    "score",
)
_LOSS_KEYS = ("val_loss", "mean_val_loss", "val_loss_mean", "val_loss_nats")
_STD_KEYS = ("val_bpb_std", "std_val_bpb", "std_bpb")
_TOTAL_KEYS = (
    "bytes_total",
    "total_bytes",
    "artifact_bytes_max",
    "artifact_bytes",
    "artifact_size_bytes",
    "submission_bytes",
    "total_submission_bytes",
    "artifact_bytes_mean",
)
_CODE_KEYS = ("bytes_code", "code_bytes", "code_size_bytes", "bytes_code_raw", "bytes_train_gpt_self_extracting")
_CODE_KEY = re.compile(r"(?:\w+_)?code_(?:\w+_)?bytes|bytes_code_\w+|artifact_bytes_code")
_MODEL_KEYS = ("bytes_model", "model_bytes", "bytes_model_compressed", "model_size_bytes")
_TRAIN_KEYS = {"train_seconds": 1.0, "train_time_s": 1.0, "train_time_seconds": 1.0, "train_time_ms": 1e-3}
_EVAL_KEYS = {"eval_seconds": 1.0, "eval_time_s": 1.0, "eval_time_seconds": 1.0, "eval_time_ms": 1e-3}
_SEED_TABLES = ("seed_results", "per_seed", "seed_metrics", "seeds", "results", "runs", "val_bpb_per_seed", "val_bpb_seeds",
                "val_bpb_runs")  # fmt: skip
_MAX_SEED_DIGITS = 12  # ours: a longer string of digits is no seed
_SEED_KEY = re.compile(rf"(?:seed[\s_-]*)?(\d{{1,{_MAX_SEED_DIGITS}}})$", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\d[\d,_]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_UNITS = {"b": 1, "bytes": 1, "kb": 1000, "mb": 1_000_000, "kib": 1024, "mib": 1024 * 1024}
_ANOTHER_BPB = re.compile(
    r"base|delta|std|pre_|project|predict|estimat|expect|target|compar|min|max|sota|leader|prior|previous|improve|gain|note"
)
_LARGEST_BPB_AS_LOSS = 1.4  # ours: below it no model of the contest has a loss in nats per token, many a bpb


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A number as declared: its key (dotted path in the JSON), its value, and the line it stands on.

    `num_decimals` is how many decimals were written, and so how exactly the number can be held against a log.
    """

    key: str
    value: float
    line: int | None = None
    num_decimals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedResult:
    """What is declared for one seed. Sizes in bytes, times in seconds."""

    seed: int | None
    val_bpb: Declared | None = None
    val_loss: Declared | None = None
    artifact_bytes: Declared | None = None
    code_bytes: Declared | None = None
    train_seconds: Declared | None = None
    eval_seconds: Declared | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """submission.json as typed facts. `raw` is the parsed object; `problems` says what was odd about it."""

    path: str
    raw: Mapping[str, object]
    val_bpb: Declared | None = None
    val_bpb_std: Declared | None = None
    val_loss: Declared | None = None
    bytes_total: Declared | None = None
    bytes_code: Declared | None = None
    bytes_model: Declared | None = None
    seeds: tuple[int, ...] = ()
    seed_results: tuple[SeedResult, ...] = ()
    track: str | None = None
    date: str | None = None
    name: str | None = None
    hardware: str | None = None
    retracted: str | None = None
    problems: tuple[str, ...] = ()


def read_metadata(files: FileTree) -> tuple[Metadata | None, tuple[Unreadable, ...]]:
    """Read the folder's submission.json; None where there is none, None with a reason where it is broken."""
    path = find_metadata(files.paths())
    if path is None:
        return None, ()
    try:
        return parse_metadata(path, decode(files.read(path))[0]), ()
    except SubmissionError as error:
        return None, (Unreadable(path=path, reason=error.reason),)


def find_metadata(paths: Iterable[str]) -> str | None:
    """The folder's submission.json; without one, the only file called nearly so (``submission_ternary.json``)."""
    near = [path for path in paths if _NEAR_NAME.fullmatch(path)]
    exact = [path for path in near if path.lower() == FILE_NAME]
    if exact:
        return min(exact, key=lambda path: path != FILE_NAME)  # of names that differ in case only, the one asked for
    return near[0] if len(near) == 1 else None


def parse_metadata(path: str, text: str) -> Metadata:
    """The facts in `text`; SubmissionError if it is not a JSON object."""
    duplicates: list[str] = []

    def keep_first_told(pairs: list[tuple[str, object]]) -> dict[str, object]:
        keys = [key for key, _ in pairs]
        duplicates.extend(key for key in set(keys) if keys.count(key) > 1)
        return dict(pairs)

    try:
        raw = json.loads(text, object_pairs_hook=keep_first_told)
    except json.JSONDecodeError as error:
        raise SubmissionError(path, f"broken JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except (RecursionError, ValueError) as error:
        raise SubmissionError(path, f"JSON that cannot be read: {type(error).__name__}") from error
    if not isinstance(raw, dict):
        raise SubmissionError(path, f"holds a JSON {_json_name(raw)}, not an object")
    problems = [f"the key {key!r} stands twice; the last one counts" for key in sorted(duplicates)]
    problems += [f"{key} is {str(value)[:20]}, no finite number" for key, value in raw.items() if _is_boundless(value)]
    return _Reader(path, text, raw, problems).metadata()


def _is_boundless(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _number(value) is None


def _json_name(value: object) -> str:
    names = {list: "list", str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
    return names.get(type(value), "value")


@dataclass(slots=True)
class _Reader:
    """Looks the facts up in one parsed object, and notes what was odd."""

    path: str
    text: str
    raw: Mapping[str, object]
    problems: list[str] = field(default_factory=list)

    def metadata(self) -> Metadata:
        val_bpb, val_loss = self._scores()
        results = tuple(self._seed_results())
        return Metadata(
            path=self.path,
            raw=self.raw,
            val_bpb=val_bpb,
            val_loss=val_loss,
            val_bpb_std=self._first(self.raw, _STD_KEYS),
            bytes_total=self._bytes(self.raw, _TOTAL_KEYS),
            bytes_code=self._code_bytes(self.raw),
            bytes_model=self._bytes(self.raw, (*_MODEL_KEYS, *self._keys_like("bytes_model_"))),
            seeds=self._seeds(results),
            seed_results=results,
            track=self._words("track"),
            date=self._words("date"),
            name=self._words("name", "submission_name", "title", "run_name"),
            hardware=self._words("hardware", "gpu", "gpu_config", "gpu_type", "platform"),
            retracted=self._retracted(),
            problems=tuple(self.problems),
        )

    def _scores(self) -> tuple[Declared | None, Declared | None]:
        keys = (*_BPB_KEYS, *self._keys_like("mean_val_bpb_"), *self._keys_like("val_bpb_mean_"))
        val_bpb = self._first(self.raw, keys) or self._only_bpb()
        val_loss = self._first(self.raw, _LOSS_KEYS)
        if val_bpb is not None and val_bpb.value == 0:
            self.problems.append(f"{val_bpb.key} is 0, a placeholder and no score")
            val_bpb = None
        if val_bpb is None and val_loss is not None and 0 < val_loss.value < _LARGEST_BPB_AS_LOSS:
            self.problems.append(f"{val_loss.key} {val_loss.value} is taken as the val_bpb: no loss per token is so small")
            return val_loss, None
        return val_bpb, val_loss if val_loss is None or val_loss.value else None

    def _only_bpb(self) -> Declared | None:
        """A score under a key of its own, if there is just one such key that is not about something else."""
        named = [key for key in self.raw if "bpb" in key.lower() and not _ANOTHER_BPB.search(key)]
        found = [key for key in named if _number(self.raw[key]) is not None]
        return self._first(self.raw, found) if len(found) == 1 else None

    def _retracted(self) -> str | None:
        for key, value in self.raw.items():
            if "retract" in key.lower() or "withdraw" in key.lower():
                return f"{key}: {value}"
            if isinstance(value, str) and key in ("status", "val_bpb") and re.search(r"retract|withdr", value, re.I):
                return f"{key}: {value}"
        return None

    def _keys_like(self, prefix: str) -> tuple[str, ...]:
        return tuple(key for key in self.raw if key.startswith(prefix))

    def _words(self, *keys: str) -> str | None:
        for key in keys:
            value = self.raw.get(key)
            if isinstance(value, str) and value.strip():
                return value.strip()
            if isinstance(value, dict | list) and value:
                return json.dumps(value, ensure_ascii=False)
        return None

    def _first(self, table: Mapping[str, object], keys: Sequence[str], parent: str = "") -> Declared | None:
        for key in keys:
            if (found := _number(table.get(key))) is not None:
                return self._declared(parent, key, *found)
        return None

    def _declared(self, parent: str, key: str, value: float, num_decimals: int) -> Declared:
        name = f"{parent}.{key}" if parent else key
        return Declared(key=name, value=value, line=self._line(name), num_decimals=num_decimals)

    def _bytes(self, table: Mapping[str, object], keys: Sequence[str], parent: str = "") -> Declared | None:
        for key in keys:
            found = _number(table.get(key))
            if found is None or found[0] <= 0:
                continue
            value = found[0] * self._unit(key, table.get(key))
            return self._declared(parent, key, value, 0)
        return None

    def _code_bytes(self, table: Mapping[str, object], parent: str = "") -> Declared | None:
        """A declared code size; unlike an artifact's, a 0 is kept: it is declared of a script that is there."""
        for key in (*_CODE_KEYS, *(key for key in table if _CODE_KEY.fullmatch(key))):
            found = _number(table.get(key))
            if found is not None:
                return self._declared(parent, key, found[0] * self._unit(key, table.get(key)), 0)
        return None

    def _unit(self, key: str, value: object) -> float:
        word = re.search(r"[\d.]\s*([kKmM]i?[bB]|bytes)\b", value) if isinstance(value, str) else None
        if word is None:
            return 1
        self.problems.append(f"{key} is given as {value!r}, not as a number of bytes")
        return _UNITS[word[1].lower()]

    def _line(self, key: str) -> int | None:
        position = 0
        for part in key.split("."):
            found = re.compile(re.escape(json.dumps(part)) + r"\s*:").search(self.text, position)
            if found is None:
                break
            position = found.start()
        return self.text.count("\n", 0, position) + 1 if position else None

    def _seeds(self, results: Sequence[SeedResult]) -> tuple[int, ...]:
        declared = self.raw.get("seeds")
        listed = declared if isinstance(declared, list) else [self.raw.get("seed")]
        seeds = [_as_seed(seed) for seed in listed]
        if not any(seed is not None for seed in seeds):
            seeds = [result.seed for result in results]
        return tuple(dict.fromkeys(seed for seed in seeds if seed is not None))

    def _seed_results(self) -> Iterator[SeedResult]:
        for name in _SEED_TABLES:
            found = list(self._seed_rows(name, self.raw.get(name)))
            if any(row.val_bpb or row.artifact_bytes for row in found):
                yield from found
                return
        tables = {key: value for key, value in self.raw.items() if re.fullmatch(r"seed_?\d+", key)}
        for key, value in tables.items():
            yield self._seed_result(_seed_of(key), value, key)

    def _seed_rows(self, name: str, table: object) -> Iterator[SeedResult]:
        if isinstance(table, dict):
            for key, value in table.items():
                if _SEED_KEY.match(key) or _as_seed(_field(value, "seed")) is not None:
                    yield self._seed_result(_seed_of(key), value, f"{name}.{key}")
        elif isinstance(table, list):
            seeds = self.raw.get("seeds")
            for index, value in enumerate(table):
                beside = seeds[index] if name != "seeds" and isinstance(seeds, list) and index < len(seeds) else None
                if isinstance(value, dict) or name.startswith("val_bpb"):
                    yield self._seed_result(_as_seed(beside), value, name)

    def _seed_result(self, seed: int | None, value: object, parent: str) -> SeedResult:
        if not isinstance(value, dict):
            found = _number(value)
            declared = (
                Declared(key=parent, value=found[0], line=self._line(parent), num_decimals=found[1]) if found else None
            )
            return SeedResult(seed=seed, val_bpb=declared)
        own = _as_seed(value.get("seed"))
        return SeedResult(
            seed=seed if own is None else own,
            val_bpb=self._first(value, _BPB_KEYS, parent),
            val_loss=self._first(value, _LOSS_KEYS, parent),
            artifact_bytes=self._bytes(value, _TOTAL_KEYS, parent),
            code_bytes=self._code_bytes(value, parent),
            train_seconds=self._seconds(value, _TRAIN_KEYS, parent),
            eval_seconds=self._seconds(value, _EVAL_KEYS, parent),
        )

    def _seconds(self, table: Mapping[str, object], keys: Mapping[str, float], parent: str) -> Declared | None:
        for key, scale in keys.items():
            if (found := _number(table.get(key))) is not None:
                return self._declared(parent, key, found[0] * scale, found[1])
        return None


def _number(value: object) -> tuple[float, int] | None:
    """A finite number and how many decimals it was written with, from a JSON number or the first number in a string."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        written = repr(value)
    elif isinstance(value, str) and (found := _NUMBER.search(value)) and not re.match(r"\s*[A-Za-z]{3,}", value):
        written = found.group().replace(",", "").replace("_", "")
    else:
        return None
    number = float(written)
    return (number, _decimals(written)) if math.isfinite(number) else None


def _decimals(written: str) -> int:
    return len(written.partition(".")[2]) if "e" not in written.lower() else 12


def _field(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _as_seed(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if value.isdecimal() and len(value) <= _MAX_SEED_DIGITS else None
    return value if isinstance(value, int) else None


def _seed_of(key: str) -> int | None:
    match = _SEED_KEY.match(key) or re.search(rf"(?<!\d)(\d{{1,{_MAX_SEED_DIGITS}}})(?!\d)", key)
    return int(match[1]) if match else None
