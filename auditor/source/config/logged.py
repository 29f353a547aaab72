"""What the headline's runs printed about their own settings, held against what the sources say.

Two ways lead from a log to a setting: a printed name (``ttt_enabled: True`` in a dump), and a printed place: a line that
one print site made whose hole is filled by ``args.ttt_enabled``, whatever the words around it say. A printed text counts
only if it can be read as the kind of value that the script computes for that name. Facts about the machine are not
taken from the log: a submission runs on 8 GPUs wherever its log is from.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from auditor.finding import Location
from auditor.source.config.environment import Environment, Origin, Variable
from auditor.source.config.values import Unknown, Value, is_plain, union
from auditor.submission.logs.model import Run

_MACHINE = frozenset(
    ["world_size", "rank", "local_rank", "distributed", "grad_accum_steps", "is_main_process", "master_process", "device"]
)
_PER_RUN = frozenset(["seed", "run_id", "logfile", "run_name", "log_file", "out_dir", "artifact_dir"])
_TRUE, _FALSE = frozenset(["true", "1", "yes", "on"]), frozenset(["false", "0", "no", "off"])


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting as printed: its text, where, and what other runs of the headline printed for it instead."""

    text: str
    location: Location
    others: tuple[tuple[str, Location], ...] = ()


@dataclass(frozen=True, slots=True)
class Contradiction:
    """The log shows another value for a name than the sources give."""

    name: str
    logged: Value
    computed: Value
    computed_from: tuple[Origin, Location | None]


@dataclass(slots=True)
class Logged:
    """Printed settings by lower-case name; `contradictions` grows as settings are looked up."""

    shown: Mapping[str, Shown] = field(default_factory=dict)
    world_size: int | None = None
    contradictions: dict[str, Contradiction] = field(default_factory=dict)

    def adjusted(self, name: str, value: Value, environment: Environment) -> Value:
        """`value` as the log shows it under this name; the value itself if the log does not tell."""
        key = name.lower()
        shown = self.shown.get(key)
        if shown is None or key in _MACHINE or not (is_plain(value.data) or isinstance(value.data, Unknown)):
            return value
        if "WORLD_SIZE" in value.reads and self.world_size not in (None, 8):
            return value
        data = read_as(shown.text, value.data)
        if isinstance(data, Unknown):
            return value
        source = f"log {key}"  # stands among the variables that the value rests on
        environment.variables[source] = Variable(shown.text, Origin.LOG, shown.location)
        logged = Value(data, union(value) | {source}, value.location)
        if value.is_known and data != value.data and key not in _PER_RUN:
            origin, place = environment.origin_of(value.reads)
            found = Contradiction(name, logged, value, (origin, place or value.location))
            self.contradictions.setdefault(key, found)
        self._infer_variable(value, data, shown, environment)
        return logged

    def _infer_variable(self, value: Value, data: object, shown: Shown, environment: Environment) -> None:
        """A setting that is read from one variable tells what that variable held."""
        names = [name for name in value.reads if not name.startswith("log ")]
        if len(names) == 1 and data != value.data and isinstance(data, bool | int | float | str):
            text = str(int(data)) if isinstance(data, bool) else str(data)
            environment.infer(names[0], text, shown.location)


def read_as(text: str, like: object) -> object:
    """`text` as the kind of constant that `like` is; `Unknown` if it is none. An unknown `like` takes any constant."""
    bare = text.strip()
    lowered = bare.lower()
    match like:
        case bool():
            return True if lowered in _TRUE else False if lowered in _FALSE else Unknown("no truth value")
        case int():
            number = _number(bare)
            whole = isinstance(number, float) and number.is_integer()
            return int(number) if whole and isinstance(number, float) else Unknown("no whole number")
        case float():
            return _number(bare)
        case str():
            return bare if bare and "{" not in bare else Unknown("no text")
    try:
        found = ast.literal_eval(bare)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = Unknown("no constant") if like is None or not isinstance(like, Unknown) else bare
    if like is None or isinstance(like, Unknown):
        return found
    return found if type(found) is type(like) else Unknown("another kind of value")


def _number(text: str) -> float | Unknown:
    try:
        return float(text.replace(",", "")) if text[:1] in "+-.0123456789" else Unknown("no number")
    except ValueError:
        return Unknown("no number")


def gather_settings(runs: Sequence[Run]) -> dict[str, Shown]:
    """The settings that the runs dumped, by name; the first run's text, and what other runs printed differently."""
    texts: dict[str, list[tuple[str, Location]]] = {}
    for run in runs:
        for name, setting in (run.settings or {}).items():
            texts.setdefault(name, []).append((setting.value, Location(path=setting.log, line=setting.line)))
    return {name: _shown(found) for name, found in texts.items()}


def _shown(found: Iterable[tuple[str, Location]]) -> Shown:
    (text, location), *others = found
    return Shown(text, location, tuple(other for other in others if other[0] != text))
