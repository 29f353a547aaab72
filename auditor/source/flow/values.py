"""Abstract values: what the evaluator knows of an object instead of the object.

Everything numeric is `Data`: no number, but where it comes from. Which tokens it depends on, which updates stand behind
it, which state a gradient through it would reach, whose loss it is. Containers, functions and instances of the
script's own classes keep their structure. Objects that the script mutates are mutable here too, so that aliases need no
analysis of their own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from auditor.events import Role, Turn
from auditor.source.flow.data import NO_NAMES as NO_NAMES
from auditor.source.flow.data import NO_STORES as NO_STORES
from auditor.source.flow.data import NO_TURNS as NO_TURNS
from auditor.source.flow.data import POSITIONS as POSITIONS
from auditor.source.flow.data import Data as Data
from auditor.source.flow.data import Index as Index
from auditor.source.flow.data import coarse as coarse
from auditor.source.flow.data import derived as derived
from auditor.source.flow.data import is_plain as is_plain
from auditor.source.flow.data import merge_into as merge_into
from auditor.source.flow.stores import NO_NUMBERS as NO_NUMBERS
from auditor.source.flow.stores import NO_REGIONS as NO_REGIONS
from auditor.source.flow.stores import Numbers as Numbers
from auditor.source.flow.stores import Regions as Regions
from auditor.source.flow.stores import Store as Store
from auditor.source.parse import last_name

if TYPE_CHECKING:
    from auditor.submission.script import Module


@dataclass(frozen=True, slots=True)
class Const:
    """A known Python constant. `switches` are the settings that it was read from."""

    value: object
    switches: frozenset[str] = NO_NAMES


@dataclass(slots=True, eq=False)
class Sequence:
    """A list, tuple, set or iterator. Exact ones know every item; else `items` are what it may hold.

    `base` is the list that this one is one element's view of: what is appended goes there too. `first` is what a list of
    positions begins with, where that is all that is known of them.
    """

    items: list[Value]
    exact: bool = True
    is_tuple: bool = False
    turns: frozenset[Turn] = NO_TURNS
    base: Sequence | None = None
    order: str | None = None
    first: int | None = None


@dataclass(slots=True, eq=False)
class Mapping:
    """A dictionary: entries under known keys, and `rest` for everything under keys that are not known."""

    entries: dict[object, Value] = field(default_factory=dict)
    rest: Data = field(default_factory=Data)
    others: list[Value] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Environment:
    """The variables of a function call or a module, and where unbound names are looked up."""

    module: Module
    names: dict[str, Value] = field(default_factory=dict)
    outer: Environment | None = None
    outer_names: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Function:
    """A function of the script: its node, where it was defined, what it is bound to."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    environment: Environment
    defaults: dict[str, Value] = field(default_factory=dict)
    bound: Value | None = None
    arguments: tuple[Value, ...] = ()
    keywords: dict[str, Value] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The function's name."""
        return "<lambda>" if isinstance(self.node, ast.Lambda) else self.node.name

    @property
    def decorators(self) -> frozenset[str]:
        """The last names of its decorators; those that are called are left out."""
        nodes = [] if isinstance(self.node, ast.Lambda) else self.node.decorator_list
        return frozenset(filter(None, map(last_name, nodes)))


@dataclass(slots=True, eq=False)
class Class:
    """A class of the script."""

    node: ast.ClassDef
    environment: Environment
    bases: tuple[Value, ...] = ()
    attributes: dict[str, Value] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The class's name."""
        return self.node.name

    def library_bases(self) -> Iterator[str]:
        """Dotted names of the library classes that it derives from."""
        for base in self.bases:
            if isinstance(base, Library):
                yield base.name
            elif isinstance(base, Class):
                yield from base.library_bases()

    def lookup(self, name: str) -> Value | None:
        """A class attribute or method, here or in a base class of the script."""
        if name in self.attributes:
            return self.attributes[name]
        found = (base.lookup(name) for base in self.bases if isinstance(base, Class))
        return next((value for value in found if value is not None), None)

    @property
    def is_module(self) -> bool:
        """Does it derive from a neural-network module?"""
        return any(name.rsplit(".", 1)[-1] in ("Module", "LightningModule") for name in self.library_bases())

    @property
    def is_tuple(self) -> bool:
        """Are its objects tuples, whose fields go wherever they go?"""
        return any(name.rsplit(".", 1)[-1] == "NamedTuple" for name in self.library_bases())

    @property
    def is_optimizer(self) -> bool:
        """Does it derive from an optimizer?"""
        return any(".optim" in f".{name}" for name in self.library_bases())


@dataclass(slots=True, eq=False)
class Instance:
    """An object of a class of the script; network modules have a store of parameters."""

    cls: Class
    attributes: dict[str, Value] = field(default_factory=dict)
    store: Store | None = None
    complete: bool = True
    counters: set[str] = field(default_factory=set)  # attributes that are counted up: no settings, whatever their start


@dataclass(slots=True, eq=False)
class Optimizer:
    """Anything with a `step` over parameters; `moments` are the steps that its running averages remember."""

    stores: frozenset[Store]
    name: str
    has_moments: bool = True
    moments: Numbers = NO_NUMBERS


@dataclass(slots=True, eq=False)
class Library:
    """A module, class or function that is not the script's, by its dotted name."""

    name: str
    bound: Value | None = None


@dataclass(slots=True, eq=False)
class ModuleValue:
    """A module of the submission."""

    environment: Environment


@dataclass(slots=True, eq=False)
class File:
    """An open file or a path object."""

    path: str
    files: frozenset[Role]
    mode: str = "r"


@dataclass(slots=True, eq=False)
class Method:
    """A method of a value that is no instance of a script class."""

    receiver: Value
    name: str


@dataclass(slots=True, eq=False)
class Choice:
    """One of several values; which one was not decided."""

    options: tuple[Value, ...]


Value = (
    Const
    | Data
    | Sequence
    | Mapping
    | Function
    | Class
    | Instance
    | Optimizer
    | Library
    | ModuleValue
    | File
    | Method
    | Choice
)
Arguments = list[Value]
Keywords = dict[str, Value]
NONE = Const(None)


def options(value: Value) -> tuple[Value, ...]:
    """The alternatives of a value; itself where it is decided."""
    return value.options if isinstance(value, Choice) else (value,)


def choice(values: Iterable[Value]) -> Value:
    """One of `values`: data are merged, equal ones are one."""
    distinct: list[Value] = []
    data: list[Data] = []
    for value in (option for undecided in values for option in options(undecided)):
        if isinstance(value, Data):
            if not any(known is value for known in data):
                data.append(value)
        elif not any(_same(value, known) for known in distinct):
            distinct.append(value)
    if data:
        joined = data[0] if len(data) == 1 else _joined(data)
        if all(isinstance(value, Const) for value in distinct):
            return replace(joined, optional=True) if NONE in distinct and _is_scalar(joined) else joined
        distinct.append(joined)
    return distinct[0] if len(distinct) == 1 else Choice(tuple(distinct[:8]))


def _is_scalar(data: Data) -> bool:
    """A text or a number, which nobody writes into, and not of the data or the weights."""
    held = data.tokens or data.losses or data.scores or data.stores or data.alias or data.table or data.base
    return data.text is not None or not held


def _joined(data: list[Data]) -> Data:
    joined = derived(*data)
    if all(value.alias is data[0].alias for value in data):
        joined.alias = data[0].alias
    joined.table = any(value.table for value in data)
    joined.table_word = any(value.table_word for value in data)
    joined.base = next((value for value in data if value.table or value.scores), data[0])
    return joined


def _same(first: Value, second: Value) -> bool:
    if first is second:
        return True
    if isinstance(first, Const) and isinstance(second, Const):
        return type(first.value) is type(second.value) and first.value == second.value
    return False


def deciding(test: Value) -> Data | None:
    """What whatever a test decides has to remember of it; None if nothing."""
    data = summary(test)
    if not (data.gates or data.hindsight or data.native):
        return None
    return Data(gates=data.gates, hindsight=data.hindsight, native=data.native)


def summary(value: Value, depth: int = 0) -> Data:
    """Everything known about a value as one `Data`; the value itself where it is one."""
    if isinstance(value, Data):
        return value
    if isinstance(value, Const):
        return Data(switches=value.switches) if value.switches else Data()
    if isinstance(value, File):
        return Data(files=value.files)
    if isinstance(value, Instance) and (value.store or not value.cls.is_tuple):
        return module_data(value.store) if value.store else Data()
    if depth > 4:
        return Data()
    return derived(*(summary(part, depth + 1) for part in parts_of(value)))


def merged(values: Iterable[Value]) -> Data:
    """Everything known about several values as one new `Data`."""
    return derived(*map(summary, values))


def parts_of(value: Value) -> list[Value]:
    """What a container holds, or the alternatives of a choice."""
    match value:
        case Sequence():
            return value.items
        case Instance() if value.cls.is_tuple:
            return list(value.attributes.values())
        case Mapping():
            return [*value.entries.values(), *value.others, value.rest]
        case Choice():
            return list(value.options)
        case _:
            return []


def module_data(store: Store, alias: bool = False) -> Data:
    """The parameters of a state, or something read from them."""
    return Data(
        influences=store.influences,
        stores=frozenset((store.root,)),
        tokens=store.tokens,
        gradient=True,
        weights=True,
        alias=store if alias else None,
    )


def stores_in(value: Value, depth: int = 0) -> frozenset[Store]:
    """Every state that a value holds: for an optimizer's parameter list."""
    if isinstance(value, Data):
        return value.stores
    if isinstance(value, Instance):
        return frozenset((value.store,)) if value.store else NO_STORES
    if isinstance(value, Optimizer):
        return value.stores
    if depth > 5:
        return NO_STORES
    return frozenset(store for part in parts_of(value) for store in stores_in(part, depth + 1))
