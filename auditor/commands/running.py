"""Running a submission: the options that `audit` and `run-trace` share, and ``pgolf run-trace``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.commands.options import PROBES, RANKS, seconds
from auditor.commands.writing import ERROR, failed

if TYPE_CHECKING:
    from auditor.run.observe import RunOptions


def add_run_trace_parser(commands: Any) -> None:  # noqa: ANN401 - argparse does not name the type of its subparsers
    """Add ``run-trace`` to the command line."""
    trace = commands.add_parser("run-trace", help="run a submission in a sandbox and tell what it did, in order")
    trace.add_argument("path", nargs="?", type=Path, metavar="PATH", help="a submission folder or a script")
    trace.add_argument("--repo", type=Path, metavar="GITDIR", help="a clone or mirror of the contest repository")
    trace.add_argument("--pr", type=int, metavar="N", help="a pull request of --repo")
    add_run_options(trace.add_argument_group("how to run it"))
    trace.set_defaults(run=_run_trace, refuse=trace.error)


def add_run_options(group: argparse._ArgumentGroup) -> None:
    """How to run a submission."""
    group.add_argument("--run-python", type=Path, metavar="PATH", help="a Python that has torch, numpy and sentencepiece")
    group.add_argument("--run-timeout", type=seconds, metavar="SECONDS", help="wall time for each run of the script (600)")
    group.add_argument("--ranks", type=int, choices=RANKS, default=1, help="processes to run it as (1)")
    group.add_argument("--run-probes", nargs="+", choices=(*PROBES, "none"), help="usually suffix, target and bound")
    group.add_argument("--keep-run", type=Path, metavar="DIR", help="keep its log, its events and what they showed there")


def run_options(arguments: argparse.Namespace) -> RunOptions:
    """How to run submissions. ValueError if the Python for it cannot."""
    from auditor.run.observe import RunOptions, check_python

    python = arguments.run_python or Path(sys.executable)
    check_python(python)
    options = RunOptions(python=python, keep=arguments.keep_run, num_ranks=arguments.ranks)
    if arguments.run_timeout is not None:
        options = replace(options, seconds=arguments.run_timeout)
    if arguments.run_probes is not None:
        options = replace(options, probes=tuple(kind for kind in arguments.run_probes if kind != "none"))
    return options


def _run_trace(arguments: argparse.Namespace) -> int:
    from auditor.batch import PathJob, PullRequestJob
    from auditor.output.progress import progress
    from auditor.report import Unreadable
    from auditor.run.observe import observe
    from auditor.run.story import tell
    from auditor.submission.errors import SubmissionError

    if (arguments.path is None) == (arguments.pr is None or arguments.repo is None):
        arguments.refuse("name a PATH, or --repo GITDIR and --pr N")
    job = PullRequestJob(arguments.repo, arguments.pr) if arguments.path is None else PathJob(str(arguments.path))
    try:
        options = run_options(arguments)
        found = job.open()
    except (ValueError, SubmissionError) as error:
        return failed(str(error))
    if isinstance(found, Unreadable):
        return failed(f"{found.path}: {found.reason}")
    with progress(1, has_phases=True) as told:
        facts = observe(found, options, told.on_phase)
    print(tell(facts))
    return 0 if facts.failure is None else ERROR
