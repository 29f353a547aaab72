"""The events of an evaluation so far, and what the evaluator asks of them while it runs.

Which turns of which loops are running decides what two regions of tokens have in common, so these questions have to be
answered at the moment at which they arise: two turns of one running loop select different tokens, a loop that has ended
stands for all of its turns.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from auditor.events import (
    Choice,
    Event,
    Read,
    Score,
    Turn,
    Unknown,
    Update,
    UpdateKind,
    View,
    holds_target,
    overlap,
    validation,
)
from auditor.finding import Location
from auditor.source.flow.values import Data, Numbers, Regions
from auditor.source.parse import snippet_at
from auditor.submission.script import Module

_MAX_EVENTS = 4000  # ours: beyond it a trace is cut, and says so


@dataclass(slots=True)
class Loop:
    """One execution of a loop: its number, the turn that is running, and what happened in it so far.

    `body` are its statements, `depth` is the number of frames around it, `last` its counter's last value as text.
    `abandoned` are the events of this turn in branches that end it: what follows them happens only in turns without them;
    `gates` are tests of the realised token that decided whether such a branch was taken.
    """

    number: int
    turn: int = 0
    is_while: bool = False
    asked_for_start: bool = False
    updated: bool = False
    used: bool = False
    carried: bool = False
    body: Sequence[ast.stmt] = ()
    depth: int = 0
    last: str | None = None
    abandoned: set[int] = field(default_factory=set)
    gates: Numbers = frozenset()

    @property
    def tag(self) -> Turn:
        """The running turn."""
        return (self.number, self.turn)

    def begin(self, turn: int) -> None:
        """A turn begins: nothing was left out of it yet."""
        self.turn, self.gates = turn, frozenset()
        self.abandoned.clear()


@dataclass(slots=True)
class Frame:
    """A function being evaluated: its name, module, and the call that led to it."""

    name: str
    module: Module
    call: ast.AST | None = None


@dataclass(frozen=True, slots=True)
class Meeting:
    """Score number `score` read state that update number `update` had changed under the influence of the same tokens.

    `same_turn`: both happen in one turn of the loop that selects the tokens; else a whole pass lies between them.
    `update_span` and `score_span` are the positions within the window, where both are limited.
    """

    score: int
    update: int
    same_turn: bool
    update_span: tuple[str | None, str | None] | None = None
    score_span: tuple[str | None, str | None] | None = None

    @property
    def is_apart(self) -> bool:
        """Within one window, the update used only positions before those that are scored."""
        before, scored = self.update_span, self.score_span
        return self.same_turn and before is not None and scored is not None and before[1] == scored[0] is not None


@dataclass(slots=True)
class Record:
    """The events of one evaluation so far, where it stands, and what can be asked of both."""

    events: list[Event] = field(default_factory=list)
    meetings: list[Meeting] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    conditions: list[frozenset[str]] = field(default_factory=list)
    judgements: int = 0  # how many of them compare losses of validation tokens
    token_tests: list[tuple[int, Regions]] = field(default_factory=list)  # those of them that look up a stream token
    choices: list[Numbers] = field(default_factory=list)  # by losses, behind the conditions around us
    gates: list[Numbers] = field(default_factory=list)  # tests of the realised token, behind the conditions around us
    cancelled: set[int] = field(default_factory=set)  # choices that are taken out before an exponential
    problems: list[Unknown] = field(default_factory=list)
    calls_away: dict[tuple[Location, str], None] = field(default_factory=dict)  # what is left to code that is not shipped
    loaded: list[Location] = field(default_factory=list)  # where weights come from a file that this run did not write
    loop_count: int = 0
    byte_loops: set[int] = field(default_factory=set)  # loops over the bytes of one token
    orders: dict[int, str] = field(default_factory=dict)  # how lists of loops were put out of their order, by loop
    headings: dict[int, tuple[Location, str]] = field(default_factory=dict)  # where a loop begins, and its first line
    _picks: set[Numbers] = field(default_factory=set)
    _summed: set[int] = field(default_factory=set)
    _seen: dict[object, int] = field(default_factory=dict)

    @property
    def active(self) -> list[int]:
        """The loop executions that are running."""
        return [loop.number for loop in self.loops]

    @property
    def abandoned(self) -> set[int]:
        """Events that have not happened in a turn that got as far as this."""
        return set().union(*(loop.abandoned for loop in self.loops))

    @property
    def turns(self) -> frozenset[Turn]:
        """The running turns."""
        return frozenset(loop.tag for loop in self.loops)

    def put_in_order(self, loop: Loop, order: str | None) -> None:
        """A loop begins; `order` says how its list was put out of its order."""
        if order is not None:
            self.orders[loop.number] = order

    def ended_turn(self) -> frozenset[Turn]:
        """A turn that stands for all turns of a comprehension."""
        self.loop_count += 1
        return frozenset(((self.loop_count, 0),))

    def here(self, node: ast.AST | None) -> Location:
        """The place of `node` in the function that is being evaluated."""
        return _place(self.frames[-1], node)

    def _calls(self) -> tuple[Location, ...]:
        pairs = zip(self.frames, self.frames[1:], strict=False)
        return tuple(_place(caller, frame.call) for caller, frame in pairs if frame.call is not None)

    def _common(self, node: ast.AST | None) -> dict[str, object]:
        return {
            "number": len(self.events),
            "location": self.here(node),
            "calls": self._calls(),
            "loops": tuple(loop.number for loop in self.loops),
            "turns": tuple(loop.turn for loop in self.loops),
            "conditional": bool(self.conditions),
            "switches": tuple(sorted(set().union(*self.conditions))) if self.conditions else (),
        }

    def _add(self, event: Event, key: object) -> int:
        if len(self.events) >= _MAX_EVENTS:
            raise OverflowError(f"more than {_MAX_EVENTS:,} events")
        self.events.append(event)
        self._seen[key] = event.number
        return event.number

    def counts_anew(self, losses: Data) -> bool:
        """Are these losses of validation tokens that no earlier score has counted with this state?"""
        if not self.current(losses.losses):
            return False
        before = [event for number in losses.scores if isinstance(event := self.events[number], Score)]
        if losses.mixture and not any(score.byte_mixture for score in before):
            return True
        if losses.native and not any(score.native for score in before):
            return True
        known = frozenset[int]().union(*(score.influences | score.lookups | score.hindsight for score in before))
        return not before or not (losses.influences | losses.lookups | self.chosen(losses)) <= known

    def chosen(self, losses: Data) -> Numbers:
        """The choices behind these losses, and around us, that were made by losses of the same tokens."""
        numbers = losses.hindsight | self.written(losses)
        if not numbers:
            return numbers
        now, active = self.current(losses.losses), self.active
        found = [event for number in numbers if isinstance(event := self.events[number], Choice)]
        return frozenset(e.number for e in found if any(overlap(old, new, active) for old in e.tokens for new in now))

    def is_unscored(self, losses: Data) -> bool:
        """Are these losses of tokens that are still to be scored in this turn?"""
        tokens = frozenset(region for region in self.current(losses.losses) if region.view is not View.INPUT)
        return bool(tokens) and not losses.scores and not self._scored_by(tokens)

    def met(self, influences: Numbers, key: Regions, by_byte: bool = False) -> Numbers:
        """Of the updates behind a table, those that used tokens which the key selects in this turn.

        It has to be told here, while the loops run: where a table is asked token by token and the answers are
        gathered, the score that follows the loop can no longer tell one turn from another. With `by_byte` the bytes of
        one token follow each other within a turn, and only other turns count.
        """
        now, active = self.current(key), self.active
        found = set()
        for number in influences - self.abandoned:
            update = self.events[number]
            assert isinstance(update, Update)
            used = validation(update.tokens)
            hits = [(old, new) for old in used for new in now if overlap(old, new, active)]
            if by_byte:
                hits = [(old, new) for old, new in hits if not any(t in new.turns and t[0] in active for t in old.turns)]
            if update.kind is not UpdateKind.TABLE or hits:
                found.add(number)
        return frozenset(found)

    def spells(self, turns: Iterable[Turn], token: Regions) -> None:
        """A byte of `token` is taken: the innermost of `turns` that does not select the token counts its bytes."""
        selecting = {turn for region in token for turn in region.turns}
        counting = [turn for turn in turns if turn not in selecting]
        self.byte_loops |= {loop.number for loop in self.loops if loop.tag in counting}

    def spelled(self, influences: Numbers, key: Regions) -> Numbers:
        """The running loops over a token's bytes in which a table has taken in earlier bytes of the token."""
        running = {loop.number: loop.turn for loop in self.loops if loop.number not in self.byte_loops}
        of_token = [r for r in validation(key) if all(running.get(loop, turn) == turn for loop, turn in r.turns)]
        now = {turn for region in of_token for turn in region.turns if turn[0] in running}
        found = set()
        for number in influences:
            update = self.events[number]
            assert isinstance(update, Update)
            loops = self.byte_loops.intersection(update.loops, self.active)
            if loops and any(turn in now for region in validation(update.tokens) for turn in region.turns):
                found |= loops
        return frozenset(found)

    def current(self, regions: Regions) -> Regions:
        """The validation tokens that this turn selects; those of another turn are memory, not what is scored now."""
        running = {loop.number: loop.turn for loop in self.loops}
        return frozenset(
            region for region in validation(regions) if all(running.get(loop, turn) == turn for loop, turn in region.turns)
        )

    def tells_word(self, data: Data) -> bool:
        """Is this what a table says of the token that this turn selects?"""
        return data.table_word and holds_target(self.current(data.tokens))

    def selects(self, regions: Regions) -> bool:
        """Does a turn of a running loop select some of these validation tokens, so that they are less than the split?"""
        running = self.turns
        return any(region.turns & running for region in self.current(regions))

    def is_short_lived(self, born: frozenset[Turn] | None, key: Regions) -> bool:
        """Was a table made in the very turn that selects the tokens of its key?"""
        if born is None:
            return False
        current = self.turns
        return any(turn in born and turn in current for region in key for turn in region.turns)

    def _several_windows(self, tokens: Regions) -> bool:
        """Were the tokens gathered by a loop (or comprehension) within the turn that selects them?"""
        active = set(self.active)
        for region in validation(tokens):
            selecting = [loop for loop, _ in region.turns if loop in active]
            if selecting and any(loop > max(selecting) and loop not in active for loop, _ in region.turns):
                return True
        return False

    def _scored_by(self, tokens: Regions) -> Numbers:
        """Earlier scores in this turn of a running loop that counted all of `tokens`."""
        active = set(self.active)
        scores = [event for event in self.events if isinstance(event, Score)]
        found: set[int] = set()
        for region in tokens:
            turns = {turn for turn in region.turns if turn[0] in active}
            before = {score.number for score in scores if any(turns & scored.turns for scored in validation(score.tokens))}
            if not before:
                return frozenset()
            found |= before
        return frozenset(found)

    @property
    def picked(self) -> Numbers:
        """Lookups of which an entry was taken, nothing that was taken with it being summed anywhere."""
        return frozenset[int]().union(*(rows for rows in self._picks if not rows & self._summed))

    def written(self, value: Data) -> Numbers:
        """The choices that decide whether losses are written where we are."""
        if not self.choices or not (value.losses or value.scores):
            return frozenset()
        return frozenset[int]().union(*self.choices)

    def gates_of(self, losses: Data) -> Numbers:
        """The gates behind these losses; those around us too, if a table took part: a sum of plain losses is told apart."""
        return losses.gates.union(*self.gates, *(loop.gates for loop in self.loops)) if losses.lookups else losses.gates

    def tests_of_entry(self, turns: frozenset[Turn]) -> Numbers:
        """The tests around us of the very token of the stream whose turn selects an entry."""
        return frozenset(
            number
            for number, tokens in self.token_tests
            if any(region.turns & turns and region.view is not View.INPUT for region in tokens)
        )

    @property
    def shard_folders(self) -> set[str]:
        """The folders out of which shards were opened whose names tell what they hold."""
        return {posixpath.dirname(event.what) for event in self.events if isinstance(event, Read)}


def _place(frame: Frame, node: ast.AST | None) -> Location:
    module, line = frame.module, getattr(node, "lineno", None)
    return Location(path=module.source_path, line=line, symbol=frame.name, snippet=snippet_at(module.source, line))
