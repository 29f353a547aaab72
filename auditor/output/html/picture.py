"""The picture of an evaluation: a row for each step, time downwards, the validation stream from left to right.

Steps that score, train, put back a state or score what was trained on before differ by colour and by pattern. The picture
is a table, so that whoever does not see it reads the same; a row's drawing says which share of the stream it touches.
"""

from __future__ import annotations

from auditor.finding import Basis
from auditor.output.html.charts import box, drawing
from auditor.output.html.frames import code
from auditor.output.html.markup import EMPTY, Markup, element, join
from auditor.output.html.symbols import kind, legend
from auditor.timeline import Action, Step, Timeline

_VERBS = {Action.SCORE: "score", Action.TRAIN: "train", Action.RESTORE: "restore"}
_BASES = {Basis.SOURCE: "From the source, followed in the submitted configuration", Basis.RUN: "From a run at toy scale"}


def picture(timeline: Timeline, prefix: str) -> Markup:
    """One timeline; `prefix` keeps its ids apart from others on the page."""
    own = f"{prefix}caption"
    counted = any(step.counted for step in timeline.steps)
    heads = ["Step", "What", "First to last validation token", *(["Counts"] if counted else []), "In words"]
    head = element("tr", *(element("th", word, scope="col") for word in heads))
    rows = (_row(number, step, timeline, counted) for number, step in enumerate(timeline.steps, start=1))
    table = element("table", element("thead", head), element("tbody", *rows), class_="timeline", aria_labelledby=own)
    basis = _BASES.get(timeline.basis, str(timeline.basis))
    caption = element("figcaption", element("p", timeline.reading, class_="reading"), element("p", f"{basis}. {timeline.caption}"), id=own)
    return element("figure", caption, legend({kind(step) for step in timeline.steps}), table, class_="picture")


def _row(number: int, step: Step, timeline: Timeline, counted: bool) -> Markup:
    where = _positions(step, timeline)
    title = f"step {number}: {step.text}; {where}"
    width = timeline.num_positions
    marks = (box(low / width, high / width, kind(step), title, "6%", "88%") for low, high in step.spans)
    place = join((" ", code(str(step.location)))) if step.location else EMPTY
    cells = [
        element("th", str(number), scope="row"),
        element("td", _VERBS[step.action], class_="verb"),
        element("td", drawing(where, *marks), class_="drawn"),
    ]
    if counted:
        cells.append(element("td", "counts" if step.counted else ""))
    cells.append(element("td", step.text, place))
    return element("tr", *cells, class_=f"k-{kind(step)}")


def _positions(step: Step, timeline: Timeline) -> str:
    """``all tokens``, or the share of the stream that the step touches."""
    if not step.spans:
        return "no tokens"
    low, high = step.spans[0][0], step.spans[-1][1]
    if (low, high) == (0, timeline.num_positions):
        return "all tokens"
    if timeline.basis is Basis.RUN:
        return f"positions {low:,} to {high - 1:,}"
    return f"from {low / timeline.num_positions:.0%} to {high / timeline.num_positions:.0%} of the stream"
