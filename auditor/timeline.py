"""Which validation tokens were scored and trained on, in order: what a picture of an evaluation is drawn from.

One shape for both sources of truth. From the source the positions are symbolic: a chunk of a loop stands for all of its
turns, and `num_positions` is a nominal length. From a run they are positions of the toy stream that the script was run on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from auditor.finding import Basis, Location


class Action(StrEnum):
    """What happened to the tokens of a step."""

    SCORE = "score"  # their losses entered a sum
    TRAIN = "train"  # they influenced weights, an adapter, a delta or a table
    RESTORE = "restore"  # an earlier state was put back: what was trained since is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an evaluation: at `spans`, half-open ranges of positions, `action` happened.

    `counted`: the scores reach the submitted number. `offence`: the tokens are scored after they had influenced the state
    that scores them. `text` says it in words.
    """

    action: Action
    spans: tuple[tuple[int, int], ...]
    text: str
    counted: bool = False
    offence: bool = False
    location: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Steps in order over a stream of `num_positions` tokens, as told by `basis`; `caption` says what is drawn."""

    basis: Basis
    num_positions: int
    steps: tuple[Step, ...]
    caption: str
