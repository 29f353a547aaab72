"""What watching costs: the same script with and without the recorder, side by side, in CPU seconds.

    python -m bench.run_overhead --repo GITDIR --python PYTHON (--records PATTERN | --pr N...) [--pairs 2]

Both runs have the same stand-ins, sizes and sandbox; the order alternates. CPU seconds are those of the child and all that
it started, its imports included, so that other work on the machine matters little. A probe costs one run of each replaced
stream; *artifact* costs two, and whatever is found one more, to see that the script repeats itself.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from auditor.run.observe import cache_folder, kept_name
from auditor.run.runner import Limits
from auditor.run.session import Session, open_session
from auditor.submission.repository import Repository
from bench.run_corpus import submissions


def pairs(session: Session, count: int) -> tuple[list[float], list[float]]:
    """CPU seconds (recorded, not recorded) of so many runs each. ValueError if one does not run."""
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for index in range(2 * count):
        recorded = index % 4 in (0, 3)
        outcome = session.run(record=recorded)
        if outcome.failure is not None:
            raise ValueError(outcome.failure)
        seconds[recorded].append(outcome.cpu_seconds)
    return seconds[True], seconds[False]


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", type=Path, required=True)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--records", metavar="PATTERN")
    parser.add_argument("--pr", type=int, nargs="*", default=[])
    parser.add_argument("--pairs", type=int, default=2)
    arguments = parser.parse_args()
    print("| submission | CPU s, not recorded | recorded | ratio |\n|---|---|---|---|")
    for submission in submissions(Repository(arguments.repo), arguments.records, arguments.pr):
        session = open_session(submission, cache_folder(), arguments.python, Limits())
        watched, plain = (statistics.median(each) for each in pairs(session, arguments.pairs))
        print(f"| {kept_name(submission)} | {plain:.1f} | {watched:.1f} | {watched / plain:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
