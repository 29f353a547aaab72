"""Sizes against the cap and the seeds on a line, as tables with a drawing in each row.

A table is its own text alternative, and grows no chart furniture: what a bar shows stands beside it as a number. Places
are given in percent, so that a drawing fits any width and nothing in it is stretched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from auditor.finding import Amount, Measurement
from auditor.output.html.markup import EMPTY, Markup, element, join
from auditor.report import HeadlineLine, Report
from auditor.stats import Sample

_ARTIFACT = "artifact"  # the quantity of measurements that the size bars show
_BPB = "bits per byte"  # the unit of amounts that the seeds plot shows
_ROOM = 0.06  # ours: of a scale's length is left free at its ends


def drawing(label: str, *marks: Markup) -> Markup:
    """A drawing as wide as its cell, with a name for those who do not see it."""
    return element("svg", element("title", label), *marks, class_="bar", role="img", aria_label=label)


def percent(share: float) -> str:
    """A place or a length in a drawing."""
    return f"{100 * share:.3f}".rstrip("0").rstrip(".") + "%"


def box(start: float, end: float, kind: str, title: str = "", top: str = "15%", height: str = "70%") -> Markup:
    """A box from `start` to `end`, shares of the width."""
    attributes = {"x": percent(start), "y": top, "width": percent(end - start), "height": height, "class_": f"m-{kind}"}
    return element("rect", **attributes) if not title else element("g", element("title", title), element("rect", **attributes))


def line(place: float, kind: str) -> Markup:
    """A line from top to bottom at `place`, a share of the width."""
    return element("line", x1=percent(place), x2=percent(place), y1="0", y2="100%", class_=f"l-{kind}")


# ---- sizes ----


def measurements(report: Report) -> Iterator[Measurement]:
    """Every measurement of a report: those of findings first, then of evidence, then of what could not be told."""
    for result in report.results:
        for statement in (*result.findings, *result.evidence, *result.unestablished):
            if statement.measurement is not None:
                yield statement.measurement


def size_bars(report: Report) -> Markup:
    """Every seed's artifact against the cap, and the code counted in other ways; nothing where no size was measured."""
    found = [item for item in measurements(report) if item.quantity == _ARTIFACT and item.limit]
    if not found:
        return EMPTY
    longest = max(max(item.observed, item.limit or 0) for item in found) * (1 + _ROOM)
    heads = ("", "Artifact", *_part_names(found), "Total", "Against the cap")
    rows = [_size_row(item, longest, _part_names(found)) for item in found]
    caption = f"Bytes of code and weights against the cap of {found[0].limit:,.0f} bytes"
    return join((_table(caption, heads, rows), _legend(found), _otherwise(found)))


def _part_names(found: Sequence[Measurement]) -> list[str]:
    return list(dict.fromkeys(part.name for item in found for part in item.parts))


def _size_row(item: Measurement, longest: float, names: Sequence[str]) -> Markup:
    cap = item.limit or 0.0
    spare = cap - item.observed
    verdict = f"{spare:,.0f} under" if spare >= 0 else f"{-spare:,.0f} over"
    marks, start = [], 0.0
    for part in item.parts or (Amount(name="total", amount=item.observed, unit=item.unit),):
        told = f"{part.name}: {part.amount:,.0f} {part.unit}"
        marks.append(box(start, start + part.amount / longest, part.name, told))
        start += part.amount / longest
    if spare < 0:
        marks.append(box(cap / longest, item.observed / longest, "excess", f"{-spare:,.0f} over the cap", "0", "100%"))
    marks.append(line(cap / longest, "cap"))
    amounts = {part.name: f"{part.amount:,.0f}" for part in item.parts}
    cells = [amounts.get(name, "") for name in names] + [f"{item.observed:,.0f}", verdict]
    shown = drawing(f"{item.observed:,.0f} of {cap:,.0f} bytes", *marks)
    return _row(item.subject or _ARTIFACT, shown, cells, "over" if spare < 0 else None)


def _legend(found: Sequence[Measurement]) -> Markup:
    samples = [
        join((element("svg", box(0, 1, name, "", "0", "100%"), class_="swatch", aria_hidden="true"), " ", name))
        for name in _part_names(found)
    ]
    cap = join((element("svg", line(0.5, "cap"), class_="swatch", aria_hidden="true"), " the cap"))
    return element("ul", *(element("li", entry) for entry in (*samples, cap)), class_="legend")


def _otherwise(found: Sequence[Measurement]) -> Markup:
    """The code counted in other ways, once for all seeds where they agree."""
    told = dict.fromkeys(
        f"{amount.name}: {amount.amount:,.0f} {amount.unit}" for item in found for amount in item.beside
    )
    if not told:
        return EMPTY
    return join((element("p", "The code, counted in each way that was in use:"), element("ul", *(element("li", each) for each in told))))


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
    scale = _Scale(low - room, high + room)
    mean = next((entry.val_bpb for entry in entries if entry.kind == "mean"), None)
    rows = [_seed_row(entry, scale, mean) for entry in entries]
    return _table("val_bpb on one scale; lower is better", ("", "val_bpb", "Value", "From"), rows)


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)


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


def _seed_row(entry: _Entry, scale: _Scale, mean: float | None) -> Markup:
    marks = [line(scale.share(mean), "mean")] if mean is not None else []
    if entry.spread:
        low, high = (scale.share(entry.val_bpb + sign * entry.spread) for sign in (-1, 1))
        marks.append(box(low, high, "spread", "", "40%", "20%"))
    marks.append(_dot(scale.share(entry.val_bpb), entry.kind))
    shown = drawing(f"{entry.name} {entry.val_bpb:.5f}", *marks)
    return _row(entry.name, shown, (f"{entry.val_bpb:.5f}", entry.where), None)


def _dot(place: float, kind: str) -> Markup:
    """A mark at `place`: every kind has a shape of its own, drawn around the middle of the row."""
    shapes = {"mean": "M0 -7V7", "claimed": "M0 -6L6 0L0 6L-6 0Z", "row": "M-5 -5H5V5H-5Z"}
    if kind not in shapes:
        return element("circle", cx=percent(place), cy="50%", r=5, class_="d-seed")
    return element("svg", element("path", d=shapes[kind], class_=f"d-{kind}"), x=percent(place), y="50%", class_="point")


# ---- tables ----


def _table(caption: str, heads: Iterable[str], rows: Iterable[Markup]) -> Markup:
    head = element("tr", *(element("th", word, scope="col") if word else element("td") for word in heads))
    return element(
        "table", element("caption", caption), element("thead", head), element("tbody", *rows), class_="chart"
    )


def _row(name: str, shown: Markup, cells: Iterable[str], kind: str | None) -> Markup:
    drawn = element("td", shown, class_="drawn")
    return element("tr", element("th", name, scope="row"), drawn, *(element("td", cell) for cell in cells), class_=kind)
