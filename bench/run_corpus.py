"""Runs many submissions at toy scale and keeps what each showed, so that tables can be made without running again.

    python -m bench.run_corpus --results DIR --repo GITDIR --python PYTHON [--records PATTERN] [--pr N...] [--truth TSV]
    python -m bench.run_corpus --results DIR --table bench/results/runs.md

One after the other, one ``NAME.json`` each (``NAME.txt`` beside it is the story and the log). ``--only-missing`` passes
over those that DIR holds, so that a stopped one goes on; ``--probes suffix bound`` also probes.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from auditor.report import Unreadable
from auditor.run.__main__ import cache_folder, headline_line
from auditor.run.judge import Judgement, ScoreLine, judge
from auditor.run.probes import CUTS, KINDS, Comparison, probe
from auditor.run.runner import Limits, Outcome
from auditor.run.session import open_session
from auditor.run.story import tell
from auditor.run.trace import read_trace
from auditor.submission.git import GitTree
from auditor.submission.repository import Repository
from auditor.submission.submission import Submission
from bench.run_table import table

RECORDS = "records/track_10min_16mb/"


def submissions(repository: Repository, pattern: str | None, numbers: Sequence[int]) -> Iterator[tuple[str, Submission]]:
    """The pull requests of these numbers, and the folders of the default branch that a pattern finds, by name."""
    for number in numbers:
        found = repository.pull_request(number)
        if not isinstance(found, Unreadable):
            yield f"pr{number}", found
    if pattern is not None:
        listed = repository.git.run("ls-tree", "-d", "--name-only", repository.default_branch, RECORDS).splitlines()
        for folder in listed:
            if re.search(pattern, folder):
                tree = GitTree(repository.git, repository.default_branch, folder)
                yield folder.removeprefix(RECORDS), Submission(folder, tree)


def run_one(submission: Submission, arguments: argparse.Namespace) -> tuple[dict[str, object], str]:
    """What one submission showed, as plain data, and its story."""
    try:
        limits = Limits(seconds=arguments.timeout)
        session = open_session(submission, cache_folder(), arguments.python, limits)
    except ValueError as error:
        return {"path": submission.path, "failure": str(error), "started": False}, f"{error}\n"
    outcome = session.run()
    judgement = judge(outcome, session.world)
    headline = headline_line(judgement, submission)
    comparisons: list[Comparison] = []
    target = headline or next(reversed(judgement.results), None)
    if target is not None and outcome.failure is None and arguments.probes:
        trace = read_trace(outcome.events, len(session.world.validation()))
        comparisons = list(probe(session, trace, judgement.lines, target, arguments.probes, arguments.cuts))
    result = {
        "path": submission.path,
        "script": session.script,
        "started": True,
        **_run(outcome, judgement),
        "lines": [_line(each, each is headline) for each in judgement.results],
        "comparisons": [dataclasses.asdict(each) for each in comparisons],
    }
    return result, f"{tell(session, outcome, judgement, headline, comparisons)}\n\n{outcome.log}"


def _run(outcome: Outcome, judgement: Judgement) -> dict[str, object]:
    frames = next((event["frames"] for event in outcome.events if event.get("t") == "failed"), [])
    facts = dataclasses.asdict(judgement)
    del facts["lines"]
    return {**facts, "frames": frames, "seconds": outcome.seconds, "cpu_seconds": outcome.cpu_seconds}


def _line(line: ScoreLine, is_headline: bool) -> dict[str, object]:
    return {
        "label": line.metric.label,
        "text": line.metric.text,
        "headline": is_headline,
        "reconciled": line.sums is not None,
        "coverage": line.coverage and dataclasses.asdict(line.coverage),
        "num_early": len(line.early),
        "first_early": line.early[0] if line.early else None,
        "num_early_bos": line.num_early_bos,
        "num_left": line.num_left,
        "num_trained_after": line.num_trained_after,
    }


def main() -> int:
    """Run what is asked for, then write the table if one is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, metavar="DIR")
    parser.add_argument("--repo", type=Path)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--records", metavar="PATTERN")
    parser.add_argument("--pr", type=int, nargs="*", default=[])
    parser.add_argument("--truth", type=Path, metavar="TSV", help="a table whose column `pr` names pull requests")
    parser.add_argument("--cuts", type=float, nargs="*", default=CUTS)
    parser.add_argument("--probes", nargs="*", default=[], choices=KINDS)
    parser.add_argument("--timeout", type=float, default=Limits().seconds)
    parser.add_argument("--only-missing", action="store_true")
    parser.add_argument("--table", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    if arguments.repo is not None:
        _run_all(arguments)
    if arguments.table is not None:
        arguments.table.write_text(table(arguments.results), encoding="utf-8")
    return 0


def _run_all(arguments: argparse.Namespace) -> None:
    numbers = list(arguments.pr)
    if arguments.truth is not None:
        with arguments.truth.open(encoding="utf-8", newline="") as rows:
            numbers += [int(row["pr"]) for row in csv.DictReader(rows, delimiter="\t")]
    for name, submission in submissions(Repository(arguments.repo), arguments.records, numbers):
        target = arguments.results / f"{name}.json"
        if arguments.only_missing and target.exists():
            continue
        result, story = run_one(submission, arguments)
        target.with_suffix(".txt").write_text(story, encoding="utf-8")
        target.write_text(json.dumps({"name": name, **result}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
