"""Numbers, tensors, arrays and texts as the evaluator knows them: not what they are, but where they come from."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.events import Region, Role, Turn
from auditor.finding import Location
from auditor.source.flow.stores import NO_NUMBERS, NO_REGIONS, Numbers, Regions, Store

_MAX_REGIONS = 40  # ours: beyond it regions are merged, which can only make them larger

NO_TURNS: frozenset[Turn] = frozenset()
NO_STORES: frozenset[Store] = frozenset()
NO_NAMES: frozenset[str] = frozenset()


POSITIONS = -2
"""Stands for the loop of an index that counts positions within a window."""


@dataclass(frozen=True, slots=True)
class Index:
    """A loop's counter in one turn: where it starts, if known."""

    loop: int
    turn: int
    start: int | None


@dataclass(slots=True, eq=False)
class Data:
    """A number, tensor, array or text: what is known of it instead of its value.

    Where it comes from: `tokens` and `influences` (updates) that it depends on, `stores` that a gradient through it would
    reach, `files` whose contents it names, `switches` that it was read from, `turns` of loops that decided it.

    `spelled` are the loops over a token's bytes that tell of the bytes before.

    What it is: `losses` are the tokens whose realised probability it tells, `scores` the Score events summed into it,
    `lookups`, `gates`, (choices by losses) `hindsight` and (targets among inputs) `blends` what shaped it, `tests` the
    tests of stream tokens that decided single entries: gates of whoever takes the entry of a token to score that token;
    `rows` are lookups whose answers under hashed keys it still holds one by one. `per_byte` is a score divided by
    bytes, `spread` a token's log probability divided over its bytes, `of_bytes` what single bytes of a token decide,
    `mixture` where the two were mixed. `hashed` are the tokens that bit operations have mixed into a key, `all_of`
    something computed for every number of a range, `table` something that tokens were counted into, `table_word` what
    that says about the realised token, `by_token` an entry of a fixed array that a token picks, `counted` a histogram,
    `mask` a test of anything, `hit` whether the realised token is another one, `native` something that compiled code
    decides, `judged` one that compares losses of validation tokens, `peeks` one that does so before they are scored,
    `weights` something computed from parameters, `gradient` whether a backward pass through it is possible, `foreign`
    are functions of modules that are not shipped which had a part in it, `optional` a number or text that may be None.

    Where it stands: `shift` is a constant offset against the stream (-1: behind; None: not known), `is_length` a
    distance, `index` a loop's counter, `span` the positions of a window that it is limited to, `order` how its items
    were put out of their order.

    What it belongs to: `alias` is the state whose live parameters it is, `base` the tensor that it is a view of (writes go
    there too), `born` the turns in which it was made, `name` what it was bound to, `text` and `origin` a text's known
    part and where it was put together.
    """

    tokens: Regions = NO_REGIONS
    influences: Numbers = NO_NUMBERS
    stores: frozenset[Store] = NO_STORES
    turns: frozenset[Turn] = NO_TURNS
    scores: Numbers = NO_NUMBERS
    losses: Regions = NO_REGIONS
    lookups: Numbers = NO_NUMBERS
    gates: Numbers = NO_NUMBERS
    hindsight: Numbers = NO_NUMBERS
    blends: Numbers = NO_NUMBERS
    rows: Numbers = NO_NUMBERS
    tests: Numbers = NO_NUMBERS
    files: frozenset[Role] = frozenset()
    switches: frozenset[str] = NO_NAMES
    hashed: Regions = NO_REGIONS
    all_of: bool = False
    hit: bool = False
    per_byte: bool = False
    spread: bool = False
    of_bytes: bool = False
    spelled: Numbers = NO_NUMBERS
    gradient: bool = False
    weights: bool = False
    native: bool = False
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
    judged: bool = False
    peeks: bool = False
    order: str | None = None
    foreign: frozenset[str] = NO_NAMES
    optional: bool = False

    def absorb(self, other: Data) -> None:
        """Write `other` into this tensor, and into the tensor that it is a view of."""
        target: Data | None = self
        seen = 0
        while target is not None and seen < 8:
            merge_into(target, other)
            target.table_word |= other.table_word
            target, seen = target.base, seen + 1


def merge_into(target: Data, other: Data) -> None:
    """Union of what is known, in place; of live parameters, what they are now.

    Written out, because a good part of an analysis is spent here: most values hold few of these sets.
    """
    if other.alias is not None:
        target.influences |= other.alias.influences
        target.tokens |= other.alias.tokens
    if other.tokens or other.losses:
        _merge_regions(target, other)
    if other.influences:
        target.influences |= other.influences
    if other.stores:
        target.stores |= other.stores
    if other.turns:
        target.turns |= other.turns
    if other.scores:
        target.scores |= other.scores
    _merge_answers(target, other)
    if other.hashed or other.spelled:
        target.hashed |= other.hashed
        target.spelled |= other.spelled
    if other.files or other.switches:
        target.files |= other.files
        target.switches |= other.switches
    _merge_marks(target, other)


def _merge_regions(target: Data, other: Data) -> None:
    target.tokens |= other.tokens
    target.losses |= other.losses
    if len(target.tokens) > _MAX_REGIONS:
        target.tokens = coarse(target.tokens)
    if len(target.losses) > _MAX_REGIONS:
        target.losses = coarse(target.losses)


def _merge_answers(target: Data, other: Data) -> None:
    if other.lookups or other.gates or other.tests:
        target.lookups |= other.lookups
        target.gates |= other.gates
        target.tests |= other.tests
    if other.hindsight or other.blends:
        target.hindsight |= other.hindsight
        target.blends |= other.blends


def _merge_marks(target: Data, other: Data) -> None:
    target.all_of |= other.all_of
    target.hit |= other.hit
    target.per_byte |= other.per_byte
    target.spread |= other.spread
    target.of_bytes |= other.of_bytes
    target.gradient |= other.gradient
    target.judged |= other.judged
    target.weights |= other.weights
    target.native |= other.native
    target.mixture = target.mixture or other.mixture
    if other.foreign:
        target.foreign |= other.foreign


def derived(*parts: Data) -> Data:
    """A new value computed from `parts`."""
    result = Data()
    for part in parts:
        merge_into(result, part)
    return result


def is_plain(data: Data) -> bool:
    """Does a value depend on nothing of note?"""
    return not (data.scores or data.losses or data.tokens or data.stores or data.files)


def coarse(regions: Regions) -> Regions:
    """Fewer regions that cover at least the same tokens: spans go first, then the loop turns."""
    merged = frozenset(Region(region.role, region.view, region.turns) for region in regions)
    if len(merged) <= _MAX_REGIONS:
        return merged
    return frozenset(Region(region.role, region.view) for region in regions)
