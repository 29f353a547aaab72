"""Runs runnable fixture cases in the toy world and keeps the logs that they print.

A case with a ``[record]`` table in its case.toml is a script of our own that runs on a CPU: it is laid out beside the data
of `tools.toy_world`, run once, and what it printed becomes its log, byte for byte; submission.json gets the number on the
headline's line. So the logs of fixtures are as honest as logs can be. Needs torch and sentencepiece.

    [record]
    headline = "final_ttt_exact"            # the label whose val_bpb is submitted
    environment = { TTT_ENABLED = "1" }     # what the run was started with
    log = "train_seed1337.log"              # the default

``python -m tools.record_fixtures [CASE...]`` records the named cases, all by default. Not covered: runs on several GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.lay_out_fixtures import Case, find_cases, lay_out
from tools.toy_world import write_world

DEFAULT_LOG = "train_seed1337.log"
_TIMEOUT_SECONDS = 120


def record(case: Case) -> str:
    """Run one case and write its log and submission.json; the log's text. ValueError if it fails or prints no headline."""
    settings = case.record or {}
    environment = settings.get("environment", {})
    assert isinstance(environment, Mapping)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_world(root)
        lay_out(case, root)
        done = subprocess.run(
            [sys.executable, "train_gpt.py"],
            cwd=root,
            env={"PATH": os.environ.get("PATH", ""), "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    if done.returncode:
        raise ValueError(f"{case.name}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    (case.folder / str(settings.get("log", DEFAULT_LOG))).write_text(done.stdout, encoding="utf-8")
    declared = _submission(case, done.stdout, str(settings["headline"]))
    (case.folder / "submission.json").write_text(json.dumps(declared, indent=2) + "\n", encoding="utf-8")
    return done.stdout


def _submission(case: Case, log: str, label: str) -> dict[str, object]:
    scores = re.findall(rf"^{re.escape(label)} .*?val_loss:([\d.]+) .*?(?:val|mix)_bpb:([\d.]+)", log, re.MULTILINE)
    if not scores:
        raise ValueError(f"{case.name}: no line {label} in the log")
    val_loss, val_bpb = scores[-1]
    total = re.findall(r"^Total submission size [^:]*: (\d+) bytes", log, re.MULTILINE)
    return {
        "author": "fixture",
        "github_id": "fixture",
        "name": case.folder.name.replace("_", " "),
        "date": "2026-04-15",
        "val_loss": float(val_loss),
        "val_bpb": float(val_bpb),
        "bytes_total": int(total[-1]) if total else None,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Record cases; 1 if one of them does not run."""
    parser = argparse.ArgumentParser(description="Run runnable fixture cases and keep their logs.")
    parser.add_argument("cases", nargs="*", help="test ids such as PG701-bad_train_then_score; all by default")
    arguments = parser.parse_args(argv)
    failed = 0
    for case in find_cases():
        if case.record is None or (arguments.cases and case.name not in arguments.cases):
            continue
        try:
            print(f"{case.name}: {record(case).splitlines()[-1]}")
        except (ValueError, subprocess.TimeoutExpired) as error:
            print(f"{case.name}: {error}", file=sys.stderr)
            failed += 1
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
