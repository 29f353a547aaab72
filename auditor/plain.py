"""Frozen dataclasses as plain data and back, by their declared fields.

For what is kept as JSON and read again (reports, a run's facts): tuples become lists, enums their words. A key that is not
known is passed over, so that an older reader reads a newer file; one that is missing takes the field's default. Not
covered: mappings, and unions other than with None.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")


def to_plain(value: object) -> Any:  # noqa: ANN401 - plain data has any shape
    """A value of dataclasses, tuples, enums and scalars as dicts, lists and scalars."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def from_plain(kind: type[T], data: Mapping[str, Any]) -> T:
    """The dataclass that `to_plain` wrote. TypeError: a field without a default is missing; ValueError: an unknown word."""
    hints: dict[str, Any] = _hints(kind)  # type: ignore[arg-type]  # a type is hashable
    values = {name: _value(hints[name], item) for name, item in data.items() if name in hints}
    return kind(**values)


@lru_cache
def _hints(kind: type) -> dict[str, Any]:
    declared = typing.get_type_hints(kind)
    return {item.name: declared[item.name] for item in fields(kind)}


def _value(hint: Any, data: Any) -> Any:  # noqa: ANN401 - hints are what typing makes of annotations
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        kinds: Sequence[Any] = [arguments[0]] * len(data) if arguments[1:] == (...,) else arguments
        return tuple(_value(kind, item) for kind, item in zip(kinds, data, strict=True))
    if type(None) in arguments:
        (inner,) = (each for each in arguments if each is not type(None))
        return None if data is None else _value(inner, data)
    if isinstance(hint, type) and is_dataclass(hint):
        return from_plain(hint, data)
    return hint(data) if isinstance(hint, type) and issubclass(hint, Enum) else data
