"""The way of the submitted number: where it is claimed, where it was logged, what prints such a line, what computes it."""

from __future__ import annotations

from collections.abc import Iterator

from auditor.finding import Location
from auditor.output.describe import sentence
from auditor.output.html.frames import code, frame
from auditor.output.html.markup import EMPTY, Markup, element, join
from auditor.output.summary import claim, printed_by
from auditor.report import HeadlineLine, HeadlineSummary


def headline_section(headline: HeadlineSummary, script: str | None) -> Markup:
    """The sentence that a maintainer can verify, and its steps with the lines themselves."""
    told = claim(headline) if len(headline.lines) > 1 else headline.explanation
    end = ":" if len(headline.lines) > 1 else "."
    return join((element("p", f"{sentence(told)}{end}"), element("ol", join(_steps(headline, script)), class_="chain")))


def _steps(headline: HeadlineSummary, script: str | None) -> Iterator[Markup]:
    number = element("strong", str(headline.val_bpb) if headline.val_bpb is not None else "no number", class_="number")
    where = join((" in ", code(headline.claimed_in))) if headline.claimed_in else EMPTY
    yield _step("claimed", headline.claimed_in is not None, join((number, where)))
    if headline.kind == "none":
        return
    logged = join(map(_line, headline.lines))
    yield _step("logged", bool(headline.lines), logged or element("p", "no log line carries it"))
    if not headline.lines:
        return
    printable = _all_printable(headline)
    site = headline.print_site
    shown = frame(site) if site and site.snippet else EMPTY
    yield _step("printed", printable, join((element("p", f"{printed_by(headline, script)}."), shown)))
    if headline.evaluation:
        yield _step("computed", True, element("p", "by ", code(headline.evaluation)))


def _all_printable(headline: HeadlineSummary) -> bool | None:
    told = {line.printable_by_script for line in headline.lines}
    return False if False in told else None if None in told else True


def _step(title: str, holds: bool | None, body: Markup) -> Markup:
    """One link of the chain: it holds, it is broken, or that could not be told."""
    state, word = {True: ("holds", ""), False: ("broken", "broken: "), None: ("unknown", "not known: ")}[holds]
    label = element("span", element("span", word, class_="unseen") if word else EMPTY, title, class_="link")
    return element("li", label, element("div", body), class_=state)


def _line(line: HeadlineLine) -> Markup:
    seed = "" if line.seed is None else f"seed {line.seed}, "
    location = Location(path=line.log, line=line.line)
    return frame(location, f"{seed}{line.label}: {line.val_bpb}", line.text or "")
