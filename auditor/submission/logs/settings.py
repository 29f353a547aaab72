"""Printed hyper-parameters, switches, paths and versions.

Settings are what a run prints about itself before it works: everything before its first training step or score that
consists of names and values, in whatever dress (a ``Hyperparameters:`` block, ``name:value`` lists, argparse and
dictionary dumps, JSON, environment assignments, tables). Names are lower-cased, values stay as printed.

Not covered: settings printed only after training has begun, and values that span lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from auditor.submission.logs.lines import Line
from auditor.submission.logs.model import Setting

_NAME = r"[A-Za-z_]\w{0,60}"
_SINGLE = re.compile(rf"[\s>+*-]{{0,40}}[\"']?(?:\w+\.)?(?P<name>{_NAME})[\"']?\s{{0,40}}[:=]\s{{0,40}}(?P<value>.*)")
_MANY = re.compile(
    rf"""(?<![\w./:=-])(?:--)?["']?(?P<name>{_NAME})["']?\s?[:=]\s?
         (?P<value>"[^"]*"|'[^']*'|\[[^\]]*\]|\([^)]*\)|[^\s,;|{{}}()]+)""",
    re.VERBOSE,
)
_INNER = re.compile(rf"(?P<name>{_NAME})[:=](?P<value>[^/:].*)")
_TABLE_ROW = re.compile(rf"\W{{0,20}}(?P<name>{_NAME})\s{{0,40}}\|\s{{0,40}}(?P<value>[^|]+)\|?")
_ENVIRONMENT = re.compile(r"(?<![\w./=-])(?P<name>[A-Z][A-Z0-9_]{2,60})=(?P<value>\"[^\"]*\"|'[^']*'|[^\s\"']*)")
_VERSION = re.compile(r"Running (?P<what>Python|PyTorch) (?P<version>\S+)")
_VERSION_NAMES = {"Python": "python_version", "PyTorch": "torch_version"}
_DUMP = re.compile(r"Namespace\(|(?<!\w)\w{1,60}\(\w{1,60}=|^\s*\{")
_SENTENCE = re.compile(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}")
_SKIPPED = {"step", "warmup_step", "loop_warmup_step", "warning", "http", "https", "file", "note", "error", "traceback"}


def read_settings(line: Line, log: str, run: int) -> tuple[Setting, ...]:
    """Every setting of one line."""
    text = line.text
    if not ("=" in text or ":" in text or "|" in text):
        return ()
    return tuple(
        Setting(log=log, line=line.number, run=run, text=text.strip(), name=name.lower(), value=value)
        for name, value in _settings(text)
        if name.lower() not in _SKIPPED
    )


def read_version(line: Line, log: str, run: int) -> Setting | None:
    """The version of Python or PyTorch that a run says it runs on, wherever it stands."""
    match = _VERSION.match(line.text)
    if match is None:
        return None
    name, text = _VERSION_NAMES[match["what"]], line.text.strip()
    return Setting(log=log, line=line.number, run=run, text=text, name=name, value=match["version"])


def _settings(text: str) -> Iterator[tuple[str, str]]:
    if _DUMP.search(text):
        yield from _matches(_MANY, text)
        return
    many = list(_matches(_MANY, text))
    single = _SINGLE.fullmatch(text.rstrip())
    if single and (len(many) <= 1 or text[:1].isspace()) and not _SENTENCE.search(single["value"]):
        yield single["name"], _bare(single["value"])
    elif _is_mostly_pairs(text, len(many)):
        yield from many
    elif row := _TABLE_ROW.fullmatch(text.strip()):
        yield row["name"], _bare(row["value"])
    else:
        yield from _matches(_ENVIRONMENT, text)


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    for match in pattern.finditer(text):
        value = _bare(match["value"])
        yield match["name"], value
        if inner := _INNER.fullmatch(value):  # train_loader:dataset:fineweb10B_sp1024
            yield inner["name"], inner["value"]


def _bare(value: str) -> str:
    return value.strip(" ,").strip("\"'")


def _is_mostly_pairs(text: str, num_pairs: int) -> bool:
    return num_pairs > 0 and 2 * num_pairs >= len(text.split()) and _MANY.match(text.strip()) is not None
