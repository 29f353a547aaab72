"""Which scores of a script's evaluation reach the number that was submitted."""

from __future__ import annotations

import re

from auditor.events import Report
from auditor.finding import Location
from auditor.headline import Headline
from auditor.source.flow.analysis import Trace

_VALUE = re.compile(r":(?:val_)?(?:loss|bpb)\b.*")  # that begins without a space before it
_NEAR_LINES = 3  # ours: a print that is put together over a few lines


def label_of(event: Report) -> str:
    """The first word of what is printed."""
    return _first_word(event.label)


def _first_word(text: str) -> str:
    return _VALUE.sub("", text.split(" ", 1)[0]).rstrip(":")


def prints(event: Report, label: str | None, site: Location | None) -> bool:
    """Is it the print with that label (computed parts, ``..``, are left open)?

    One near `site` is, too, if its label is computed or names `label` among others.
    """
    word, known = label_of(event), _first_word(label or "")
    if known and (word.partition(":")[0] == known or re.fullmatch(re.escape(word).replace(r"\.\.", ".+"), known)):
        return True
    if site is None or site.line is None or event.location.line is None:
        return False
    if ".." not in word and known not in {field.rstrip(":=") for field in event.label.split()}:
        return False
    return site.path == event.location.path and abs(site.line - event.location.line) <= _NEAR_LINES


def submitted_scores(trace: Trace, headline: Headline) -> frozenset[int]:
    """The numbers of the scores whose sum is printed as the submitted number; empty where no print of it was found."""
    if not headline.lines:
        return frozenset()
    label = headline.lines[0].metric.name
    site = headline.lines[0].print_site
    metrics = (event for event in trace.events if isinstance(event, Report) and event.is_metric)
    return frozenset[int]().union(*(event.scores for event in metrics if prints(event, label, site)))
