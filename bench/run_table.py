"""The table of runs: figures from the results that `bench.run_corpus` keeps."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Result = Mapping[str, Any]
_COLUMNS = ("submission", "ran", "CPU s", "located", "reconciled", "trained early", "once / more / never", "probes")


def table(results: Path) -> str:
    """Markdown: a summary of the results in a folder, one row for each, and what stopped those that did not run."""
    found: list[Result] = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    ran = [each for each in found if each["failure"] is None]
    return "\n".join([*_summary(found, ran), "", *_rows(found), "", *_stopped(found), *_found(ran), ""])


def _summary(found: Sequence[Result], ran: Sequence[Result]) -> Iterator[str]:
    seconds = sorted(each["cpu_seconds"] for each in ran)
    lines = [line for each in ran for line in each["lines"]]
    located, unlocated = (sum(each[key] for each in ran) for key in ("num_located", "num_unlocated"))
    yield f"{len(found)} submissions, {len(ran)} ran to their end."
    if ran:
        yield (
            f"CPU seconds: median {statistics.median(seconds):.0f}, mean {statistics.mean(seconds):.0f},"
            f" most {seconds[-1]:.0f}."
            f" Losses with a place: {located / (located + unlocated):.2%}. Reported scores reconciled:"
            f" {sum(line['reconciled'] for line in lines)} of {len(lines)}."
        )


def _rows(found: Sequence[Result]) -> Iterator[str]:
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|---" * len(_COLUMNS) + "|"
    for each in found:
        yield f"| {' | '.join(str(cell) for cell in _cells(each))} |"


def _cells(result: Result) -> tuple[object, ...]:
    if not result["started"]:
        return result["name"], "no", *[""] * (len(_COLUMNS) - 2)
    lines = result["lines"]
    early = max(lines, key=lambda line: line["num_early"], default=None)
    headline = next((line for line in lines if line["headline"]), None)
    coverage = headline["coverage"] if headline else None
    asked = result["num_located"] + result["num_unlocated"]
    return (
        result["name"],
        "yes" if result["failure"] is None else "no",
        f"{result['cpu_seconds']:.0f}",
        f"{result['num_located'] / asked:.1%}" if asked else "",
        f"{sum(line['reconciled'] for line in lines)}/{len(lines)}",
        f"{early['num_early']} ({early['label']})" if early and early["num_early"] else 0,
        f"{coverage['num_once']} / {coverage['num_repeated']} / {coverage['num_missing']}" if coverage else "",
        _probes(result["comparisons"]),
    )


def _probes(comparisons: Sequence[Result]) -> str:
    told = []
    for kind in dict.fromkeys(each["probe"] for each in comparisons):
        own = [each for each in comparisons if each["probe"] == kind]
        changed, compared = (sum(bool(test(each)) for each in own) for test in (_has_changed, _was_compared))
        told.append(f"{kind} {changed} of {compared}" if compared else f"{kind}: not compared")
    return ", ".join(told)


def _has_changed(comparison: Result) -> bool:
    return bool(comparison["num_changed"])


def _was_compared(comparison: Result) -> bool:
    return comparison["problem"] is None


def _stopped(found: Sequence[Result]) -> Iterator[str]:
    for each in found:
        if each["failure"] is not None:
            frames = each.get("frames") or []
            place = f" at line {frames[-1][1]} of {frames[-1][0]}" if frames else ""
            yield f"- {each['name']}{place}: {each['failure'][:160]}"


def _found(ran: Sequence[Result]) -> Iterator[str]:
    for each in ran:
        for comparison in each["comparisons"]:
            if comparison["num_changed"] and comparison["detail"]:
                line, kind = comparison["text"][:50].strip(), comparison["probe"]
                yield f"- {each['name']}, `{line}`, {kind}: {comparison['detail']}"
