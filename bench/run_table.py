"""The tables of runs: figures from the results that `bench.run_corpus` keeps, for pull requests and for records.

A file of results holds them between two marks; what people wrote around the marks stays.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from auditor.plain import from_plain
from auditor.run.comparison import Comparison
from auditor.run.facts import RunFacts

START, END = "<!-- runs -->", "<!-- end of runs -->"
_SECTIONS = {"Pull requests": True, "Records": False}  # whether a name of results is that of a pull request
_COLUMNS = ("submission", "ran", "CPU s", "located", "reconciled", "trained early", "once / more / never", "probes")
_PULL_REQUEST = re.compile(r"pr(\d+)")
_RECORDS = "records_track_10min_16mb_"  # what the names of records begin with
Results = Mapping[str, RunFacts]


def read_run(path: Path) -> RunFacts:
    """The facts of a run, from the file that keeps them."""
    return from_plain(RunFacts, json.loads(path.read_text(encoding="utf-8")))


def write_tables(results: Path, file: Path) -> None:
    """Replace what a file of results holds between the marks. ValueError if it has no marks."""
    text = file.read_text(encoding="utf-8") if file.exists() else f"{START}\n{END}\n"
    if not 0 <= text.find(START) < text.find(END):
        raise ValueError(f"{file}: has no {START} before {END}")
    head, tail = text[: text.index(START)], text[text.index(END) :]
    file.write_text(f"{head}{START}\n{tables(results)}{tail}", encoding="utf-8")


def tables(results: Path) -> str:
    """Markdown: for pull requests and records a summary, a row each, what stopped some, and what probes found."""
    found = {path.parent.name: read_run(path) for path in sorted(results.glob("*/run.json"), key=_by_number)}
    return "\n".join(line for title, is_pr in _SECTIONS.items() for line in _section(title, _where(found, is_pr)))


def _by_number(path: Path) -> tuple[int, str]:
    match = _PULL_REQUEST.fullmatch(path.parent.name)
    return int(match[1]) if match else 0, path.parent.name


def _where(found: Results, is_pull_request: bool) -> Results:
    return {name: run for name, run in found.items() if bool(_PULL_REQUEST.fullmatch(name)) is is_pull_request}


def _section(title: str, found: Results) -> Iterator[str]:
    if found:
        yield from (f"\n## {title}\n", *_summary(found), "", *_rows(found), "")
        if told := [*_stopped(found), *_found(found)]:
            yield from (*told, "")


def _summary(found: Results) -> Iterator[str]:
    ran = [each for each in found.values() if each.failure is None]
    seconds = sorted(each.cpu_seconds for each in ran)
    lines = [line for each in ran for line in each.lines]
    located, unlocated = sum(each.num_located for each in ran), sum(each.num_unlocated for each in ran)
    yield f"{len(found)} submissions, {len(ran)} ran to their end."
    if ran:
        yield (
            f"CPU seconds: median {statistics.median(seconds):.0f}, mean {statistics.mean(seconds):.0f},"
            f" most {seconds[-1]:.0f}."
            f" Losses with a place: {located / max(located + unlocated, 1):.2%}. Reported scores reconciled:"
            f" {sum(line.is_reconciled for line in lines)} of {len(lines)}."
        )


def _rows(found: Results) -> Iterator[str]:
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|---" * len(_COLUMNS) + "|"
    for name, run in found.items():
        name = name.removeprefix(_RECORDS)
        yield f"| {' | '.join(str(cell) for cell in _cells(name, run))} |"


def _cells(name: str, run: RunFacts) -> tuple[object, ...]:
    if not run.isolation:
        return name, "no", *[""] * (len(_COLUMNS) - 2)
    early = max(run.lines, key=lambda line: line.num_early, default=None)
    coverage = run.headline.coverage if run.headline else None
    asked = run.num_located + run.num_unlocated
    return (
        name,
        "yes" if run.failure is None else "no",
        f"{run.cpu_seconds:.0f}",
        f"{run.num_located / asked:.1%}" if asked else "",
        f"{sum(line.is_reconciled for line in run.lines)}/{len(run.lines)}",
        f"{early.num_early} ({early.label})" if early and early.num_early else 0,
        f"{coverage.num_once} / {coverage.num_repeated} / {coverage.num_missing}" if coverage else "",
        _probes(run.comparisons),
    )


def _probes(comparisons: Sequence[Comparison]) -> str:
    told = []
    for kind in dict.fromkeys(each.probe for each in comparisons):
        own = [each for each in comparisons if each.probe == kind]
        changed, compared = sum(each.num_changed > 0 for each in own), sum(each.problem is None for each in own)
        told.append(f"{kind} {changed} of {compared}" if compared else f"{kind}: not compared")
    return ", ".join(told)


def _stopped(found: Results) -> Iterator[str]:
    for name, run in found.items():
        if run.failure is not None:
            yield f"- {name}: {run.failure[:200]}"


def _found(found: Results) -> Iterator[str]:
    for name, run in found.items():
        for each in run.comparisons:
            if each.num_changed and each.detail:
                yield f"- {name}, `{each.text[:50].strip()}`, {each.probe}: {each.detail}"
