"""How long the source analysis takes: ``python -m bench.flow_speed --repo GITDIR --pulls 30 --seed 7``.

Draws pull requests at random, reads each one's script and configuration first (not timed), then times the flow of the
submitted and of every other configuration together, in this process. Prints one row per submission on request, then median,
90th and 99th percentile, the worst, and the traces that did not come to their end. To compare two versions of the code, run
it in both work trees in turn on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.source.flow.analysis import analyse
from auditor.source.flow.settings import EffectiveSettings
from auditor.submission.repository import Repository
from auditor.submission.submission import Submission


@dataclass(frozen=True, slots=True)
class Timing:
    """The flow of one pull request: seconds of CPU time, events of both traces, and what ended one early."""

    pull: int
    seconds: float
    num_events: int
    error: str | None


def timings(repository: Repository, pulls: Sequence[int]) -> Iterator[Timing]:
    """The flow of each pull request that has a script."""
    for pull in pulls:
        opened = repository.pull_request(pull)
        if not isinstance(opened, Submission) or opened.script is None or opened.script.main.tree is None:
            continue
        settings = EffectiveSettings(opened.configuration)
        start = time.process_time()
        flow = analyse(opened.script, settings)
        seconds = time.process_time() - start
        num_events = len(flow.submitted.events) + len(flow.possible.events)
        yield Timing(pull, seconds, num_events, flow.submitted.error or flow.possible.error)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the sorted values lie."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", required=True, type=Path)
    parser.add_argument("--pulls", type=int, default=30, help="how many pull requests to draw (default 30)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rows", action="store_true", help="one line for each submission")
    arguments = parser.parse_args(argv)
    repository = Repository(arguments.repo)
    numbers = repository.all_pull_requests()
    drawn = random.Random(arguments.seed).sample(numbers, min(arguments.pulls, len(numbers)))
    found = list(timings(repository, drawn))
    for timing in found if arguments.rows else ():
        ended = f"  {timing.error.splitlines()[-1]}" if timing.error else ""
        print(f"#{timing.pull:<5} {timing.seconds:7.3f} s {timing.num_events:5} events{ended}")
    seconds = [timing.seconds for timing in found]
    print(
        f"{len(seconds)} flows: median {statistics.median(seconds):.3f} s, p90 {percentile(seconds, 0.9):.3f} s, "
        f"p99 {percentile(seconds, 0.99):.3f} s, worst {max(seconds):.3f} s; "
        f"{sum(timing.error is not None for timing in found)} cut short"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
