"""The table of runs, from what `bench.run_corpus` keeps.

python -m bench.run_table RESULTS > bench/results/runs.md
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from auditor.plain import from_plain
from auditor.run.facts import RunFacts, RunLine
from auditor.run.probes import Comparison

_COLUMNS = ("submission", "ran", "CPU s", "located", "reconciled", "trained early", "once / more / never", "probes")


def table(runs: Mapping[str, RunFacts]) -> str:
    """Markdown: a summary of runs by name, one row for each, what stopped those that did not run, and what probes found."""
    ran = {name: run for name, run in runs.items() if run.failure is None}
    return "\n".join([*_summary(runs, ran), "", *_rows(runs), "", *_stopped(runs), *_found(ran), ""])


def _summary(runs: Mapping[str, RunFacts], ran: Mapping[str, RunFacts]) -> Iterator[str]:
    seconds = sorted(run.cpu_seconds for run in ran.values())
    lines = [line for run in ran.values() for line in run.lines]
    located = sum(run.num_located for run in ran.values())
    asked = located + sum(run.num_unlocated for run in ran.values())
    yield f"{len(runs)} submissions, {len(ran)} ran to their end."
    if ran:
        yield (
            f"CPU seconds: median {statistics.median(seconds):.0f}, mean {statistics.mean(seconds):.0f},"
            f" most {seconds[-1]:.0f}. Losses with a place: {located / asked:.2%}. Reported scores reconciled:"
            f" {sum(line.is_reconciled for line in lines)} of {len(lines)}."
        )


def _rows(runs: Mapping[str, RunFacts]) -> Iterator[str]:
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|---" * len(_COLUMNS) + "|"
    for name, run in runs.items():
        yield f"| {name} | {' | '.join(str(cell) for cell in _cells(run))} |"


def _cells(run: RunFacts) -> Iterator[object]:
    asked = run.num_located + run.num_unlocated
    yield "yes" if run.failure is None else "no"
    yield f"{run.cpu_seconds:.0f}"
    yield f"{run.num_located / asked:.1%}" if asked else ""
    yield f"{sum(line.is_reconciled for line in run.lines)}/{len(run.lines)}"
    yield _early(max(run.lines, key=lambda line: line.num_early, default=None))
    coverage = run.headline.coverage if run.headline else None
    yield f"{coverage.num_once} / {coverage.num_repeated} / {coverage.num_missing}" if coverage else ""
    yield _probes(run.comparisons)


def _early(line: RunLine | None) -> object:
    return f"{line.num_early} ({line.label})" if line is not None and line.num_early else 0


def _probes(comparisons: Sequence[Comparison]) -> str:
    told = []
    for kind in dict.fromkeys(each.probe for each in comparisons):
        compared = [each for each in comparisons if each.probe == kind and each.problem is None]
        changed = sum(each.num_changed > 0 for each in compared)
        told.append(f"{kind} {changed} of {len(compared)}" if compared else f"{kind}: not compared")
    return ", ".join(told)


def _stopped(runs: Mapping[str, RunFacts]) -> Iterator[str]:
    yield from (f"- {name}: {run.failure[:160]}" for name, run in runs.items() if run.failure is not None)


def _found(ran: Mapping[str, RunFacts]) -> Iterator[str]:
    for name, run in ran.items():
        for each in run.comparisons:
            if each.num_changed and each.detail:
                yield f"- {name}, `{each.text[:50].strip()}`, {each.probe}: {each.detail}"


def main() -> int:
    """Print the table of a folder of results."""
    found = {path.parent.name: path for path in sorted(Path(sys.argv[1]).glob("*/run.json"))}
    print(table({name: from_plain(RunFacts, json.loads(path.read_text())) for name, path in found.items()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
