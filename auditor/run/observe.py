"""Runs a submission and tells what that established: the seam between running and judging.

`observe` prepares the toy world, runs the script, judges each reported score, runs the probes, and returns `RunFacts`. It
never raises for what a submission does: a script that cannot be run, fails, or tells nonsense has its reason in `failure`,
with what would be needed. ValueError is kept for the user's own mistakes (`check_python`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.plain import to_plain
from auditor.run.comparison import Comparison, compare_masses
from auditor.run.facts import RunFacts, RunLine
from auditor.run.judge import Judgement, ScoreLine, judge
from auditor.run.lines import Lines
from auditor.run.probes import CUTS, probe
from auditor.run.runner import NO_TIME, Limits, Outcome
from auditor.run.sequence import Picture, Sources, draw
from auditor.run.session import Session, open_session
from auditor.run.trace import Place
from auditor.submission.submission import Submission

_NEEDED_MODULES = ("torch", "numpy", "sentencepiece")
_MISSING_MODULE = re.compile(r"No module named '(?P<name>[\w.]+)'")
_FRAME = 3  # file, line, function

USUAL_PROBES = ("suffix", "target", "bound")  # the fourth, artifact, costs two runs more

Phase = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How submissions are run: with which Python, for how many seconds at most each time, and where to keep what they told.

    `probes` are run one after the other; `cuts` are the shares of the evaluation after which the suffix is replaced. The
    script runs as `num_ranks` processes, as ``torchrun`` starts them.
    """

    python: Path
    seconds: float = Limits().seconds
    keep: Path | None = None
    cuts: Sequence[float] = CUTS
    probes: Sequence[str] = USUAL_PROBES
    num_ranks: int = 1


def check_python(python: Path) -> None:
    """ValueError, with what to do, if a Python cannot run submissions."""
    asked = f"import importlib.util as u; print(*(m for m in {_NEEDED_MODULES!r} if u.find_spec(m) is None))"
    try:
        done = subprocess.run([str(python), "-I", "-c", asked], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ValueError(f"{python} cannot be run as a Python: {error}") from error
    if missing := done.stdout.split():
        what = "this Python" if python == Path(sys.executable) else str(python)
        raise ValueError(f"running a submission needs {', '.join(missing)}, which {what} lacks: name one with --run-python")


def cache_folder() -> Path:
    """Where generated worlds are kept."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "pgolf"


def observe(submission: Submission, options: RunOptions, on_phase: Phase = lambda phase: None) -> RunFacts:
    """Run a submission and its probes. `on_phase` is told what happens next."""
    on_phase("toy world")
    script = submission.script.path if submission.script else None
    outcome = None
    try:
        limits = Limits(seconds=options.seconds)
        session = open_session(submission, cache_folder(), options.python, limits, options.num_ranks)
        on_phase("run")
        outcome = session.run()
        judgement = judge(outcome, session.world)
    except ValueError as error:
        facts = RunFacts(script=script, failure=str(error), needed=_needed(str(error)))
    else:
        sources = Sources(script=script or session.script, ran=session.script)
        lines = Lines(judgement, session.world.validation(), _labels(submission), sources)
        comparisons = tuple(_probe(session, judgement, _probed(judgement, lines), options, on_phase))
        facts = _facts(session, outcome, judgement, lines, comparisons, sources)
    if options.keep is not None:
        _keep(options.keep / kept_name(submission), outcome, facts)
    return facts


def _labels(submission: Submission) -> frozenset[str]:
    return frozenset(line.metric.label for line in submission.headline.lines if line.metric.label)


def _probed(judgement: Judgement, lines: Lines) -> ScoreLine | None:
    """The line that decides the order of a probe: the submitted one, else the last; if there is one, of known losses."""
    found = [line for line in judgement.results if line.behind] or list(judgement.results)
    final = [line for line in found if line.metric.step is None]
    return next(reversed([line for line in final if lines.is_headline(line)] or final or found), None)


def _probe(session: Session, judgement: Judgement, line: ScoreLine | None, options: RunOptions,
           on_phase: Phase) -> Iterator[Comparison]:  # fmt: skip
    if line is None or judgement.failure is not None:
        return
    yield from compare_masses(judgement.trace, judgement.lines)
    done = 0
    on_phase(f"probes: 0 of {len(options.probes)}")
    last = None
    for found in probe(session, judgement.trace, judgement.lines, line, options.probes, options.cuts):
        if found.probe != last:
            done, last = done + 1, found.probe
            on_phase(f"probes: {done} of {len(options.probes)} ({found.probe})")
        yield found


def _facts(session: Session, outcome: Outcome, judgement: Judgement, lines: Lines,
           comparisons: tuple[Comparison, ...], sources: Sources) -> RunFacts:  # fmt: skip
    told = lines.told()
    headline = next((index for index in reversed(range(len(told))) if told[index].is_headline), None)
    groups = lines.groups()
    picture = Picture(
        groups=groups,
        labels=[line.label or line.text[:40] for line in told],
        headline=None if headline is None else _first(told, headline),
        sources=sources,
        size=lines.size,
        excused=lines.beginnings(),
    )
    return RunFacts(
        script=sources.script,
        failure=_failure(outcome, sources),
        needed=None if outcome.failure is None else _needed(outcome.failure),
        overrides=session.overrides,
        isolation=outcome.isolation,
        seconds=outcome.seconds,
        cpu_seconds=outcome.cpu_seconds,
        rewritten=any(event.get("t") == "rewritten" for event in outcome.events),
        left_out=outcome.left_out,
        num_positions=lines.size,
        num_located=judgement.num_located,
        num_unlocated=judgement.num_unlocated,
        lines=told,
        num_trained_validation=judgement.num_trained_validation,
        num_trained_unlocated=judgement.num_trained_unlocated,
        num_discarded=lines.num_discarded(),
        training_reads=lines.training_reads(),
        connections=lines.connections(),
        comparisons=comparisons,
        timeline=draw(judgement.trace, picture),
        ranks=lines.ranks(),
        num_collectives=sum(event.get("t") == "collective" and event.get("rank") == 0 for event in outcome.events),
    )


def _failure(outcome: Outcome, sources: Sources) -> str | None:
    """Why the script did not reach its end, with the line of its own that raised."""
    frames = next((event.get("frames") for event in outcome.events if event.get("t") == "failed"), None)
    last = frames[-1] if isinstance(frames, list) and frames else None
    if outcome.failure is None or not isinstance(last, list) or len(last) != _FRAME or not isinstance(last[1], int):
        return outcome.failure
    return f"{outcome.failure} ({sources.locate(Place(str(last[0]), last[1], str(last[2])))})"


def _first(told: Sequence[RunLine], index: int) -> int:
    repeats = told[index].repeats
    return index if repeats is None else repeats


def _needed(failure: str) -> str:
    """What would let a run reach its end."""
    if missing := _MISSING_MODULE.search(failure):
        return f"install {missing['name'].split('.')[0]} for the Python that runs submissions (--run-python)"
    if failure.startswith(NO_TIME):
        return "give it more time with --run-timeout"
    return "see the script's own output (--keep-run DIR keeps it)"


def kept_name(submission: Submission) -> str:
    """A folder name for what is kept of a submission's run."""
    if submission.pr is not None:
        return f"pr{submission.pr}"
    return re.sub(r"[^\w.-]+", "_", submission.path).strip("_.") or "submission"


def _keep(folder: Path, outcome: Outcome | None, facts: RunFacts) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if outcome is not None:
        (folder / "log.txt").write_text(outcome.log, encoding="utf-8")
        events = "".join(f"{json.dumps(event, separators=(',', ':'))}\n" for event in outcome.events)
        (folder / "events.jsonl").write_text(events, encoding="utf-8")
    (folder / "run.json").write_text(json.dumps(to_plain(facts), indent=1) + "\n", encoding="utf-8")
