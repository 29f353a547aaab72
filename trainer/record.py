"""The record folder of a submission, from the logs of its runs: no number in it is typed by anybody.

Each run leaves a log in the format of the contest's reference. Every fact is read from it by one pattern; a fact that a
log does not carry, or carries twice with different values, ends the matter. The score is that of the last
``final_..._exact`` line, which is the last evaluation that the run's settings asked for, never the best one. Mean and
sample standard deviation are taken over the seeds.

The script is the one that each run left beside its log, unless another is named. What is refused: runs of different
settings, scripts or the same seed, a script of another size than the logs say, a submission over the cap, a track whose
hardware or time limits the logs do not show, numbers in the user's own words that no log carries, a comparison that the
data do not allow, and a folder that exists. Not covered: whether the logs are honest. The auditor looks into that.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from trainer.command import OK, report_errors
from trainer.run_folder import SCRIPT_NAME
from trainer.size import SubmissionSize

LOG_PATTERNS = ("*.log", "*.txt", "logs/*.txt")
RECORD_TRACK = "10min_16mb"
TRACKS = (RECORD_TRACK, "non_record_16mb")
# README of the contest, for the record track: eight H100, ten minutes of training (the step that crosses them counts as
# within) and ten more for the evaluation.
CONTEST_DATASET = "fineweb"  # how the names of all its exports begin
RECORD_WORLD_SIZE, RECORD_DEVICE, TIME_CAP_SECONDS = 8, "H100", 600.0
Scores = Sequence[tuple[float, float]]  # val_loss and val_bpb of each seed
# The row's name and the scores to sentences; ValueError where they cannot be compared.
Compare = Callable[[str, Scores], list[str]]
_FACTS = {
    "seed": r"seed:(\d+)",
    "dataset": r"train_loader:dataset:(\S+) .*",
    "val_tokens": r"val_loader:.*\btokens:(\d+)",
    "model_params": r"model_params:(\d+)",
    "world_size": r"world_size:(\d+)\b.*",
    "device": r"device:(.+)",
    "pytorch_version": r"Running PyTorch (\S+)",
    "train_time_ms": r"stopping\w*: .*\btrain_time:(\d+)ms\b.*",
    "steps": r"stopping\w*: .*\bstep:(\d+)/\d+",
    "code_bytes": r"Code size: (\d+) bytes",
    "model_bytes": r"Serialized model int\d\+\w+: (\d+) bytes\b.*",
    "total_bytes": r"Total submission size int\d\+\w+: (\d+) bytes",
}
_SCORE = re.compile(r"(?P<label>final_\S+)_exact val_loss:(?P<val_loss>\d+\.\d+) val_bpb:(?P<val_bpb>\d+\.\d+)")
_PRECISE = re.compile(r"(?<![\w.])\d+\.\d{3,}(?![\w.])|(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w,])|(?<![\w.,])\d{5,}(?![\w.])")
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLog:
    """What one run's log says. Sizes in bytes, times in seconds; `label` is that of the line with the score.

    `evaluations` are label and val_bpb of every final line, in order; the last is the score.
    """

    path: Path
    text: str
    seed: int
    label: str
    evaluations: tuple[tuple[str, float], ...]
    val_loss: float
    val_bpb: float
    dataset: str
    val_tokens: int
    model_params: int
    world_size: int
    device: str
    pytorch_version: str
    train_seconds: float
    eval_seconds: float
    steps: int
    code_bytes: int
    model_bytes: int
    total_bytes: int

    def settings(self) -> list[str]:
        """What was printed before the seed: data, sizes, hyper-parameters, versions. Where files lay is left out."""
        lines = self.text.splitlines()
        return [re.sub(r"[^\s=]*/(?=[^\s/])", "", line) for line in lines[: lines.index(f"seed:{self.seed}")]]

    @property
    def is_within_training_time(self) -> bool:
        """Had the last step begun before the time was over?"""
        return self.train_seconds * (1 - 1 / max(self.steps, 1)) < TIME_CAP_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a person says about a submission: the only words in a record that come from no log."""

    name: str
    author: str
    github_id: str
    blurb: str
    track: str
    day: date


def read_log(path: Path) -> RunLog:
    """The facts of a run, from its log file or its folder; ValueError says which fact is missing or ambiguous."""
    path = _find_log(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: the log cannot be read: {error}") from error
    facts = {name: _only_value(path, text, name, pattern) for name, pattern in _FACTS.items()}
    scores = _scores(path, text)
    score = scores[-1]
    eval_time = rf"{re.escape(score['label'])} val_loss:.*\beval_time:(\d+)ms"
    run = RunLog(
        path=path,
        text=text,
        label=score["label"],
        evaluations=tuple((found["label"], float(found["val_bpb"])) for found in scores),
        val_loss=float(score["val_loss"]),
        val_bpb=float(score["val_bpb"]),
        dataset=facts["dataset"],
        device=facts["device"],
        pytorch_version=facts["pytorch_version"],
        train_seconds=int(facts["train_time_ms"]) / 1000,
        eval_seconds=int(_only_value(path, text, "eval_time", eval_time)) / 1000,
        seed=int(facts["seed"]),
        val_tokens=int(facts["val_tokens"]),
        model_params=int(facts["model_params"]),
        world_size=int(facts["world_size"]),
        steps=int(facts["steps"]),
        code_bytes=int(facts["code_bytes"]),
        model_bytes=int(facts["model_bytes"]),
        total_bytes=int(facts["total_bytes"]),
    )
    if run.code_bytes + run.model_bytes != run.total_bytes:
        raise ValueError(f"{path}: {run.code_bytes} bytes of code + {run.model_bytes} of model are not {run.total_bytes}")
    return run


def write_record(
    run_paths: Sequence[Path],
    script: Path | None,
    about: About,
    records: Path,
    compare: Callable[[Scores], list[str]] | None = None,
) -> Path:
    """Write ``<records>/track_<track>/<date>_<name>/`` as a whole or not at all; ValueError for every refusal.

    Without a `script` it is the one beside the logs. `compare` makes the README's sentences about a leaderboard row from
    (val_loss, val_bpb) of each seed.
    """
    runs = sorted((read_log(path) for path in run_paths), key=lambda run: run.seed)
    _refuse_mixed_runs(runs)
    script, code = (script, _read_script(script)) if script else _read_own_script(runs)
    _refuse_another_script(runs, script, code)
    _refuse_oversize(runs)
    _refuse_track(runs, about)
    _refuse_unlogged_numbers(runs, about)
    folder = _folder(records, about)
    files = {
        "README.md": render_readme(runs, about, _compared(runs, compare)).encode(),
        "submission.json": (json.dumps(render_submission(runs, about), indent=2) + "\n").encode(),
        SCRIPT_NAME: code,
        **{f"train_seed{run.seed}.log": run.text.encode() for run in runs},
    }
    _write_folder(folder, files)
    return folder


# ---- reading ----


def _find_log(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = [log for pattern in LOG_PATTERNS for log in sorted(path.glob(pattern))]
    if len(found) != 1:
        raise ValueError(f"{path}: {len(found)} logs ({', '.join(LOG_PATTERNS)}) where one is expected; name the file")
    return found[0]


def _only_value(path: Path, text: str, name: str, pattern: str) -> str:
    values = {match[1] for line in text.splitlines() if (match := re.fullmatch(pattern, line.strip()))}
    if len(values) != 1:
        problem = f"different values of {name}: {', '.join(sorted(values))}" if values else f"no line that tells {name}"
        raise ValueError(f"{path}: the log has {problem}")
    return values.pop()


def _scores(path: Path, text: str) -> list[re.Match[str]]:
    scores = [match for line in text.splitlines() if (match := _SCORE.fullmatch(line.strip()))]
    if not scores:
        raise ValueError(f"{path}: the log has no line final_..._exact val_loss:... val_bpb:...: the run was not evaluated")
    return scores


def _read_own_script(runs: Sequence[RunLog]) -> tuple[Path, bytes]:
    """The script that every run left beside its log."""
    paths = [run.path.parent / SCRIPT_NAME for run in runs]
    if missing := [path for path in paths if not path.exists()]:
        raise ValueError(f"{missing[0]}: not there; name the script that printed the logs with --script")
    first, *others = [_read_script(path) for path in paths]
    for path, other in zip(paths[1:], others, strict=True):
        if other != first:
            raise ValueError(f"{path}: another script than {paths[0]}: seeds of one record are runs of one script")
    return paths[0], first


def _read_script(script: Path) -> bytes:
    try:
        return script.read_bytes()
    except OSError as error:
        raise ValueError(f"{script}: the script cannot be read: {error.strerror or error}") from error


# ---- refusals ----


def _refuse_mixed_runs(runs: Sequence[RunLog]) -> None:
    if not runs:
        raise ValueError("a record needs the log of at least one run")
    first = runs[0]
    for earlier, run in pairwise(runs):
        if run.seed == earlier.seed:
            raise ValueError(f"{run.path}: seed {run.seed} again, as in {earlier.path}: a seed counts once")
    for run in runs[1:]:
        differing = [pair for pair in zip(first.settings(), run.settings(), strict=False) if pair[0] != pair[1]]
        if differing:
            raise ValueError(
                f"{run.path}: another configuration than {first.path}: {differing[0][1]!r}, not {differing[0][0]!r}"
            )
        if run.label != first.label or run.code_bytes != first.code_bytes:
            raise ValueError(
                f"{run.path}: {run.label} with {run.code_bytes} bytes of code, but {first.path}: "
                f"{first.label} with {first.code_bytes}: seeds of one record are runs of one script"
            )


def _refuse_another_script(runs: Sequence[RunLog], script: Path, code: bytes) -> None:
    if runs[0].code_bytes != len(code):
        raise ValueError(
            f"{script}: {len(code)} bytes, but the log {runs[0].path} says 'Code size: {runs[0].code_bytes} bytes': "
            "it was printed by another script; run the one that you submit"
        )


def _refuse_oversize(runs: Sequence[RunLog]) -> None:
    for run in runs:
        size = SubmissionSize(code_bytes=run.code_bytes, model_bytes=run.model_bytes)
        if size.over_bytes:
            raise ValueError(f"{run.path}: seed {run.seed} is {size.describe()}")


def _refuse_track(runs: Sequence[RunLog], about: About) -> None:
    if about.track not in TRACKS:
        raise ValueError(f"--track {about.track}: must be one of {', '.join(TRACKS)}")
    if about.track != RECORD_TRACK:
        return
    for run in runs:
        if not run.dataset.startswith(CONTEST_DATASET):
            raise ValueError(
                f"{run.path}: scored on {run.dataset}: track {RECORD_TRACK} is FineWeb; use --track {TRACKS[1]}"
            )
        times = f"{run.train_seconds} s of training, {run.eval_seconds} s of evaluation"
        shown = f"{run.path}: {run.world_size} x {run.device}, {times}"
        if run.world_size != RECORD_WORLD_SIZE or RECORD_DEVICE not in run.device:
            raise ValueError(
                f"{shown}: track {RECORD_TRACK} is {RECORD_WORLD_SIZE} x {RECORD_DEVICE}; use --track {TRACKS[1]}"
            )
        if not run.is_within_training_time or run.eval_seconds > TIME_CAP_SECONDS:
            raise ValueError(f"{shown}: track {RECORD_TRACK} allows {TIME_CAP_SECONDS} s for each; use --track {TRACKS[1]}")


def _refuse_unlogged_numbers(runs: Sequence[RunLog], about: About) -> None:
    """Round numbers are words (a learning rate, a factor); precise ones are results and must stand in a log."""
    carried = [number for run in runs for number in re.findall(r"\d+\.\d+|\d+", run.text)]
    carried += [f"{value:.8f}" for value in _summary(runs).values() if value is not None]
    for written in _PRECISE.findall(f"{about.name}\n{about.blurb}"):
        if not any(_is_rounding(written.replace(",", ""), number) for number in carried):
            raise ValueError(
                f"the text says {written}, which no log carries; leave the number out or show the log that has it"
            )


def _is_rounding(written: str, logged: str) -> bool:
    decimals = len(written.partition(".")[2])
    return written == logged or ("." in written and f"{float(logged):.{decimals}f}" == written)


def _compared(runs: Sequence[RunLog], compare: Callable[[Scores], list[str]] | None) -> list[str]:
    if compare is None:
        return []
    if not runs[0].dataset.startswith(CONTEST_DATASET):
        raise ValueError(f"{runs[0].path}: scored on {runs[0].dataset}, which compares with no row of the leaderboard")
    return compare([(run.val_loss, run.val_bpb) for run in runs])


def _folder(records: Path, about: About) -> Path:
    slug = re.sub(r"[^A-Za-z0-9_.+-]+", "_", about.name).strip("_")
    if not _FOLDER_NAME.fullmatch(slug):
        raise ValueError(f"--name {about.name!r}: must hold letters or digits, and be at most 100 characters")
    return records / f"track_{about.track}" / f"{about.day.isoformat()}_{slug}"


# ---- writing ----


def _summary(runs: Sequence[RunLog]) -> dict[str, float | None]:
    """Means, and sample standard deviations where there are two runs or more, at the precision of the logs."""
    losses, bpbs = [run.val_loss for run in runs], [run.val_bpb for run in runs]
    several = len(runs) > 1
    return {
        "val_loss": round(statistics.fmean(losses), 8),
        "val_bpb": round(statistics.fmean(bpbs), 8),
        "val_loss_std": round(statistics.stdev(losses), 8) if several else None,
        "val_bpb_std": round(statistics.stdev(bpbs), 8) if several else None,
    }


def render_submission(runs: Sequence[RunLog], about: About) -> dict[str, Any]:
    """submission.json in the spellings of accepted records; `artifact_bytes` is code and model together."""
    first = runs[0]
    fields = {
        "author": about.author,
        "github_id": about.github_id,
        "name": about.name,
        "blurb": about.blurb,
        "date": about.day.isoformat(),
        "track": about.track,
        **_summary(runs),
        "bytes_total": max(run.total_bytes for run in runs),
        "bytes_code": first.code_bytes,
        "seeds": [run.seed for run in runs],
        "seed_results": {str(run.seed): _seed_result(run) for run in runs},
        "evaluation": first.label,
        "dataset": first.dataset,
        "hardware": f"{first.world_size}x {first.device}",
        "pytorch_version": first.pytorch_version,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _seed_result(run: RunLog) -> dict[str, float | int]:
    return {
        "val_bpb": run.val_bpb,
        "val_loss": run.val_loss,
        "artifact_bytes": run.total_bytes,
        "train_time_s": run.train_seconds,
        "eval_time_s": run.eval_seconds,
        "steps": run.steps,
        "val_tokens": run.val_tokens,
    }


def render_readme(runs: Sequence[RunLog], about: About, comparison: Sequence[str] = ()) -> str:
    """README.md: what is claimed, per seed, on average and against a leaderboard row, and how to run it again."""
    return "\n".join(_readme_lines(runs, about, comparison)) + "\n"


def _readme_lines(runs: Sequence[RunLog], about: About, comparison: Sequence[str]) -> Iterator[str]:
    first, summary = runs[0], _summary(runs)
    yield from (f"# {about.name}", "", about.blurb, "", "## Result", "")
    yield f"`{first.label}_exact` of each log:"
    yield from ("", "| seed | val_bpb | val_loss | bytes in all | model bytes | steps | training | evaluation |")
    yield "|---|---|---|---|---|---|---|---|"
    for run in runs:
        yield (
            f"| {run.seed} | {run.val_bpb:.8f} | {run.val_loss:.8f} | {run.total_bytes:,} | {run.model_bytes:,} "
            f"| {run.steps} | {run.train_seconds:.1f} s | {run.eval_seconds:.1f} s |"
        )
    yield ""
    if len(runs) > 1:
        yield f"Mean val_bpb **{summary['val_bpb']:.8f}** (sample standard deviation {summary['val_bpb_std']:.8f})."
    else:
        yield "One seed only: this is a single run, without a standard deviation."
    if not first.dataset.startswith(CONTEST_DATASET):
        yield from ("", f"Scored on the validation split of `{first.dataset}`, which is **not** the contest's: the numbers")
        yield "compare with no other record."
    yield from _evaluation_lines(runs)
    if comparison:
        yield from ("", "## Against the leaderboard", "", *comparison)
    yield from (
        "",
        f"{first.model_params:,} parameters; {first.val_tokens:,} validation tokens; {first.code_bytes:,} bytes of code;",
    )
    yield f"{first.world_size} x {first.device}, PyTorch {first.pytorch_version}."
    yield from ("", "## Run it again", "", "```bash")
    yield _command(first)
    yield from ("```", "", "## Files", "", f"- `{SCRIPT_NAME}`: training, quantisation and evaluation")
    yield from (f"- `train_seed{run.seed}.log`: the log of seed {run.seed}, as it was printed" for run in runs)
    yield "- `submission.json`: the numbers above"


def _command(run: RunLog) -> str:
    """What runs the script again. Only the contest's data are where it looks by itself."""
    command = f"SEED={run.seed} torchrun --standalone --nproc_per_node={run.world_size} {SCRIPT_NAME}"
    if run.dataset.startswith(CONTEST_DATASET):
        return command
    return f"DATA_PATH=path/to/{run.dataset} TOKENIZER_PATH=path/to/{run.dataset}/tokenizer.model {command}"


def _evaluation_lines(runs: Sequence[RunLog]) -> Iterator[str]:
    """Every final evaluation of each seed, so that a reader sees what the last one gained or lost."""
    labels = [label for label, _ in runs[0].evaluations]
    if len(labels) < 2:
        return
    yield from ("", "Every final val_bpb of the logs, in their order; the last is the one that counts:", "")
    yield f"| seed | {' | '.join(f'`{label}`' for label in labels)} | last against first |"
    yield f"|---|{'---|' * len(labels)}---|"
    for run in runs:
        bpbs = [val_bpb for _, val_bpb in run.evaluations]
        yield f"| {run.seed} | {' | '.join(f'{val_bpb:.8f}' for val_bpb in bpbs)} | {bpbs[-1] - bpbs[0]:+.8f} |"


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    if folder.exists():
        raise ValueError(f"{folder}: exists already; a record is never overwritten, choose another name or date")
    unfinished = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
        os.rename(unfinished, folder)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise ValueError(f"{folder}: cannot be written: {error.strerror or error}") from error


# ---- the command ----


def add_record_parser(commands: Any, compare: Compare) -> None:  # noqa: ANN401 - add_subparsers returns no public type
    """The `record` command; `compare` knows the leaderboard, which the trainer does not."""
    parser = commands.add_parser("record", help="write the record folder of finished runs, every number from their logs")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder or log file of a run, one per seed")
    parser.add_argument("--script", type=Path, help=f"that printed these logs (default: {SCRIPT_NAME} beside them)")
    parser.add_argument("--name", required=True, help="name of the submission")
    parser.add_argument("--author", required=True)
    parser.add_argument("--github-id", required=True)
    parser.add_argument("--blurb", required=True, help="what it does, in your words; no result that no log carries")
    parser.add_argument("--track", choices=TRACKS, default=TRACKS[1], help="default: %(default)s")
    parser.add_argument("--against", metavar="ROW", help="compare with this row of the leaderboard in the README")
    parser.add_argument("--date", type=date.fromisoformat, default=None, help="YYYY-MM-DD (default: today)")
    parser.add_argument("--records", type=Path, default=Path("records"), help="where records lie (default: %(default)s)")
    parser.set_defaults(run=lambda arguments: report_errors("record", lambda: _record(arguments, compare)))


def _record(arguments: argparse.Namespace, compare: Compare) -> int:
    about = About(
        name=arguments.name,
        author=arguments.author,
        github_id=arguments.github_id,
        blurb=arguments.blurb,
        track=arguments.track,
        day=arguments.date or date.today(),
    )
    against = partial(compare, arguments.against) if arguments.against else None
    print(write_record(arguments.runs, arguments.script, about, arguments.records, against))
    return OK
