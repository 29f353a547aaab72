"""The marks of the pictures: one colour and one pattern or shape for each kind of step, so that none rests on colour alone.

The patterns are defined once in a document; every picture of it refers to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from auditor.output.html.markup import Markup, element
from auditor.timeline import Action, Step

OFFENCE = "offence"
MEANINGS: Mapping[str, str] = {
    Action.SCORE: "scored before they had any influence",
    Action.TRAIN: "trained on",
    OFFENCE: "scored with a state that they had trained: not allowed",
    Action.RESTORE: "a state without that training",
}


def kind(step: Step) -> str:
    """Which mark a step gets: that of its action, or that of an offence."""
    return OFFENCE if step.offence else str(step.action)


def _pattern(name: str, size: int, *marks: Markup) -> Markup:
    ground = element("rect", width=size, height=size, class_=f"{name}-ground")
    return element("pattern", ground, *marks, id=f"p-{name}", width=size, height=size, patternUnits="userSpaceOnUse")


PATTERNS = element(
    "svg",
    element(
        "defs",
        _pattern("train", 6, element("path", d="M-1 7L7 -1M-1 1L1 -1M5 7L7 5", class_="train-ink")),
        _pattern("offence", 8, element("path", d="M1.5 1.5L6.5 6.5M6.5 1.5L1.5 6.5", class_="offence-ink")),
        _pattern("restore", 8, element("path", d="M0 4H5", class_="restore-ink")),
    ),
    class_="defs",
    aria_hidden="true",
    width=0,
    height=0,
)


def legend(samples: Iterable[tuple[Markup, str]]) -> Markup:
    """What marks mean: a small sample of each, and its meaning."""
    entries = (
        element("li", element("svg", mark, class_="swatch", aria_hidden="true"), " ", meaning) for mark, meaning in samples
    )
    return element("ul", *entries, class_="legend")


def legend_of_steps(kinds: set[str]) -> Markup:
    """What the marks among `kinds` mean."""
    return legend(
        (element("rect", width="100%", height="100%", class_=f"m-{name}"), meaning)
        for name, meaning in MEANINGS.items()
        if name in kinds
    )
