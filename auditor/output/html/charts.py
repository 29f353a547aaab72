"""Sizes against the cap and the seeds on a line, as tables with a drawing in each row.

A table is its own text alternative, and grows no chart furniture: what a bar shows stands beside it as a number. Places
are given in percent, so that a drawing fits any width and nothing in it is stretched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from auditor.finding import Amount, Measurement
from auditor.output.html.markup import EMPTY, Markup, element, join
from auditor.output.html.symbols import legend
from auditor.report import HeadlineLine, Report
from auditor.stats import Sample

_ARTIFACT = "artifact"  # the quantity of measurements that the size bars show
_CODE = "code"  # the part of a size that is counted in several ways
_BPB = "bits per byte"  # the unit of amounts that the seeds plot shows
_NEAR = 0.01  # ours: of the cap, shown around it; a submission leaves a thousandth
_ROOM = 0.06  # ours: of a scale's length is left free at its ends


def drawing(label: str, *marks: Markup) -> Markup:
    """A drawing as wide as its cell, with a name for those who do not see it."""
    return element("svg", *marks, class_="bar", role="img", aria_label=label)


def percent(share: float) -> str:
    """A place or a length in a drawing."""
    return f"{100 * share:.3f}".rstrip("0").rstrip(".") + "%"


def box(start: float, end: float, kind: str, title: str = "", top: str = "15%", height: str = "70%") -> Markup:
    """A box from `start` to `end`, shares of the width."""
    drawn = element("rect", x=percent(start), y=top, width=percent(end - start), height=height, class_=f"m-{kind}")
    return element("g", element("title", title), drawn) if title else drawn


def upright(place: float, kind: str) -> Markup:
    """A line from top to bottom at `place`, a share of the width."""
    return element("line", x1=percent(place), x2=percent(place), y1="0", y2="100%", class_=f"l-{kind}")


# ---- sizes ----


def measurements(report: Report) -> Iterator[Measurement]:
    """Every measurement of a report: those of findings first, then of evidence, then of what could not be told."""
    for result in report.results:
        found = [item.measurement for item in result.findings] + [item.measurement for item in result.evidence]
        yield from filter(None, found + [item.measurement for item in result.unestablished])


def size_bars(report: Report) -> Markup:
    """Every seed's artifact against the cap, and the code counted in other ways; nothing where no size was measured."""
    found = [item for item in measurements(report) if item.quantity == _ARTIFACT and item.limit]
    if not found:
        return EMPTY
    cap = found[0].limit or 0.0
    names = list(dict.fromkeys(part.name for item in found for part in item.parts))
    views = [_View("Artifact", 0.0, max(cap, *(item.observed for item in found)) * (1 + _ROOM))]
    near = _View("Around the cap", cap * (1 - _NEAR), cap * (1 + _NEAR))
    if any(near.low < item.observed < near.high for item in found):
        views.append(near)
    heads = (*names, "total", "against the cap")
    rows = [_size_row(item, cap, views, names) for item in found]
    zoomed = "; the second bar of a row shows one percent around it" if len(views) > 1 else ""
    caption = f"Bytes against the cap of {cap:,.0f}{zoomed}"
    bars = _table(caption, [view.title for view in views], heads, rows)
    return join((bars, _legend(names or ["total"]), _ways(found, cap)))


@dataclass(frozen=True, slots=True)
class _View:
    """A stretch of an axis that a column shows."""

    title: str
    low: float
    high: float

    def share(self, value: float) -> float:
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def _size_row(item: Measurement, cap: float, views: Sequence[_View], names: Sequence[str]) -> _Row:
    parts = item.parts or (Amount(name="total", amount=item.observed, unit=item.unit),)
    amounts = {part.name: f"{part.amount:,.0f}" for part in item.parts}
    cells = [amounts.get(name, "") for name in names] + [f"{item.observed:,.0f}", _against(item.observed, cap)]
    told = f"{item.observed:,.0f} of {cap:,.0f} bytes"
    drawings = [drawing(told, *_bars(parts, cap, view)) for view in views]
    return _Row(item.subject or _ARTIFACT, drawings, cells, "over" if item.observed > cap else None)


def _bars(parts: Iterable[Amount], cap: float, view: _View) -> Iterator[Markup]:
    start = 0.0
    for part in parts:
        end = start + part.amount
        yield box(view.share(start), view.share(end), part.name, f"{part.name}: {part.amount:,.0f} {part.unit}")
        start = end
    if start > cap:
        yield box(view.share(cap), view.share(start), "excess", f"{start - cap:,.0f} over the cap", "0", "100%")
    yield upright(view.share(cap), "cap")


def _against(num_bytes: float, cap: float) -> str:
    return f"{cap - num_bytes:,.0f} under" if num_bytes <= cap else f"{num_bytes - cap:,.0f} over"


def _legend(names: Iterable[str]) -> Markup:
    return legend([*((box(0, 1, name, "", "0", "100%"), name) for name in names), (upright(0.5, "cap"), "the cap")])


def _ways(found: Sequence[Measurement], cap: float) -> Markup:
    """What the largest artifact comes to with the code counted in each way that was in use."""
    largest = max(found, key=lambda item: item.observed)
    weights = sum(part.amount for part in largest.parts if part.name != _CODE)
    if not weights or len(largest.beside) < 2:
        return EMPTY
    rows = [
        _Row(way.name, (), (f"{way.amount:,.0f}", f"{weights + way.amount:,.0f}", _against(weights + way.amount, cap)))
        for way in largest.beside
    ]
    caption = f"The code counted in each way that was in use, with the weights of {largest.subject or 'the artifact'}"
    return _table(caption, (), ("code", "total", "against the cap"), rows)


# ---- seeds ----


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row of the seeds plot: its name, its number, and where it is from; `spread` is a standard deviation."""

    name: str
    val_bpb: float
    kind: str
    where: str
    spread: float = 0.0


def seeds_plot(report: Report) -> Markup:
    """Each seed's score, their mean and standard deviation, the claimed number, and the row to beat where it is known."""
    entries = list(_entries(report))
    if len(entries) < 2:
        return EMPTY
    low = min(entry.val_bpb - entry.spread for entry in entries)
    high = max(entry.val_bpb + entry.spread for entry in entries)
    room = (high - low or 0.001) * _ROOM
    scale = _View("val_bpb", low - room, high + room)
    mean = next((entry.val_bpb for entry in entries if entry.kind == "mean"), None)
    rows = [_seed_row(entry, scale, mean) for entry in entries]
    return _table("val_bpb on one scale; lower is better", (scale.title,), ("value", "from"), rows)


def _entries(report: Report) -> Iterator[_Entry]:
    headline = report.headline
    if headline is None:
        return
    for carrier in headline.lines:
        yield _Entry(_seed_name(carrier), carrier.val_bpb, "seed", f"{carrier.log}:{carrier.line}")
    values = [carrier.val_bpb for carrier in headline.lines]
    if len(values) > 1:
        sample = Sample.of(values)
        deviation = sample.variance**0.5
        yield _Entry("mean", sample.mean, "mean", f"of {len(values)}; standard deviation {deviation:.5f}", deviation)
    if headline.val_bpb is not None:
        yield _Entry("claimed", headline.val_bpb, "claimed", headline.claimed_in or "")
    beside = (amount for item in measurements(report) for amount in item.beside if amount.unit == _BPB)
    for amount in dict.fromkeys(beside):
        yield _Entry("to beat", amount.amount, "row", amount.name)


def _seed_name(carrier: HeadlineLine) -> str:
    return "logged" if carrier.seed is None else f"seed {carrier.seed}"


def _seed_row(entry: _Entry, scale: _View, mean: float | None) -> _Row:
    marks = [upright(scale.share(mean), "mean")] if mean is not None else []
    if entry.spread:
        low, high = (scale.share(entry.val_bpb + sign * entry.spread) for sign in (-1, 1))
        marks.append(box(low, high, "spread", "", "40%", "20%"))
    marks.append(_dot(scale.share(entry.val_bpb), entry.kind))
    shown = drawing(f"{entry.name} {entry.val_bpb:.5f}", *marks)
    return _Row(entry.name, (shown,), (f"{entry.val_bpb:.5f}", entry.where))


def _dot(place: float, kind: str) -> Markup:
    """A mark at `place`: every kind has a shape of its own, drawn around the middle of the row."""
    shapes = {"mean": "M0 -7V7", "claimed": "M0 -6L6 0L0 6L-6 0Z", "row": "M-5 -5H5V5H-5Z"}
    if kind not in shapes:
        return element("circle", cx=percent(place), cy="50%", r=5, class_="d-seed")
    return element("svg", element("path", d=shapes[kind], class_=f"d-{kind}"), x=percent(place), y="50%", class_="point")


# ---- tables ----


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a chart: its name, a drawing for each view, and a text for each of the other columns."""

    name: str
    drawings: Sequence[Markup]
    cells: Sequence[str]
    kind: str | None = None


def _table(caption: str, views: Sequence[str], heads: Sequence[str], rows: Iterable[_Row]) -> Markup:
    columns = (element("th", word, scope="col") for word in (*views, *heads))
    head = element("thead", element("tr", element("td"), *columns))
    body = element("tbody", *(_line(row, heads) for row in rows))
    return element("table", element("caption", caption), head, body, class_="chart")


def _line(row: _Row, heads: Sequence[str]) -> Markup:
    """One row; on a narrow screen, where the heads are not shown, each text stands behind its head's word."""
    drawn = (element("td", each, class_="drawn") for each in row.drawings)
    told = (element("td", cell, data_head=head) for cell, head in zip(row.cells, heads, strict=True))
    return element("tr", element("th", row.name, scope="row"), *drawn, *told, class_=row.kind)
