"""What changes state: gradients, optimizer steps, in-place arithmetic on parameters, restored copies.

A backward pass leaves, with every state that the loss was computed from, the tokens of that loss. A step makes them an
update. Restoring a saved copy takes an update back: the state then is what the copy was.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, replace

from auditor.events import Region, Role, Span, UpdateKind, validation
from auditor.source.flow import values as v
from auditor.source.flow.machine import Machine


@dataclass(slots=True)
class Training:
    """Changes stores on a machine."""

    machine: Machine

    def backward(self, loss: v.Data) -> None:
        """``loss.backward()``; the tokens behind what the weights were before (a quantiser's statistics) are no batch."""
        before = frozenset[Region]().union(*(store.tokens for store in loss.stores))
        tokens = within(loss.tokens - before, loss.span)
        for store in loss.stores:
            store.gradient |= tokens
        self.machine.last_loss = (tokens, loss.stores)

    def clear(self, stores: Iterable[v.Store]) -> None:
        """``optimizer.zero_grad()``."""
        for store in stores:
            store.gradient = v.NO_REGIONS

    def step(self, optimizer: v.Optimizer, node: ast.AST) -> None:
        """``optimizer.step()``: every state that has a gradient changes, with what earlier steps left in the moments."""
        before = optimizer.moments
        changed = {store.root for store in optimizer.stores if store.gradient}
        for store in sorted(changed, key=lambda store: store.name):
            number = self._changed([store], store.gradient, before, node, optimizer.name)
            if optimizer.has_moments and number is not None:
                optimizer.moments |= {number}
        if not changed and optimizer.stores:
            self._adapters_changed(optimizer, node)

    def _adapters_changed(self, optimizer: v.Optimizer, node: ast.AST) -> None:
        """What is stepped took no visible part in the loss: adapters that a patched forward pass brings into it."""
        tokens, stores = self.machine.last_loss
        number = self.machine.recorder.update(node, UpdateKind.PARAMETERS, optimizer.name, optimizer.stores, tokens)
        if number is not None:
            for store in (*optimizer.stores, *stores):
                store.influences |= {number}

    def change(self, place: v.Data, value: v.Data, node: ast.AST, how: str) -> None:
        """Parameters are changed without an optimizer."""
        assert place.alias is not None
        tokens = frozenset(region for region in value.tokens if region not in place.alias.tokens)
        self._changed([place.alias.root], within(tokens, value.span), value.influences, node, how)

    def _changed(
        self, stores: list[v.Store], tokens: v.Regions, influences: v.Numbers, node: ast.AST, how: str
    ) -> int | None:
        kind = UpdateKind.DELTA if stores[0].is_tensor else UpdateKind.PARAMETERS
        number = self.machine.recorder.update(node, kind, how, stores, tokens)
        for store in stores:
            store.influences |= influences | (frozenset((number,)) if number is not None else v.NO_NUMBERS)
        return number

    def made_by_hand(self, store: v.Store, value: v.Data, node: ast.AST) -> None:
        """A free tensor takes the place of the one that it was computed from and a gradient."""
        self._changed([store], within(value.tokens, value.span), value.influences, node, "arithmetic by hand")
        value.tokens, value.losses = v.NO_REGIONS, v.NO_REGIONS

    def load(self, store: v.Store, saved: v.Data) -> None:
        """``load_state_dict``: the state becomes what was saved."""
        if saved.alias is not None and saved.alias.root is store.root:
            return
        store.influences, store.tokens = saved.influences, validation(saved.tokens)

    def gradient(self, loss: v.Data, parameters: v.Value) -> v.Data:
        """``torch.autograd.grad(loss, parameters)``."""
        return v.Data(tokens=within(loss.tokens, loss.span), influences=loss.influences)

    def mixture(self, result: v.Data, parts: Iterable[v.Data], node: ast.AST) -> None:
        """A token's probability is mixed with a predictor of its bytes."""
        known = list(parts)
        spread = any(part.spread for part in known) and any(
            part.tokens and not part.spread and not part.scores for part in known
        )
        by_bytes = any(part.losses for part in known) and any(part.of_bytes and not part.losses for part in known)
        if spread or by_bytes:
            result.mixture = result.mixture or self.machine.recorder.here(node)


def within(regions: v.Regions, limits: tuple[str | None, str | None] | None) -> v.Regions:
    """The regions inside the positions that a mask leaves."""
    if limits is None:
        return regions
    span = Span(*limits)
    return frozenset(replace(r, span=r.span or span) if r.role is Role.VALIDATION else r for r in regions)
