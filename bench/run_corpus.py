"""Runs many submissions at toy scale and keeps what each showed, so that tables can be made without running again.

    python -m bench.run_corpus --repo GITDIR --python PYTHON --results DIR (--records PATTERN | --pr N... | --truth TSV)
    python -m bench.run_corpus --results DIR --table bench/results/runs.md

One after the other; each leaves ``NAME/run.json`` (the facts), its log and its events in DIR. ``--only-missing`` passes
over those that DIR holds, so that a stopped one goes on. ``--probes`` names the probes (none, where it is empty).
"""

from __future__ import annotations

import argparse
import csv
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from auditor.report import Unreadable
from auditor.run.facts import RunFacts
from auditor.run.observe import USUAL_PROBES, RunOptions, check_python, kept_name, observe
from auditor.run.probes import CUTS, KINDS
from auditor.run.runner import Limits
from auditor.submission.git import GitTree
from auditor.submission.repository import Repository
from auditor.submission.submission import Submission
from bench.run_table import read_run, write_tables

RECORDS = "records/track_10min_16mb/"
Row = dict[str, str]  # of a table of adjudicated facts


def submissions(repository: Repository, pattern: str | None, numbers: Sequence[int]) -> Iterator[Submission]:
    """The pull requests of these numbers, and the folders of the default branch that a pattern finds."""
    for number in numbers:
        found = repository.pull_request(number)
        if not isinstance(found, Unreadable):
            yield found
    if pattern is not None:
        listed = repository.git.run("ls-tree", "-d", "--name-only", repository.default_branch, RECORDS).splitlines()
        for folder in listed:
            if re.search(pattern, folder):
                yield Submission(folder, GitTree(repository.git, repository.default_branch, folder))


def judged_submission(repository: Repository, row: Row) -> Submission | Unreadable:
    """The submission that a row judges: where a pull request adds several, the folder of the row's script."""
    opened = repository.pull_request(int(row["pr"]))
    others = opened.other_folders if isinstance(opened, Submission) else ()
    folder = next((other for other in others if row["script"].startswith(f"{other}/")), None)
    return repository.pull_request(int(row["pr"]), folder) if folder else opened


def kept_run(results: Path, submission: Submission) -> RunFacts | None:
    """What a run of a submission showed that was kept in a folder; None if there is none."""
    path = results / kept_name(submission) / "run.json"
    return read_run(path) if path.exists() else None


def main() -> int:
    """Run what is asked for, then write the table if one is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, metavar="DIR")
    parser.add_argument("--repo", type=Path)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--records", metavar="PATTERN")
    parser.add_argument("--pr", type=int, nargs="*", default=[])
    parser.add_argument("--truth", type=Path, metavar="TSV", help="a table of pull requests (`pr`) and scripts (`script`)")
    parser.add_argument("--cuts", type=float, nargs="*", default=CUTS)
    parser.add_argument("--probes", nargs="*", default=USUAL_PROBES, choices=(*KINDS, []))
    parser.add_argument("--timeout", type=float, default=Limits().seconds)
    parser.add_argument("--only-missing", action="store_true")
    parser.add_argument("--table", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.repo is not None:
        _run_all(arguments)
    if arguments.table is not None:
        write_tables(arguments.results, arguments.table)
    return 0


def _judged(repository: Repository, truth: Path | None) -> Iterator[Submission]:
    """The submissions that the rows of a table judge."""
    if truth is None:
        return
    with truth.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            opened = judged_submission(repository, row)
            if isinstance(opened, Submission):
                yield opened


def _run_all(arguments: argparse.Namespace) -> None:
    check_python(arguments.python)
    options = RunOptions(
        python=arguments.python,
        seconds=arguments.timeout,
        keep=arguments.results,
        cuts=arguments.cuts,
        probes=arguments.probes,
    )
    repository = Repository(arguments.repo)
    asked_for = submissions(repository, arguments.records, arguments.pr)
    for submission in itertools.chain(asked_for, _judged(repository, arguments.truth)):
        if arguments.only_missing and kept_run(arguments.results, submission) is not None:
            continue
        facts = observe(submission, options)
        print(f"{kept_name(submission)}: {facts.failure or 'ran'}, {facts.cpu_seconds:.0f} s computing", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
