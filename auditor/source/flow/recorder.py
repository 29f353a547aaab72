"""Writes down events while a script is evaluated, and the pairs of update and score that meet on the same tokens.

The meeting has to be judged at the moment of the score, because a region names the turns of loops that are still
running: two turns of one running loop select different tokens, a loop that has ended stands for all of its turns.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import replace

from auditor.events import (
    Blend,
    Choice,
    Connect,
    Gate,
    Lookup,
    Read,
    Region,
    Report,
    Role,
    Score,
    Selection,
    Statistics,
    Unknown,
    Update,
    UpdateKind,
    View,
    Write,
    holds_target,
    overlap,
    roles_of,
    validation,
)
from auditor.finding import Location
from auditor.source.flow.record import Meeting, Record
from auditor.source.flow.values import Data, Numbers, Regions, Store

_MAX_QUOTED = 120  # ours: characters of an expression that are quoted


class Recorder(Record):
    """Collects the events of one evaluation of a script."""

    # ---- events ----

    def score(self, node: ast.AST, losses: Data, place: Location | None = None) -> int:
        """The losses that `losses` holds enter a sum, or (at `place`) a printed text."""
        tokens = self.current(losses.losses)
        chosen, gates = self.chosen(losses), self.gates_of(losses)
        key = ("score", place or id(node), self.turns, tokens, losses.influences, losses.lookups, gates, chosen)
        if key in self._seen:
            return self._seen[key]
        for loop in self.loops:
            loop.used = True
        common = self._common(node)
        common["location"] = place or common["location"]
        number = self._add(
            Score(
                **common,  # type: ignore[arg-type]
                tokens=tokens,
                states=tuple(sorted({store.root.name for store in losses.stores})),
                influences=losses.influences,
                lookups=losses.lookups,
                gates=gates,
                hindsight=chosen,
                blends=losses.blends,
                byte_mixture=losses.mixture,
                with_gradient=losses.gradient,
                native=losses.native,
                by_training=Role.TRAINING in roles_of(losses.tokens),
            ),
            key,
        )
        self._meet(number, tokens, losses)
        return number

    def _meet(self, score: int, tokens: Regions, losses: Data) -> None:
        """Which updates the state behind a score carries that used its tokens.

        Losses that were put aside keep what was told of them then: by now the loops that selected them may have ended.
        """
        before = [event for number in losses.scores if isinstance(event := self.events[number], Score)]
        judged = frozenset[int]().union(*(earlier.influences for earlier in before))
        inherited = [replace(met, score=score) for met in self.meetings if met.score in losses.scores]
        self.meetings += dict.fromkeys(inherited)  # each once: sums of sums would double them every time
        for number in sorted(losses.influences - judged - self.abandoned):
            update = self.events[number]
            assert isinstance(update, Update)
            for trained in validation(update.tokens):
                hit = next((scored for scored in tokens if overlap(trained, scored, self.active)), None)
                if hit is None:
                    continue
                same = any(turn in hit.turns and turn[0] in self.active for turn in trained.turns)
                span = (trained.span.low, trained.span.high) if trained.span else None
                limited = losses.span or ((hit.span.low, hit.span.high) if hit.span else None)
                self.meetings.append(Meeting(score, number, same, span, limited))
                break

    def update(self, node: ast.AST, kind: UpdateKind, how: str, stores: Iterable[Store], tokens: Regions) -> int | None:
        """State changed under the influence of `tokens`; None where no tokens of interest are involved."""
        stores = list(stores)
        names = tuple(sorted({store.root.name for store in stores})) or ("table",)
        shared = any(store.root.shared_by_batch for store in stores) and self._several_windows(tokens)
        return self.table_update(node, kind, how, names, tokens, shared)

    def table_update(
        self, node: ast.AST, kind: UpdateKind, how: str, names: tuple[str, ...], tokens: Regions, shared: bool = False
    ) -> int | None:
        """The same for state that is told by its names."""
        interesting = frozenset(region for region in tokens if region.role is not Role.BYTE_COUNTS)
        if not interesting:
            return None
        key = ("update", id(node), kind, self.turns, interesting, names)
        if key in self._seen:
            return self._seen[key]
        if validation(interesting):
            for loop in self.loops:
                loop.updated = True
        return self._add(
            Update(
                **self._common(node),  # type: ignore[arg-type]
                kind=kind,
                how=how,
                states=names,
                tokens=interesting,
                scored_by=self._scored_by(validation(interesting)),
                shared_by_batch=shared,
            ),
            key,
        )

    def lookup(self, node: ast.AST, table: str, key_data: Data, by_target: bool) -> int:
        """A table is asked."""
        hashed = holds_target(key_data.hashed) if by_target else bool(key_data.hashed)
        key = ("lookup", id(node), by_target, hashed)
        if key in self._seen:
            return self._seen[key]
        return self._add(
            Lookup(
                **self._common(node),  # type: ignore[arg-type]
                table=table,
                key=key_data.tokens,
                by_target=by_target,
                hashed=hashed,
                over_alphabet=key_data.all_of and not by_target,
            ),
            key,
        )

    def pick(self, rows: Numbers) -> None:
        """One entry of what these lookups said is taken."""
        if rows:
            self._picks.add(rows)

    def sum_up(self, rows: Numbers) -> None:
        """What these lookups said is summed over."""
        self._summed |= rows

    def gate(self, node: ast.AST) -> int:
        """A choice depends on what a table says about the realised token."""
        key = ("gate", id(node))
        if key in self._seen:
            return self._seen[key]
        return self._add(Gate(**self._common(node), text=_text(node)), key)  # type: ignore[arg-type]

    def choice(self, node: ast.AST, tokens: Regions) -> int:
        """Losses of `tokens` decide something."""
        key = ("choice", id(node), self.turns, tokens)
        if key in self._seen:
            return self._seen[key]
        return self._add(Choice(**self._common(node), text=_text(node), tokens=tokens), key)  # type: ignore[arg-type]

    def blend(self, node: ast.AST) -> int:
        """Targets and inputs are picked from, position by position."""
        key = ("blend", id(node))
        if key in self._seen:
            return self._seen[key]
        return self._add(Blend(**self._common(node), text=_text(node)), key)  # type: ignore[arg-type]

    def report(self, node: ast.AST, label: str, value: Data, is_metric: bool, origin: Location | None) -> None:
        """A number was printed; `origin` is where its text was put together."""
        key = ("report", origin or id(node), label, value.scores)
        if key not in self._seen:
            common = self._common(node)
            common["location"] = origin or common["location"]
            self._add(Report(**common, label=label, scores=value.scores, is_metric=is_metric), key)  # type: ignore[arg-type]

    def write(self, node: ast.AST, path: str, value: Data, in_memory: bool = False) -> None:
        """A file or a buffer was written."""
        key = ("write", id(node), value.weights, value.influences, value.tokens)
        if key not in self._seen:
            self._add(
                Write(
                    **self._common(node),  # type: ignore[arg-type]
                    path=path,
                    weights=value.weights,
                    tokens=value.tokens,
                    influences=value.influences,
                    in_memory=in_memory,
                ),
                key,
            )

    def statistics(self, node: ast.AST, function: str, result: Data) -> None:
        """A call returned; note it if what it returned are statistics of validation tokens."""
        tokens = validation(result.tokens)
        key = ("statistics", id(node), self.turns, tokens)
        if tokens and result.weights and not (result.losses or result.scores) and key not in self._seen:
            self._add(Statistics(**self._common(node), function=function, tokens=tokens), key)  # type: ignore[arg-type]

    def selection(self, node: ast.AST) -> None:
        """Weights are kept; note it if a comparison of losses of validation tokens decides that."""
        key = ("selection", id(node))
        if self.judgements and key not in self._seen:
            self._add(Selection(**self._common(node)), key)  # type: ignore[arg-type]

    def read(self, node: ast.AST, what: str, role: Role) -> None:
        """Data were opened; the role is `OTHER` for a shard whose name could not be told."""
        key = ("read", id(node), role, tuple(id(frame.call) for frame in self.frames))
        if key not in self._seen:
            self._add(Read(**self._common(node), what=what, role=role), key)  # type: ignore[arg-type]

    def connect(self, node: ast.AST, what: str) -> None:
        """The network is used."""
        key = ("connect", id(node), what)
        if key not in self._seen:
            self._add(Connect(**self._common(node), what=what), key)  # type: ignore[arg-type]

    def elsewhere(self, node: ast.AST, sentence: str, place: Location | None = None) -> None:
        """Something is left to code that is not shipped, or a number comes from there."""
        self.calls_away[place or self.here(node), sentence] = None

    def unknown(self, node: ast.AST | None, construct: str, reason: str) -> None:
        """Something could not be told."""
        key = ("unknown", id(node), construct)
        if key not in self._seen and self.frames:
            self._seen[key] = -1
            self.problems.append(Unknown(**self._common(node), construct=construct, reason=reason))  # type: ignore[arg-type]


def _text(node: ast.AST) -> str:
    """What stands there, as far as a message quotes it."""
    return ast.unparse(node)[:_MAX_QUOTED]


def targets(tokens: Iterable[Region]) -> Regions:
    """The regions that are the tokens being predicted, where views are told apart; else the stream."""
    regions = frozenset(tokens)
    exact = frozenset(region for region in regions if region.view is View.TARGET)
    return exact or frozenset(region for region in regions if region.view is View.STREAM)
