"""The corpus table: what the auditor could open, unwrap, parse and trace over every pull request, and what that cost.

``python -m bench.corpus --repo GITDIR`` audits all pull requests, or ``--pulls N`` of them drawn at random, with worker
processes as ``cli.py audit --all-prs --jobs`` does. It measures wall time, the CPU time of each audit and peak memory, and
counts from the reports. A share is printed with its numerator and denominator, because the denominators differ: only a
folder with a log and a numeric claim can have a located headline. The second table says how often each rule about the
source had to leave a submission open, and at what: these are the constructs to teach the source analysis next.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.batch import Auditor, Job, audit_all, jobs_for_pull_requests
from auditor.output.json_report import report_to_json
from auditor.registry import select_rules
from auditor.report import Report, Unreadable
from auditor.rule import Ruleset, RulesetName
from auditor.submission.repository import Repository
from bench.flow_speed import percentile
from rules import ALL_RULES
from rules.limits import RULES_AS_OF

Json = dict[str, Any]

SOURCE_RULES = ("PG401", "PG402", "PG403", "PG502", "PG503", "PG504", "PG601", "PG602", "PG603", "PG604", "PG701", "PG702",
                "PG703", "PG801", "PG803")  # fmt: skip
_PARTICULARS = re.compile(r"`[^`]*`|\([^)]*\)|[\w./ -]+\.py|\d[\d,]*")  # of one submission, in a reason
_NUM_REASONS = 3


@dataclass(frozen=True)
class TimedAuditor(Auditor):
    """An auditor that notes, in a file, how many seconds of CPU time each report took."""

    times: Path = Path()

    def report(self, job: Job | Unreadable, on_phase: Callable[[str], None] = lambda phase: None) -> Report | None:
        """The report on one job."""
        start = time.process_time()
        found = Auditor.report(self, job, on_phase)
        with self.times.open("a") as file:  # lines this short are written whole
            file.write(f"{time.process_time() - start:.4f}\n")
        return found


@dataclass(frozen=True, slots=True)
class Cost:
    """What the audits took: `seconds` of CPU time each, `peak_megabytes` of the largest worker."""

    wall_seconds: float
    peak_megabytes: float
    seconds: tuple[float, ...]


def run_audits(repo: Path, pulls: Sequence[int], num_processes: int, select: Sequence[str]) -> tuple[list[Json], Cost]:
    """Reports on the pull requests (all if none is named) by the selected rules (all if none is named), and the cost."""
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder) / "seconds"
        rules = select_rules(ALL_RULES, list(select), [])
        auditor = TimedAuditor(rules, Ruleset(RulesetName.PRACTICE, RULES_AS_OF.value), keep_empty=False, times=times)
        jobs = jobs_for_pull_requests(repo, list(pulls))
        start = time.perf_counter()
        reports = audit_all(auditor, jobs, num_processes)
        wall = time.perf_counter() - start
        seconds = tuple(map(float, times.read_text().split()))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN if num_processes > 1 else resource.RUSAGE_SELF).ru_maxrss / 1024
    return [report_to_json(report) for report in reports], Cost(wall, peak, seconds)


def share(part: int, whole: int) -> str:
    """A share with its numerator and denominator."""
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else f"{part} of 0"


def table(reports: Sequence[Json]) -> Iterable[tuple[str, str]]:
    """The rows of the corpus table."""
    outcomes = {id(report): {r["rule_id"]: r["outcome"] for r in report["results"]} for report in reports}
    scripts = [report for report in reports if report["submission"]["script"]]
    kinds = Counter(report["headline"]["kind"] for report in reports if report["headline"])
    located = sum(kinds[kind] for kind in ("single", "mean", "best"))
    packed = [report for report in scripts if report["submission"]["packed"]]
    yield "submissions with a report", str(len(reports))
    yield "with a script", str(len(scripts))
    yield "packed", str(len(packed))
    yield "unwrapped", share(sum(bool(report["submission"]["unwrapped"]) for report in packed), len(packed))
    yield "parsed", share(sum(bool(report["submission"]["parsed"]) for report in scripts), len(scripts))
    yield "headline located, of those with a log and a claim", share(located, located + kinds["unlocated"])
    for kind, number in sorted(kinds.items()):
        yield f"headline kind: {kind}", str(number)
    yield "foreign logs (PG001 fail)", str(sum(outcomes[id(report)].get("PG001") == "fail" for report in reports))
    yield "crashed rules", str(sum(list(found.values()).count("crashed") for found in outcomes.values()))
    for verdict, number in sorted(Counter(report["verdict"] for report in reports).items()):
        yield f"verdict: {verdict}", str(number)


def open_table(reports: Sequence[Json]) -> Iterable[tuple[str, str, str]]:
    """For each rule about the source: how many parsed submissions it left open, and the most frequent first reasons."""
    parsed = [report for report in reports if report["submission"]["parsed"]]
    for rule_id in SOURCE_RULES:
        results = [result for report in parsed for result in report["results"] if result["rule_id"] == rule_id]
        left = [result for result in results if result["outcome"] == "open"]
        reasons = Counter(_reason(result) for result in left)
        told = "; ".join(f"{number} {reason}" for reason, number in reasons.most_common(_NUM_REASONS))
        if results:
            yield rule_id, share(len(left), len(results)), told


def _reason(result: Json) -> str:
    messages = [item["message"] for item in result["unestablished"]]
    return _PARTICULARS.sub("..", messages[0]) if messages else "nothing was established"


def costs(cost: Cost, num_processes: int) -> Iterable[tuple[str, str]]:
    """The rows about what it took."""
    yield f"wall time, {num_processes} jobs", f"{cost.wall_seconds:.0f} s"
    yield "CPU time of one audit: median", f"{statistics.median(cost.seconds):.2f} s"
    yield "CPU time of one audit: 99th percentile", f"{percentile(cost.seconds, 0.99):.2f} s"
    yield "CPU time of one audit: longest", f"{max(cost.seconds):.2f} s"
    yield "peak memory of one process", f"{cost.peak_megabytes:.0f} MB"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", required=True, type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--select", nargs="+", default=[], metavar="RULE", help="only these rules")
    parser.add_argument("--pulls", type=int, metavar="N", help="only so many pull requests, drawn at random")
    parser.add_argument("--seed", type=int, default=7, help="of the draw (default 7)")
    arguments = parser.parse_args(argv)
    known = Repository(arguments.repo).all_pull_requests()
    pulls = random.Random(arguments.seed).sample(known, arguments.pulls) if arguments.pulls else []
    reports, cost = run_audits(arguments.repo, pulls, arguments.jobs, arguments.select)
    print("| fact | value |\n|---|---|")
    for name, value in (*table(reports), *costs(cost, arguments.jobs)):
        print(f"| {name} | {value} |")
    print("\n| rule | left open | most frequent reasons |\n|---|---|---|")
    for rule_id, left, reasons in open_table(reports):
        print(f"| {rule_id} | {left} | {reasons} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
