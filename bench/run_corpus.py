"""Runs many submissions at toy scale and writes one line for each: ran, seconds, located, reconciled, what was seen.

    python -m bench.run_corpus --repo GITDIR --python PYTHON --output TABLE (--records PATTERN | --pr N...) [--cuts 0.5]

One after the other; lines are appended, and submissions that TABLE holds are skipped, so that a stopped one goes on.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from auditor.report import Unreadable
from auditor.run.__main__ import cache_folder, headline_line
from auditor.run.judge import judge
from auditor.run.probes import Comparison, prefix_invariance
from auditor.run.runner import Limits
from auditor.run.session import open_session
from auditor.run.story import tell
from auditor.run.trace import read_trace
from auditor.submission.git import GitTree
from auditor.submission.repository import Repository
from auditor.submission.submission import Submission

COLUMNS = ("name", "ran", "seconds", "computing", "located", "unlocated", "reconciled", "headline", "early", "bos",
           "repeated", "missing", "trained", "probe", "remark")  # fmt: skip
RECORDS = "records/track_10min_16mb/"


def submissions(repository: Repository, pattern: str | None, numbers: Sequence[int]) -> Iterator[tuple[str, Submission]]:
    for number in numbers:
        found = repository.pull_request(number)
        if not isinstance(found, Unreadable):
            yield f"#{number}", found
    if pattern is not None:
        listed = repository.git.run("ls-tree", "-d", "--name-only", repository.default_branch, RECORDS).splitlines()
        for folder in listed:
            if re.search(pattern, folder):
                yield (
                    folder.removeprefix(RECORDS),
                    Submission(folder, GitTree(repository.git, repository.default_branch, folder)),
                )


def row(name: str, submission: Submission, arguments: argparse.Namespace, stories: Path) -> tuple[object, ...]:
    try:
        session = open_session(submission, cache_folder(), arguments.python, Limits(seconds=arguments.timeout))
    except ValueError as error:
        return name, "no", *[""] * 12, str(error)
    outcome = session.run()
    judgement = judge(outcome, session.world)
    headline = headline_line(judgement, submission)
    comparisons: list[Comparison] = []
    if headline is not None and outcome.failure is None and arguments.cuts:
        trace = read_trace(outcome.events, len(session.world.validation()))
        comparisons = list(prefix_invariance(session, trace, judgement.lines, headline, arguments.cuts))
    stories.mkdir(exist_ok=True)
    told = tell(session, outcome, judgement, headline, comparisons)
    (stories / f"{name.strip('#')}.txt").write_text(f"{told}\n\n{outcome.log}", encoding="utf-8")
    results = judgement.results
    worst = max(results, key=lambda line: len(line.early), default=None)
    coverage = headline.coverage if headline else None
    return (
        name,
        "yes" if outcome.failure is None else "no",
        round(outcome.seconds),
        round(outcome.cpu_seconds),
        judgement.num_located,
        judgement.num_unlocated,
        f"{sum(line.sums is not None for line in results)}/{len(results)}",
        headline.metric.label if headline else "none",
        f"{worst.metric.label}:{len(worst.early)}@{worst.early[0]}" if worst and worst.early else 0,
        max((line.num_early_bos for line in results), default=0),
        coverage.num_repeated if coverage else "",
        coverage.num_missing if coverage else "",
        judgement.num_trained_validation,
        probe(comparisons),
        outcome.failure or "",
    )


def probe(comparisons: Sequence[Comparison]) -> str:
    """The worst that was seen per cut."""
    if not comparisons:
        return "not run"
    changed = [each for each in comparisons if each.num_changed]
    if changed:
        worst = max(changed, key=lambda each: each.num_changed)
        return f"{worst.num_changed}/{worst.num_compared} changed @{worst.first_changed} ({worst.text[:24].strip()})"
    skipped = sum(each.problem is not None for each in comparisons)
    return f"identical ({len(comparisons) - skipped} lines, {skipped} not compared)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", type=Path, required=True)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--records", metavar="PATTERN")
    parser.add_argument("--pr", type=int, nargs="*", default=[])
    parser.add_argument("--cuts", type=float, nargs="*", default=[])
    parser.add_argument("--timeout", type=float, default=Limits().seconds)
    arguments = parser.parse_args()
    done = (
        {line.split("\t")[0] for line in arguments.output.read_text().splitlines()} if arguments.output.exists() else set()
    )
    with arguments.output.open("a", encoding="utf-8") as table:
        if not done:
            table.write("\t".join(COLUMNS) + "\n")
        for name, submission in submissions(Repository(arguments.repo), arguments.records, arguments.pr):
            if name not in done:
                cells = row(name, submission, arguments, arguments.output.with_suffix(""))
                table.write("\t".join(str(cell).replace("\t", " ").replace("\n", " ") for cell in cells) + "\n")
                table.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
