"""Abstract values: what the evaluator knows of an object instead of the object.

Everything numeric is `Data`: no number, but where it comes from. Which tokens it depends on, which updates stand behind
it, which state a gradient through it would reach, whose loss it is. Containers, functions and instances of the
script's own classes keep their structure. Objects that the script mutates are mutable here too, so that aliases need no
analysis of their own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Union

from auditor.events import Region, Role, Turn
from auditor.finding import Location

if TYPE_CHECKING:
    from auditor.submission.script import Module

_MAX_REGIONS = 40  # ours: beyond it regions are merged, which can only make them larger

Regions = frozenset[Region]
Numbers = frozenset[int]
NO_REGIONS: Regions = frozenset()
NO_NUMBERS: Numbers = frozenset()
NO_TURNS: frozenset[Turn] = frozenset()
NO_STORES: frozenset[Store] = frozenset()
NO_NAMES: frozenset[str] = frozenset()


class Store:
    """State that training can change: the parameters of a model (with its adapters), or one free tensor."""

    def __init__(self, name: str, is_tensor: bool = False, shared_by_batch: bool = False) -> None:
        self.name = name
        self.is_tensor = is_tensor
        self.shared_by_batch = shared_by_batch
        self.hooks: list[Value] = []
        self._into: Store | None = None
        self._influences: Numbers = NO_NUMBERS
        self._tokens: Regions = NO_REGIONS
        self._gradient: Regions = NO_REGIONS

    @property
    def root(self) -> Store:
        """The state that this one has become a part of."""
        store = self
        while store._into is not None:
            store = store._into
        return store

    def join(self, other: Store) -> None:
        """Make this state a part of `other`: a submodule of a module."""
        mine, theirs = self.root, other.root
        if mine is not theirs:
            theirs._influences |= mine._influences
            theirs._tokens |= mine._tokens
            theirs._gradient |= mine._gradient
            mine._into = theirs

    @property
    def influences(self) -> Numbers:
        """The updates that made it what it is."""
        return self.root._influences

    @influences.setter
    def influences(self, numbers: Numbers) -> None:
        self.root._influences = numbers

    @property
    def tokens(self) -> Regions:
        """Tokens that its values were computed from other than by updates (a quantiser's statistics)."""
        return self.root._tokens

    @tokens.setter
    def tokens(self, regions: Regions) -> None:
        self.root._tokens = regions

    @property
    def gradient(self) -> Regions:
        """The tokens behind the gradient that waits for the next step."""
        return self.root._gradient

    @gradient.setter
    def gradient(self, regions: Regions) -> None:
        self.root._gradient = regions


@dataclass(frozen=True, slots=True)
class Index:
    """A loop's counter in one turn: where it starts, if known."""

    loop: int
    turn: int
    start: int | None


@dataclass(slots=True, eq=False)
class Data:
    """A number, tensor, array or text that is not known itself; see the module's docstring.

    `losses` are the tokens whose realised probability this value tells. `scores` number the Score events summed into it.
    `turns` are the loop turns that decided it. `shift` is a constant offset of a position (None: not a position that is
    known to be ahead or behind; -1: behind), `is_length` a distance between positions. `base` is the tensor that this one is a view of: writes go there too.
    `table_word` marks what a table says about the realised token, `mask` a test of anything,
    `counted` a histogram, `by_token` an entry of a fixed table that a token picks. `origin` is where a text was put together, `born` the turns in which a
    new tensor or dictionary was made. `spread` is a token's log probability
    divided over its bytes, `of_bytes` what single bytes of a token decide, `mixture` the number of the event where such a share was mixed with another predictor.
    """

    tokens: Regions = NO_REGIONS
    influences: Numbers = NO_NUMBERS
    stores: frozenset[Store] = NO_STORES
    turns: frozenset[Turn] = NO_TURNS
    scores: Numbers = NO_NUMBERS
    losses: Regions = NO_REGIONS
    lookups: Numbers = NO_NUMBERS
    gates: Numbers = NO_NUMBERS
    files: frozenset[Role] = frozenset()
    switches: frozenset[str] = NO_NAMES
    hashed: bool = False
    per_byte: bool = False
    spread: bool = False
    of_bytes: bool = False
    gradient: bool = False
    weights: bool = False
    shift: int | None = None
    is_length: bool = False
    index: Index | None = None
    span: tuple[str | None, str | None] | None = None
    alias: Store | None = None
    table: bool = False
    name: str | None = None
    text: str | None = None
    mixture: Location | None = None
    base: Data | None = None
    mask: bool = False
    counted: bool = False
    by_token: bool = False
    origin: Location | None = None
    born: frozenset[Turn] | None = None
    table_word: bool = False

    def absorb(self, other: Data) -> None:
        """Write `other` into this tensor, and into the tensor that it is a view of."""
        target: Data | None = self
        seen = 0
        while target is not None and seen < 8:
            merge_into(target, other)
            target, seen = target.base, seen + 1


_SETS = ("tokens", "influences", "stores", "scores", "losses", "lookups", "gates", "files", "switches")


def merge_into(target: Data, other: Data) -> None:
    """Union of what is known, in place; of live parameters, what they are now."""
    if other.alias is not None:
        target.influences |= other.alias.influences
        target.tokens |= other.alias.tokens
    for name in _SETS:
        extra = getattr(other, name)
        if extra:
            setattr(target, name, getattr(target, name) | extra)
    if len(target.tokens) > _MAX_REGIONS:
        target.tokens = coarse(target.tokens)
    if len(target.losses) > _MAX_REGIONS:
        target.losses = coarse(target.losses)
    target.turns = target.turns | other.turns
    target.hashed |= other.hashed
    target.per_byte |= other.per_byte
    target.spread |= other.spread
    target.of_bytes |= other.of_bytes
    target.gradient |= other.gradient
    target.weights |= other.weights
    target.mixture = target.mixture or other.mixture


def derived(*parts: Data) -> Data:
    """A new value computed from `parts`."""
    result = Data()
    for part in parts:
        merge_into(result, part)
    return result


def coarse(regions: Regions) -> Regions:
    """Fewer regions that cover at least the same tokens: spans go first, then the loop turns."""
    merged = frozenset(Region(region.role, region.view, region.turns) for region in regions)
    if len(merged) <= _MAX_REGIONS:
        return merged
    return frozenset(Region(region.role, region.view) for region in regions)


@dataclass(frozen=True, slots=True)
class Const:
    """A known Python constant. `switches` are the settings that it was read from."""

    value: object
    switches: frozenset[str] = NO_NAMES


@dataclass(slots=True, eq=False)
class Sequence:
    """A list, tuple, set or iterator. Exact ones know every item; else `items` are what it may hold.

    `base` is the list that this one is one element's view of: what is appended goes there too.
    """

    items: list[Value]
    exact: bool = True
    is_tuple: bool = False
    turns: frozenset[Turn] = NO_TURNS
    base: Sequence | None = None


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


@dataclass(slots=True, eq=False)
class Optimizer:
    """Anything with a `step` over parameters."""

    stores: frozenset[Store]
    name: str


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


Value = Union[
    Const, Data, Sequence, Mapping, Function, Class, Instance, Optimizer, Library, ModuleValue, File, Method, Choice
]
NONE = Const(None)


def options(value: Value) -> tuple[Value, ...]:
    """The alternatives of a value; itself where it is decided."""
    return value.options if isinstance(value, Choice) else (value,)


def choice(values: Iterable[Value]) -> Value:
    """One of `values`: data are merged, equal ones are one."""
    distinct: list[Value] = []
    data: list[Data] = []
    for value in (option for value in values for option in options(value)):
        if isinstance(value, Data):
            if not any(known is value for known in data):
                data.append(value)
        elif not any(_same(value, known) for known in distinct):
            distinct.append(value)
    if data:
        merged = data[0] if len(data) == 1 else _joined(data)
        if all(isinstance(value, Const) for value in distinct):
            return merged
        distinct.append(merged)
    return distinct[0] if len(distinct) == 1 else Choice(tuple(distinct[:8]))


def _joined(data: list[Data]) -> Data:
    joined = derived(*data)
    if all(value.alias is data[0].alias for value in data):
        joined.alias = data[0].alias
    joined.table = any(value.table for value in data)
    joined.base = next((value for value in data if value.table or value.scores), data[0])
    return joined


def _same(first: Value, second: Value) -> bool:
    if first is second:
        return True
    if isinstance(first, Const) and isinstance(second, Const):
        return type(first.value) is type(second.value) and first.value == second.value
    return False


def summary(value: Value, depth: int = 0) -> Data:
    """Everything known about a value as one `Data`; the value itself where it is one."""
    if isinstance(value, Data):
        return value
    if isinstance(value, Const):
        return Data(switches=value.switches) if value.switches else Data()
    if isinstance(value, File):
        return Data(files=value.files)
    if isinstance(value, Instance):
        return module_data(value.store) if value.store else Data()
    if depth > 4:
        return Data()
    return derived(*(summary(part, depth + 1) for part in parts_of(value)))


def parts_of(value: Value) -> list[Value]:
    """What a container holds, or the alternatives of a choice."""
    match value:
        case Sequence():
            return value.items
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
