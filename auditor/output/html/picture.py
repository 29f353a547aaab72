"""The picture of an evaluation: a row for each step, time downwards, the validation stream from left to right.

Steps that score, train, put back a state or score what was trained on before differ by colour and by pattern. The picture
is a table, so that whoever does not see it reads the same; a row's drawing says which share of the stream it touches. What
happens at each place stands below, once, so that the rows stay close together and a staircase looks like one.
"""

from __future__ import annotations

from auditor.finding import Basis
from auditor.output.html.charts import percent
from auditor.output.html.frames import code
from auditor.output.html.markup import EMPTY, Markup, element, join
from auditor.output.html.symbols import OFFENCE, kind, legend_of_steps
from auditor.output.summary import listed, place
from auditor.timeline import Action, Step, Timeline

_VERBS = {Action.SCORE: "score", Action.TRAIN: "train", Action.RESTORE: "restore"}
_BASES = {Basis.SOURCE: "From the source, followed in the submitted configuration", Basis.RUN: "From a run at toy scale"}
_MAX_ROWS = 100  # ours: a run may have thousands of steps
_MAX_NAMED = 6  # ours: steps that are named for one place


def picture(timeline: Timeline, own_id: str) -> Markup:
    """One timeline; `own_id` tells it from others on the page."""
    basis = _BASES.get(timeline.basis, str(timeline.basis))
    caption = element(
        "figcaption",
        element("p", timeline.reading, class_="reading"),
        element("p", f"{basis}. {timeline.caption}", class_="place"),
        id=own_id,
    )
    left_out = len(timeline.steps) - _MAX_ROWS
    more = element("p", f"{left_out:,} more steps are not drawn.", class_="place") if left_out > 0 else EMPTY
    marks = legend_of_steps({kind(step) for step in timeline.steps})
    return element("figure", caption, marks, _table(timeline, own_id), more, _places(timeline), class_="picture")


def _table(timeline: Timeline, own_id: str) -> Markup:
    scored = {step.counted for step in timeline.steps if step.action is Action.SCORE}
    is_mixed = len(scored) == 2
    heads = ["Step", "What", "First to last validation token", "Line", *(["Submitted"] if is_mixed else [])]
    head = element("tr", *(element("th", word, scope="col") for word in heads))
    rows = (_row(number, step, timeline, is_mixed) for number, step in enumerate(timeline.steps[:_MAX_ROWS], start=1))
    return element("table", element("thead", head), element("tbody", *rows), class_="timeline", aria_labelledby=own_id)


def _row(number: int, step: Step, timeline: Timeline, is_mixed: bool) -> Markup:
    where = _positions(step, timeline)
    width = timeline.num_positions
    title = element("title", f"step {number}: {_VERBS[step.action]} {where}")
    marks = (
        element("rect", x=percent(low / width), width=percent((high - low) / width), class_=f"m-{kind(step)}")
        for low, high in step.spans
    )
    line = step.location.line if step.location else None
    cells = [_VERBS[step.action], element("svg", title, *marks, role="img"), "" if line is None else str(line)]
    if is_mixed:
        cells.append("yes" if step.counted else "")
    of_kind = OFFENCE if step.offence else None
    return element("tr", element("th", str(number), scope="row"), *(element("td", cell) for cell in cells), class_=of_kind)


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


def _places(timeline: Timeline) -> Markup:
    """What happens at each place, and in which steps."""
    places: dict[tuple[str, str], tuple[Step, list[str]]] = {}
    for number, step in enumerate(timeline.steps, start=1):
        where = place(step.location) if step.location else ""
        _, numbers = places.setdefault((where, kind(step)), (step, []))
        numbers.append(str(number))
    return element("ul", join(_told(where, found) for (where, _), found in places.items()), class_="places")


def _told(where: str, found: tuple[Step, list[str]]) -> Markup:
    step, numbers = found
    steps = f"step {numbers[0]}" if len(numbers) == 1 else f"steps {listed(numbers, _MAX_NAMED)}"
    return element("li", f"{steps}: ", join((code(where), " ")) if where else "", step.text)
