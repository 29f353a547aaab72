"""The environment variables that the submitted run had, by where each comes from.

Program semantics decide between sources within the script: an assignment in it beats what the command sets, `setdefault`
does not. Above all stands what the log of the run showed (`infer`). A variable that no source sets is unset, and a read
then gives the default at that read; the first default of each name is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from auditor.finding import Location
from auditor.source.config.values import Unknown, Value


class Origin(StrEnum):
    """Where a setting comes from, most trusted first."""

    LOG = "log"  # printed by the headline's run
    SCRIPT = "script"  # set by the script itself, whatever it was started with
    COMMAND = "command"  # the README's or run script's command
    PRELUDE = "prelude"  # set by the wrapper of a packed script
    README = "readme"  # named by the README outside a command
    DEFAULT = "default"  # what the script falls back to, or a constant in it


TRUST = tuple(Origin)


@dataclass(frozen=True, slots=True)
class Variable:
    """The text that a variable holds (`Unknown` if it is set to something that cannot be told), and who set it."""

    text: str | Unknown
    origin: Origin
    location: Location | None = None


@dataclass(slots=True)
class Environment:
    """Variables by name; `defaults` holds for every name that is read what it falls back to when unset.

    `asked` are names that were looked for without being read. `overridden` tells where two sources set one name.
    """

    variables: dict[str, Variable] = field(default_factory=dict)
    defaults: dict[str, tuple[Value, Location]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    overridden: list[tuple[str, Variable, Variable]] = field(default_factory=list)  # name, what holds, what it replaced

    def set_if_absent(self, origin: Origin, values: Mapping[str, str], location: Location | None) -> None:
        """Give names that have no value yet one of `origin`."""
        for name, text in values.items():
            self.variables.setdefault(name, Variable(text, origin, location))

    def assign(self, name: str, value: Value, location: Location) -> None:
        """The script sets a variable; what the log showed stays."""
        before = self.variables.get(name)
        if before is not None and before.origin is Origin.LOG:
            return
        text = value.data if isinstance(value.data, str | Unknown) else Unknown("set to something that is no text")
        self.variables[name] = after = Variable(text, Origin.SCRIPT, location)
        if before is not None and before.text != after.text:
            self.overridden.append((name, after, before))

    def infer(self, name: str, text: str, location: Location | None) -> None:
        """The log shows that a variable must have held `text`."""
        before = self.variables.get(name)
        self.variables[name] = after = Variable(text, Origin.LOG, location)
        if before is not None and before.text != text and before.origin is not Origin.LOG:
            self.overridden.append((name, after, before))

    def read(self, name: str, default: Value, location: Location) -> Value:
        """What the script sees when it reads `name`, falling back to `default`."""
        self.defaults.setdefault(name, (default, location))
        variable = self.variables.get(name)
        if variable is None:
            return Value(default.data, default.reads | {name})
        return Value(variable.text, frozenset([name]))

    def holds(self, name: str) -> Value:
        """Is the variable set?"""
        self.asked.add(name)
        return Value(name in self.variables, frozenset([name]))

    def names(self) -> Iterator[str]:
        """Every variable that is set or read."""
        return iter(dict.fromkeys((*self.defaults, *self.variables)))

    def origin_of(self, reads: frozenset[str]) -> tuple[Origin, Location | None]:
        """The most trusted origin among the variables that a value rests on; default if none of them is set."""
        known = [self.variables[name] for name in sorted(reads) if name in self.variables and name not in LAUNCHED]
        best = min(known, key=lambda variable: TRUST.index(variable.origin), default=None)
        return (best.origin, best.location) if best else (Origin.DEFAULT, None)


LAUNCHED = frozenset(["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK"])
