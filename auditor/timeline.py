"""Which validation tokens were scored and trained on, in order: what a picture of an evaluation is drawn from.

One shape for both sources of truth. From the source the positions are symbolic: a chunk of a loop stands for all of its
turns, and `num_positions` is a nominal length. From a run they are positions of the toy stream that the script was run on.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    @property
    def reading(self) -> str:
        """What one sees, in a sentence or two."""
        scored = [step for step in self.steps if step.action is Action.SCORE]
        if not scored:
            return "No validation token is scored."
        offences = [step for step in scored if step.offence]
        if offences:
            verb = "is" if len(offences) == 1 else "are"
            share = "Every score is" if len(offences) == len(scored) else f"{len(offences)} of {len(scored)} scores {verb}"
            order = f"{share} computed with a state that the same tokens had trained before."
        elif self._trains_first():
            order = "Tokens are trained on before they are scored, by states that carry nothing of it."
        elif any(step.action is Action.TRAIN for step in self.steps):
            order = "Score first: no token is trained on before it has been scored."
        else:
            order = "Validation tokens are scored; no step drawn here trains on them."
        return f"{order} {_effect(scored)}"

    def _trains_first(self) -> bool:
        """Is a token, somewhere, trained on before its first score?"""
        scored: list[tuple[int, int]] = []
        early: list[tuple[int, int]] = []
        for step in self.steps:
            if step.action is Action.SCORE:
                if any(low < until and start < high for low, high in step.spans for start, until in early):
                    return True
                scored += step.spans
            elif step.action is Action.TRAIN:
                early += [span for span in step.spans if not _is_covered(span, scored)]
        return False


def _is_covered(span: tuple[int, int], by: Sequence[tuple[int, int]]) -> bool:
    reached = span[0]
    for low, high in sorted(by):
        if low <= reached < high:
            reached = high
    return reached >= span[1]


def _effect(scored: Sequence[Step]) -> str:
    """What the scores have to do with the submitted number."""
    counted = [step for step in scored if step.counted]
    if not counted:
        return "None of these scores is known to be the submitted number."
    if not any(step.offence for step in scored):
        return (
            "The submitted number is made of these scores."
            if len(counted) == len(scored)
            else "Some of them make up the submitted number."
        )
    return f"The submitted number is made of {'such' if any(step.offence for step in counted) else 'the other'} scores."
