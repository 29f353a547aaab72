"""The vocabulary of events that source analysis and run recording share.

A script's evaluation is a sequence of events: validation tokens are scored with some state, state is updated under the
influence of some tokens, a table is looked up, a number is reported, a file is read or written. Source analysis gives
symbolic events in program order; a recorder gives concrete ones in time order. Rules ask both in the same words, so that
a finding from the source can be confirmed or refuted by a run.

An update's influence travels with the state that it changed and with everything computed from that state. An event
therefore lists the updates (by number) that stand behind it, and no reader has to follow objects or aliases.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from auditor.finding import Location


class Role(StrEnum):
    """Which data a token (or byte count) comes from."""

    VALIDATION = "validation"
    TRAINING = "training"
    BYTE_COUNTS = "byte counts"  # the validation split's byte side-car
    OTHER = "other"


class View(StrEnum):
    """How tokens stand to the token being predicted."""

    STREAM = "stream"  # not told apart
    INPUT = "input"  # x_1 .. x_{t-1}
    TARGET = "target"  # x_t


Turn = tuple[int, int]
"""One turn of one loop: the number of the loop's execution, and 0 for its first or 1 for a later turn."""


@dataclass(frozen=True, slots=True)
class Span:
    """Positions within a window, as the texts of the bounds; None is an open end."""

    low: str | None
    high: str | None

    def __str__(self) -> str:
        return f"[{self.low or ''}:{self.high or ''}]"


@dataclass(frozen=True, slots=True)
class Region:
    """Some tokens: their role and view, the loop turns that selected them, and their place within the window.

    A turn of a loop that has ended stands for all of its turns. No turns at all means all tokens of the role, or, with
    `is_piece`, those at positions that the script's text fixes (the first 64).
    """

    role: Role
    view: View = View.STREAM
    turns: frozenset[Turn] = frozenset()
    span: Span | None = None
    is_piece: bool = False


class UpdateKind(StrEnum):
    """What was changed."""

    PARAMETERS = "parameters"  # of a model or adapter
    DELTA = "delta"  # a free tensor: hidden delta, logit bias, embedding
    TABLE = "table"  # counts, a cache, a dictionary of contexts


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens: `number` counts in program order, `loops` are the loops around it, outermost first.

    `live` is False for what the submitted configuration never reaches; `switches` then name what keeps it off.
    `conditional` says that it stands under a condition that could not be decided.
    """

    number: int
    location: Location
    calls: tuple[Location, ...] = ()
    loops: tuple[int, ...] = ()
    turns: tuple[int, ...] = ()
    live: bool = True
    switches: tuple[str, ...] = ()
    conditional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Score(Event):
    """The losses of `tokens` enter a sum; `influences` are the updates behind the state that gave them.

    `reported` becomes true when the sum reaches a printed score. `lookups` and `gates` number the table lookups and the
    target-dependent choices that shaped the loss; `native` says that compiled code took part in it. `byte_mixture` is
    where a token's probability was mixed with a predictor of its bytes. `hindsight` numbers the choices by losses of these
    very tokens, `blends` the inputs into which they were mixed. `by_training` says that training tokens shaped it other
    than by the weights or by a file that the script wrote.
    """

    tokens: frozenset[Region]
    states: tuple[str, ...] = ()
    influences: frozenset[int] = frozenset()
    lookups: frozenset[int] = frozenset()
    gates: frozenset[int] = frozenset()
    hindsight: frozenset[int] = frozenset()
    blends: frozenset[int] = frozenset()
    byte_mixture: Location | None = None
    with_gradient: bool = False
    native: bool = False
    by_training: bool = False
    reported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Update(Event):
    """`states` change under the influence of `tokens`; `scored_by` are the scores that had counted them before."""

    kind: UpdateKind
    how: str
    states: tuple[str, ...]
    tokens: frozenset[Region]
    scored_by: frozenset[int] = frozenset()
    shared_by_batch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup(Event):
    """A table was asked under a key; `by_target` says that the key depends on the token being predicted,
    `hashed` that this token (or, without it, the context) went through bit operations on the way into the key.

    `picked`: it was asked for many tokens, the realised one's entry was taken, and nothing summed the entries up;
    `over_alphabet` then says that every token of the alphabet was hashed with the context, so that they share buckets.
    """

    table: str
    key: frozenset[Region]
    by_target: bool
    hashed: bool
    over_alphabet: bool = False
    picked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate(Event):
    """A choice (a condition, a mask, a weight) that depends on what a table says about the realised token."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Event):
    """A choice that losses of `tokens` decide; `cancels`: what was chosen is taken out again before an exponential."""

    text: str
    tokens: frozenset[Region]
    cancels: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend(Event):
    """Tokens that are predicted and tokens before them are picked from, position by position, into one tensor."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Event):
    """A number derived from `scores` was printed, logged or returned as a result."""

    label: str
    scores: frozenset[int]
    is_metric: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(Event):
    """Data of a role was opened."""

    what: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(Event):
    """A file was written; `tokens` and `influences` are what the written weights depend on.

    `in_memory`: it was written into a buffer, which some scripts size and read back without ever writing a file.
    """

    path: str
    weights: bool
    tokens: frozenset[Region] = frozenset()
    influences: frozenset[int] = frozenset()
    in_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics(Event):
    """A call of `function` gave statistics of `tokens` that the weights had a part in: Hessians, activation scales."""

    function: str
    tokens: frozenset[Region]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection(Event):
    """The weights are kept, or not, by a comparison of losses of validation tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect(Event):
    """The network is used: a download, a package installation, a remote API."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Event):
    """The analysis could not tell; `construct` is what it stopped at."""

    construct: str
    reason: str


def roles_of(regions: Iterable[Region]) -> set[Role]:
    """The roles among `regions`."""
    return {region.role for region in regions}


def validation(regions: Iterable[Region]) -> frozenset[Region]:
    """The regions of the validation split among `regions`."""
    return frozenset(region for region in regions if region.role is Role.VALIDATION)


def holds_target(key: Iterable[Region]) -> bool:
    """Is the token being predicted in a key: a target, or one position beside others that lie behind it?"""
    views = {region.view for region in validation(key)}
    return View.TARGET in views or {View.STREAM, View.INPUT} <= views


def overlap(first: Region, second: Region, active: Iterable[int]) -> bool:
    """Can two regions share a token, seen from inside the `active` loop executions?

    Two turns of one running loop select different tokens; everything else is taken to overlap.
    """
    if first.role is not second.role:
        return False
    running = set(active)
    turns = {loop: turn for loop, turn in first.turns if loop in running}
    return all(turns.get(loop, turn) == turn for loop, turn in second.turns)
