"""What the README and the run scripts say where a machine can read it: run commands, their environment, claimed numbers.

A command counts wherever it stands (fenced code, an indented block, a shell script); the variables that an ``export``
sets earlier in the same block belong to it. Nothing is expanded: ``SEED=$SEED`` stays as written. Not covered: commands
in prose, notebooks, and shells other than POSIX ones.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.report import Unreadable
from auditor.submission.errors import SubmissionError
from auditor.submission.logs.lines import MAX_LINE_CHARS, decode
from auditor.submission.tree import FileTree

_README = re.compile(r"readme(?:\.(?:md|txt|rst))?$", re.IGNORECASE)
_RUN_SCRIPT = re.compile(r"\.(?:sh|bash)$")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_PYTHON = re.compile(r"(?:.*/)?python[\d.]*")
_NUM_PROCESSES = re.compile(r"--nproc[-_]per[-_]node(?:=|\s+)(\d+)")
_STARTS_A_SCRIPT = re.compile(r"\.py\b")
_CLAIM = re.compile(r"(?<![\w.])(?P<number>[0-3]\.\d{3,10})(?![\w.%])")
_DIFFERENCE = re.compile(  # up to the end of a clause, unless it names a score in between
    r"(?:(?:gap|delta|Δ|deviation|std)\b(?:(?!bpb)(?:[^.;|]|\.\d)){0,40}|(?:±|\+/-|\bby)\s*)$", re.IGNORECASE
)
_DIFFERENCE_COLUMN = re.compile(r"gap|delta|Δ|diff|improve|gain|deviation|std|±|\bvs\b", re.IGNORECASE)
_SIGNED = re.compile(r"(?:^|[^\w.])[-+\u2212\u2013]$")
_ANOTHERS = re.compile(r"\b(?:to beat|(?:previous|prior|accepted) (?:best|record|sota|leader))\b", re.IGNORECASE)
_BPB = re.compile(r"bpb|bits[ -]per[ -]byte", re.IGNORECASE)
_MAX_README_CHARS = 2_000_000  # ours: far above any README; the rest is not searched


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand:
    """A command that starts a Python script, from the README or a run script, with the variables that it sets.

    `line` is where the command starts, `script` the ``.py`` file that it names, `environment` what the command and the
    ``export`` lines above it set, `num_processes` what ``torchrun`` is told (None if nothing). `text` is the command with
    its continuation lines joined.
    """

    path: str
    line: int
    script: str | None
    environment: Mapping[str, str]
    num_processes: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadmeClaim:
    """A val_bpb that the README states: its line, how many decimals were written, and the line's text."""

    line: int
    val_bpb: float
    num_decimals: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readme:
    """The README of a submission, with the commands of the folder's run scripts. `path` is empty if there is no README."""

    path: str
    text: str
    commands: tuple[RunCommand, ...] = ()
    claims: tuple[ReadmeClaim, ...] = ()


def read_readme(files: FileTree) -> tuple[Readme | None, tuple[Unreadable, ...]]:
    """Read the folder's README and the commands in its run scripts; None if it has neither."""
    at_top = [path for path in files.paths() if "/" not in path]
    readme = next((path for path in at_top if _README.match(path)), "")
    scripts = [path for path in files.paths() if _RUN_SCRIPT.search(path)]
    texts: dict[str, str] = {}
    problems = []
    for path in [path for path in (readme, *scripts) if path]:
        try:
            texts[path] = decode(files.read(path))[0][:_MAX_README_CHARS]
        except SubmissionError as error:
            problems.append(Unreadable(path=path, reason=error.reason))
    commands = tuple(command for path, text in texts.items() for command in find_commands(path, text))
    if not texts.get(readme) and not commands:
        return None, tuple(problems)
    text = texts.get(readme, "")
    return Readme(path=readme, text=text, commands=commands, claims=tuple(find_claims(text))), tuple(problems)


def find_commands(path: str, text: str) -> Iterator[RunCommand]:
    """Every command in `text` that starts a Python script; exports hold until the block (in a script: the file) ends."""
    exported: dict[str, str] = {}
    is_script = bool(_RUN_SCRIPT.search(path))
    for number, line in _joined(text.splitlines()):
        if not is_script and (_FENCE.match(line) or not line.strip()):
            exported = {} if _FENCE.match(line) else exported
            continue
        words = _words(line)
        assignments, rest = _split(words)
        if rest and _STARTS_A_SCRIPT.search(line):
            yield from _command(path, number, line, {**exported, **assignments}, rest)
        elif rest and rest[0] == "export":
            exported |= _split(rest[1:])[0]


def find_claims(text: str) -> Iterator[ReadmeClaim]:
    """Every number that could be a bpb on a line that names bits per byte, or in a table whose head does, in order.

    What is said to be a difference between scores (a gap, a deviation), or the score to beat, is none. Of a very long line
    the beginning is read.
    """
    heads: list[str] = []
    in_table = False
    for number, line in enumerate((line[:MAX_LINE_CHARS] for line in text.splitlines()), start=1):
        is_row = line.lstrip().startswith("|")
        heads = (heads or line.split("|")) if is_row else []
        in_table = is_row and (in_table or bool(_BPB.search(line)))
        if (in_table or _BPB.search(line)) and not _ANOTHERS.search(line):
            for match in _CLAIM.finditer(line):
                digits = match["number"]
                decimals = len(digits.partition(".")[2])
                if not _is_difference(line[: match.start()], heads):
                    yield ReadmeClaim(line=number, val_bpb=float(digits), num_decimals=decimals, text=line.strip())


def _is_difference(before: str, heads: Sequence[str]) -> bool:
    """Does its sign, the text before it or its column's head say that a number is the difference between two scores?"""
    column = before.count("|")
    is_headed = column < len(heads) and _DIFFERENCE_COLUMN.search(heads[column])
    return bool(is_headed or _SIGNED.search(before) or _DIFFERENCE.search(before.rpartition("|")[2]))


def _joined(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Lines with their backslash continuations, and the number of the first."""
    start, held = 0, ""
    for number, line in enumerate(lines, start=1):
        start = start or number
        bare = line.rstrip()
        if bare.endswith("\\"):
            held += bare[:-1] + " "
            continue
        yield start, held + line
        start, held = 0, ""
    if held:
        yield start, held


def _words(line: str) -> list[str]:
    """The shell words of one line; a line that is no shell (an apostrophe in prose) is split at blanks."""
    bare = line.strip().removeprefix("$ ").strip("`")
    try:
        return shlex.split(bare, comments=True)
    except ValueError:
        return bare.split()


def _split(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Leading ``NAME=value`` words as a mapping, and the words after them; ``env`` is read through."""
    assignments: dict[str, str] = {}
    for index, word in enumerate(words):
        match = _ASSIGNMENT.fullmatch(word)
        if match:
            assignments[match[1]] = match[2]
        elif word != "env":
            return assignments, list(words[index:])
    return assignments, []


def _command(path: str, line: int, text: str, environment: dict[str, str], words: Sequence[str]) -> Iterator[RunCommand]:
    starts = [index for index, word in enumerate(words) if word == "torchrun" or _PYTHON.fullmatch(word)]
    if not starts:
        return
    inner = _split(words[: starts[0]])[0]  # after `&&`, `do`, `time` and the like only what directly precedes counts
    for index in range(starts[0] - 1, -1, -1):
        match = _ASSIGNMENT.fullmatch(words[index])
        if match is None:
            break
        inner[match[1]] = match[2]
    script = next((word for word in words[starts[0] + 1 :] if word.endswith(".py")), None)
    if script is None:
        return
    num_processes = _NUM_PROCESSES.search(text)
    yield RunCommand(
        path=path,
        line=line,
        script=posixpath.normpath(script.replace("\\", "/")),
        environment={**environment, **inner},
        num_processes=int(num_processes[1]) if num_processes else None,
        text=" ".join(text.split()),
    )
