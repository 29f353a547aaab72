"""Finds the training logs of a submission and reads them into facts.

A file is looked at as a log by its name and place (``*.log``, ``*.txt``, ``*.out``, anything in a ``logs`` folder, files
whose name says log); whether it is one is decided by its content: a text without a single fact of a run gets no runs.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from dataclasses import replace

from auditor.report import Unreadable
from auditor.submission.errors import SubmissionError
from auditor.submission.logs.lines import MAX_LINE_CHARS, Line, clean_lines, decode, split_lines
from auditor.submission.logs.metrics import is_undefined_score
from auditor.submission.logs.model import Log
from auditor.submission.logs.runs import read_runs
from auditor.submission.tree import MAX_FILE_BYTES, FileTree

_LOG_ENDINGS = (".log", ".txt", ".out", ".err", ".stdout", ".stderr", ".log.gz", ".txt.gz")
_LOG_WORDS = re.compile(r"(?:^|[_.-])(?:log|logs|stdout|output|train_log|nohup)(?:$|[_.-])", re.IGNORECASE)
_NEVER = re.compile(
    r"(?:^|/)(?:readme|requirements|licen[cs]e|notice|constraints|cmakelists)[^/]*$|/?\.git(?:/|$)|\.(?:md|rst|py|json|toml|ya?ml|sh|c|cpp|cu|h|model|vocab)$",
    re.IGNORECASE,
)


def read_logs(files: FileTree) -> tuple[tuple[Log, ...], tuple[Unreadable, ...]]:
    """Every training log of a submission, in path order, and what could not be read."""
    logs: list[Log] = []
    unreadable: list[Unreadable] = []
    seen: dict[bytes, str] = {}
    for path in files.paths():
        if not is_log_path(path):
            continue
        try:
            data = _contents(files, path)
        except SubmissionError as error:
            unreadable.append(Unreadable(path=path, reason=error.reason))
            continue
        log = read_log(path, data)
        first = seen.setdefault(hashlib.sha256(data).digest(), path)
        logs.append(log if first == path else replace(log, duplicate_of=first))
    return tuple(logs), tuple(unreadable)


def is_log_path(path: str) -> bool:
    """Whether a file's name and place say that it may be a log."""
    if _NEVER.search(path):
        return False
    folder, _, name = path.rpartition("/")
    if name.lower().endswith(_LOG_ENDINGS):
        return True
    in_logs = any(part.lower() in ("log", "logs") for part in folder.split("/"))
    return "." not in name and (in_logs or bool(_LOG_WORDS.search(name)))


def read_log(path: str, data: bytes) -> Log:
    """One log's facts. Never fails: what cannot be read is in `problems`."""
    text, encoding = decode(data)
    raw = split_lines(text)
    lines = tuple(clean_lines(raw))
    problems = ["some bytes are not valid UTF-8"] if encoding == "utf-8 (damaged)" else []
    problems += [problem for line in lines if (problem := _problem(line))]
    runs = read_runs(lines, path)
    return Log(path=path, encoding=encoding, lines=raw, runs=runs, problems=tuple(problems))


def _problem(line: Line) -> str | None:
    if len(line.text) > MAX_LINE_CHARS:
        return f"line {line.number}: facts were read from its first {MAX_LINE_CHARS} of {len(line.text)} characters only"
    if "nan" in line.text and is_undefined_score(line.text):
        return f"line {line.number}: a score is not a number"
    return None


def _contents(files: FileTree, path: str) -> bytes:
    data = files.read(path)
    if not path.lower().endswith(".gz"):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SubmissionError(path, f"cannot be decompressed: {error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise SubmissionError(path, f"larger than {MAX_FILE_BYTES} bytes when decompressed")
    return content
