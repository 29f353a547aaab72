"""``python -m auditor.run PATH`` or ``--repo GITDIR --pr N``: run a submission and tell what it did."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from auditor.report import Unreadable
from auditor.run.judge import Judgement, ScoreLine, judge
from auditor.run.probes import CUTS, Comparison, prefix_invariance
from auditor.run.runner import Limits
from auditor.run.session import open_session
from auditor.run.story import tell
from auditor.run.trace import read_trace
from auditor.submission.locate import locate
from auditor.submission.repository import Repository
from auditor.submission.submission import Submission


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 if the script ran to its end, 2 if not."""
    parser = argparse.ArgumentParser(prog="python -m auditor.run", description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, help="a submission folder or a script")
    parser.add_argument("--repo", type=Path, metavar="GITDIR")
    parser.add_argument("--pr", type=int, metavar="N")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="a Python that has torch")
    parser.add_argument("--timeout", type=float, default=Limits().seconds, metavar="SECONDS")
    parser.add_argument(
        "--cuts", type=float, nargs="*", default=CUTS, help="shares of the evaluation after which to replace"
    )
    parser.add_argument("--no-record", action="store_true", help="only run: for measuring what the recorder costs")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the log there")
    arguments = parser.parse_args(argv)
    if (arguments.path is None) == (arguments.pr is None or arguments.repo is None):
        parser.error("name a PATH, or --repo GITDIR and --pr N")
    try:
        return _run(_open(arguments), arguments)
    except ValueError as error:
        print(f"pgolf: {error}", file=sys.stderr)
        return 2


def _open(arguments: argparse.Namespace) -> Submission:
    if arguments.path is not None:
        found: Submission | Unreadable = next(locate(arguments.path))
    else:
        found = Repository(arguments.repo).pull_request(arguments.pr)
    if isinstance(found, Unreadable):
        raise ValueError(f"{found.path}: {found.reason}")
    return found


def _run(submission: Submission, arguments: argparse.Namespace) -> int:
    if arguments.python == Path(sys.executable) and importlib.util.find_spec("torch") is None:
        raise ValueError("this Python has no torch: name one that has with --python")
    limits = Limits(seconds=arguments.timeout)
    session = open_session(submission, cache_folder(), arguments.python, limits, arguments.keep)
    outcome = session.run(record=not arguments.no_record)
    judgement = judge(outcome, session.world)
    headline = headline_line(judgement, submission)
    comparisons: list[Comparison] = []
    if headline is not None and outcome.failure is None:
        trace = read_trace(outcome.events, len(session.world.validation()))
        comparisons = list(prefix_invariance(session, trace, judgement.lines, headline, arguments.cuts))
    print(tell(session, outcome, judgement, headline, comparisons))
    return 0 if outcome.failure is None else 2


def cache_folder() -> Path:
    """Where generated worlds are kept."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "pgolf"


def headline_line(judgement: Judgement, submission: Submission) -> ScoreLine | None:
    """The line of the run that corresponds to the submitted number: the same label, else the last result; if reconciled."""
    results = [line for line in judgement.results if line.sums is not None]
    labels = {line.metric.label for line in submission.headline.lines}
    fitting = [line for line in results if line.metric.label in labels and line.metric.step is None]
    return next(reversed(fitting or results), None)


if __name__ == "__main__":
    raise SystemExit(main())
