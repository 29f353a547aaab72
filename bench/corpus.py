"""The corpus table: what the auditor could open, unwrap, parse and trace over every pull request, and what that cost.

``python -m bench.corpus --repo GITDIR`` runs what users run (``cli.py audit --repo GITDIR --all-prs``) as its own process,
measures its wall time and peak memory, and counts from its JSON. A share is printed with its numerator and
denominator, because the denominators differ: only a folder with a log and a numeric claim can have a located headline.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Cost:
    """What the run took; memory is the largest single process."""

    wall_seconds: float
    peak_megabytes: float
    exit_status: int


def run_audit(repo: Path, jobs: int, select: Sequence[str], output: Path) -> Cost:
    """Audit every pull request of `repo` into `output`, by the selected rules (all if none is named)."""
    command = [sys.executable, str(ROOT / "cli.py"), "audit", "--repo", str(repo), "--all-prs"]
    command += ["--select", *select] if select else []
    start = time.perf_counter()
    done = subprocess.run([*command, "--jobs", str(jobs), "--format", "json", "--output", str(output)], check=False)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Cost(time.perf_counter() - start, peak, done.returncode)


def share(part: int, whole: int) -> str:
    """A share with its numerator and denominator."""
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else f"{part} of 0"


def table(reports: Sequence[dict[str, Any]]) -> Iterable[tuple[str, str]]:
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


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", required=True, type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--select", nargs="+", default=[], metavar="RULE", help="only these rules")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "reports.json"
        cost = run_audit(arguments.repo, arguments.jobs, arguments.select, output)
        if not output.exists():
            print(f"the audit wrote no reports (exit status {cost.exit_status})", file=sys.stderr)
            return 2
        reports = json.loads(output.read_text())["reports"]
    print("| fact | value |\n|---|---|")
    for name, value in table(reports):
        print(f"| {name} | {value} |")
    print(f"| wall time, {arguments.jobs} jobs | {cost.wall_seconds:.0f} s |")
    print(f"| peak memory of one process | {cost.peak_megabytes:.0f} MB |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
