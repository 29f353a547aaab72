"""State that training changes, with the updates that made it what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.events import Region

if TYPE_CHECKING:
    from auditor.source.flow.values import Value

Regions = frozenset[Region]
Numbers = frozenset[int]
NO_REGIONS: Regions = frozenset()
NO_NUMBERS: Numbers = frozenset()


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

    @property
    def state(self) -> tuple[Numbers, Regions, Regions]:
        """Everything that training changes, to be put back."""
        return self._influences, self._tokens, self._gradient

    @state.setter
    def state(self, saved: tuple[Numbers, Regions, Regions]) -> None:
        self._influences, self._tokens, self._gradient = saved

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
