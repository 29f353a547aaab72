"""What configuration code can compute: constants, the script's own classes, objects and functions, and `Unknown`.

An `Unknown` carries the reason why nothing is known, and everything computed from it is unknown too. A `Value` remembers
which environment variables it was computed from, so that its origin can be told.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auditor.finding import Location
from auditor.submission.script import Module


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that reading cannot tell, and why."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Value:
    """A value (a Python constant, a container of such, an object below, or `Unknown`) and the variables it rests on.

    `location` is where a name or an attribute was bound to it.
    """

    data: object
    reads: frozenset[str] = frozenset()
    location: Location | None = None

    @property
    def is_known(self) -> bool:
        """Is it anything but unknown?"""
        return not isinstance(self.data, Unknown)


@dataclass(frozen=True, slots=True)
class Symbol:
    """Something outside the script by its dotted name: ``os.environ``, ``torch.compile``, ``int``."""

    name: str


@dataclass(slots=True, eq=False)
class Namespace:
    """Names bound at one level: a module's, a class body's, or a function's own. `parent` is where lookups go on.

    `holds_settings`: its names are what logs dump as hyper-parameters (a class body's).
    """

    module: Module
    names: dict[str, Value] = field(default_factory=dict)
    parent: Namespace | None = None
    declared_global: set[str] = field(default_factory=set)
    holds_settings: bool = False

    def find(self, name: str) -> Value | None:
        """The value bound to `name` here or further out."""
        level: Namespace | None = self
        while level is not None:
            if name in level.names:
                return level.names[name]
            level = level.parent
        return None


@dataclass(slots=True, eq=False)
class Function:
    """A function or lambda of the script and the level it was defined in; `owner` is the object of a bound method."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    around: Namespace
    owner: object = None
    kind: str = ""  # classmethod, staticmethod, property

    @property
    def name(self) -> str:
        """What the function is called."""
        return "<lambda>" if isinstance(self.node, ast.Lambda) else self.node.name


@dataclass(slots=True, eq=False)
class Class:
    """A class of the script: what its body binds, the script's own base classes, and its dataclass fields in order.

    `is_foreign`: a base stands outside the script (``nn.Module``), so that its objects hold more than can be seen.
    """

    name: str
    body: Namespace
    bases: tuple[Class, ...] = ()
    fields: tuple[str, ...] = ()
    is_record: bool = False
    is_foreign: bool = False

    def find(self, name: str) -> Value | None:
        """A class attribute, own or inherited."""
        if name in self.body.names:
            return self.body.names[name]
        return next((found for base in self.bases if (found := base.find(name)) is not None), None)


@dataclass(slots=True, eq=False)
class Instance:
    """An object of a script's class (or of none: a namespace, parsed arguments) with the attributes set on it."""

    of: Class | None
    attributes: dict[str, Value] = field(default_factory=dict)
    is_open: bool = False  # may hold attributes that were not seen


def union(*values: Value | None) -> frozenset[str]:
    """The variables that any of the values rests on."""
    return frozenset().union(*(value.reads for value in values if value is not None))


def unknown(reason: str, *sources: Value | None) -> Value:
    """An unknown value computed from `sources`."""
    return Value(Unknown(reason), union(*sources))


def is_plain(data: object) -> bool:
    """Is it a Python constant, or a container of constants throughout?"""
    if isinstance(data, list | tuple | set | frozenset):
        return all(is_plain(item) for item in data)
    if isinstance(data, Mapping):
        return all(is_plain(key) and is_plain(item) for key, item in data.items())
    return data is None or isinstance(data, bool | int | float | complex | str | bytes)


def truth(value: Value) -> bool | None:
    """The truth value; None if it is not known."""
    data = value.data
    if isinstance(data, Unknown | Symbol):
        return None
    if isinstance(data, Function | Class | Instance):
        return True
    return bool(data)


def iterated(data: object) -> Sequence[object] | None:
    """The items of a known container; None if they cannot be told."""
    if isinstance(data, list | tuple | str | dict) or (isinstance(data, set | frozenset) and len(data) == 1):
        return list(data)
    return None
