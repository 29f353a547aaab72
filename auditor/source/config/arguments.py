"""``argparse``: what a parser's `add_argument` calls and the submitted command line come to.

Covered: long and short options, `dest`, `default`, `type` of the builtin kinds, `store_true`, `store_false`,
`store_const`, `BooleanOptionalAction`, ``--name value`` and ``--name=value``. Positional arguments, sub-commands and
`nargs` leave unknowns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from auditor.finding import Location
from auditor.source.config.values import Symbol, Unknown, Value, unknown

_TYPES: dict[str, Callable[[str], object]] = {"int": int, "float": float, "str": str, "bool": bool}


@dataclass(frozen=True, slots=True)
class _Option:
    """One option: its spellings, where it goes, its default, how its text is read, and what a bare flag gives."""

    spellings: tuple[str, ...]
    destination: str
    default: Value
    kind: Value
    flag: Value | None
    negated: str | None
    location: Location


@dataclass(slots=True, eq=False)
class ArgumentParser:
    """What has been added to one parser so far."""

    options: list[_Option] = field(default_factory=list)

    def add(self, positional: Sequence[Value], keywords: dict[str, Value], location: Location) -> None:
        """``add_argument``."""
        spellings = tuple(value.data for value in positional if isinstance(value.data, str))
        named = keywords.get("dest")
        longest = max(spellings, key=len, default="")
        destination = str(named.data) if named is not None else longest.lstrip("-").replace("-", "_")
        action = keywords.get("action", Value("store")).data
        given = keywords.get("default")
        flag, absent = _flag_of(action, keywords)
        negated = f"--no-{longest.lstrip('-')}" if flag is not None and isinstance(action, Symbol) else None
        kind = keywords.get("type", Value(Symbol("str")))
        default = given if given is not None else absent
        self.options.append(_Option(spellings, destination, default, kind, flag, negated, location))

    def parse(self, words: Sequence[str], location: Location | None) -> Iterator[tuple[str, Value]]:
        """Each destination with its value for a command line; text is read by the option's type."""
        for option in self.options:
            value = _given(option, words)
            if value is None:
                yield option.destination, _typed_default(option)
            else:
                yield option.destination, Value(value.data, value.reads | {COMMAND_LINE}, location)


COMMAND_LINE = "command line"  # stands among the variables that a value rests on


def _flag_of(action: object, keywords: dict[str, Value]) -> tuple[Value | None, Value]:
    if action == "store_true":
        return Value(True), Value(False)
    if action == "store_false":
        return Value(False), Value(True)
    if action == "store_const":
        return keywords.get("const", Value(None)), Value(None)
    if isinstance(action, Symbol) and action.name.endswith("BooleanOptionalAction"):
        return Value(True), Value(None)
    return None, Value(None)


def _given(option: _Option, words: Sequence[str]) -> Value | None:
    found: Value | None = None
    for index, word in enumerate(words):
        spelling, has_value, text = word.partition("=")
        if spelling == option.negated:
            found = Value(False)
        elif spelling not in option.spellings:
            continue
        elif option.flag is not None:
            found = option.flag
        elif has_value:
            found = _read(option, text)
        elif index + 1 < len(words):
            found = _read(option, words[index + 1])
    return found


def _typed_default(option: _Option) -> Value:
    if isinstance(option.default.data, str):
        read = _read(option, option.default.data)
        return Value(read.data, option.default.reads, option.location)
    return Value(option.default.data, option.default.reads, option.location)


def _read(option: _Option, text: str) -> Value:
    convert = _TYPES.get(option.kind.data.name) if isinstance(option.kind.data, Symbol) else None
    if convert is None:
        return unknown(f"read by {option.kind.data}")
    try:
        return Value(convert(text))
    except ValueError:
        return Value(Unknown(f"{text!r} is no {option.kind.data}"))
