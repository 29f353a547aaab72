"""Places in a submission: a caption, and the lines that stand there with their numbers."""

from __future__ import annotations

from auditor.finding import Finding, Location
from auditor.output.html.markup import EMPTY, Markup, element, join
from auditor.output.summary import excerpts, listed, place

_MAX_EXCERPTS = 8  # ours: places of one finding that are quoted; a path of calls is rarely longer


def code(text: str) -> Markup:
    """A name or a label, as code."""
    return element("code", text)


def frame(location: Location, what: str = "", text: str | None = None) -> Markup:
    """A place with the lines that stand there (`text`, by default the location's own), numbered as in the file."""
    lines = (location.snippet if text is None else text) or ""
    caption = _caption(location, what)
    if not lines:
        return element("p", caption, class_="place")
    shown = _numbered(lines.split("\n"), location.line or 1)
    return element("figure", element("figcaption", caption), shown, class_="frame")


def _caption(location: Location, what: str) -> Markup:
    return join((code(place(location)), f": {what}" if what else ""))


def _numbered(lines: list[str], first: int) -> Markup:
    numbered = (
        join((element("i", str(number), aria_hidden="true"), code(line or " ")))
        for number, line in enumerate(lines, start=first)
    )
    return element("pre", join(numbered, "\n"), class_="lines")


def frames(finding: Finding) -> Markup:
    """Every place of a finding that says something of its own, in order; further ones of the same kind are named."""
    quoted, alike = excerpts(finding)
    shown = join(frame(location, what) for location, what in quoted[:_MAX_EXCERPTS])
    more = [place(location) for location, _ in quoted[_MAX_EXCERPTS:]] + list(map(str, alike))
    return join((shown, element("p", f"also {listed(more)}", class_="place") if more else EMPTY))
