"""Which of the README's and run scripts' commands started the submitted run, and what the README says beside them.

A README shows several commands: a smoke test, ablations, the submission. The one that is taken runs the submitted script,
agrees with what the log printed, runs on the contest's number of GPUs, and sets most; in that order. Tables and lists of
``NAME=value`` count only for names that the script reads and no command sets.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from auditor.source.config.library import NUM_GPUS
from auditor.source.config.logged import Shown
from auditor.submission.readme import Readme, RunCommand
from auditor.submission.script import Script

_DEFAULTED = re.compile(r"\$\{\w+:?[-=]([^{}$]*)\}")
_TABLE_ROW = re.compile(r"\|\s*`?([A-Z][A-Z0-9_]{2,})`?\s*\|\s*`?([^|`]+?)`?\s*\|")
_ASSIGNED = re.compile(r"^[\s>*+-]*(?:export\s+)?`?([A-Z][A-Z0-9_]{2,})=([^\s`;,\\]+)`?(?:\s*(?:\\|#.*|;))?$")
_LISTED = re.compile(r"(?<![\w.$])([A-Z][A-Z0-9_]{2,})=([^\s`;,)|\\]+)")
_WORD = re.compile(r"[\w.,/:+-]+")  # what a shell would take as it stands
_FENCE = re.compile(r"^\s*(?:```|~~~)")


@dataclass(frozen=True, slots=True)
class Mention:
    """A value that the README gives a variable outside a command."""

    line: int
    value: str


def choose_command(readme: Readme | None, script: Script, settings: Mapping[str, Shown]) -> RunCommand | None:
    """The command of the submitted run; None if none runs the script."""
    if readme is None:
        return None
    own = {posixpath.basename(module.path) for module in script.modules}
    fitting = [command for command in readme.commands if posixpath.basename(command.script or "") in own]
    fitting = fitting or [command for command in readme.commands if _looks_like_training(command)]
    return max(fitting, key=lambda command: _rank(command, readme, settings, script), default=None)


def _looks_like_training(command: RunCommand) -> bool:
    return command.num_processes is not None and "train" in (command.script or "")


def _rank(command: RunCommand, readme: Readme, settings: Mapping[str, Shown], script: Script) -> tuple[object, ...]:
    same_name = posixpath.basename(command.script or "") == posixpath.basename(script.path)
    agree = [settings[name.lower()].text == text for name, text in command.environment.items() if name.lower() in settings]
    return (
        same_name,
        -agree.count(False),
        command.num_processes in (None, NUM_GPUS),
        agree.count(True),
        command.path == readme.path,
        len(command.environment),
        -command.line,
    )


def variables_of(command: RunCommand) -> dict[str, str]:
    """What a command sets; shell defaults are taken, what depends on the shell's own variables is left out."""
    expanded = {name: _DEFAULTED.sub(r"\1", text) for name, text in command.environment.items()}
    return {name: text for name, text in expanded.items() if "$" not in text and "`" not in text}


def arguments_of(command: RunCommand | None) -> tuple[str, ...]:
    """The words after the script's name, up to a pipe or a redirection."""
    if command is None or command.script is None:
        return ()
    try:
        words = shlex.split(command.text, comments=True)
    except ValueError:  # an open quote in prose: no arguments can be told
        return ()
    name = posixpath.basename(command.script)
    start = next((index + 1 for index, word in enumerate(words) if posixpath.basename(word) == name), len(words))
    stop = next((i for i, word in enumerate(words) if i >= start and re.match(r"[|&;<>]|\d?>", word)), len(words))
    return tuple(words[start:stop])


def find_mentions(readme: Readme | None, names: Sequence[str]) -> dict[str, Mention]:
    """Values that tables and listings of the README give to the variables `names`; none where it gives several.

    A fenced block with a command speaks of that command's run only.
    """
    if readme is None:
        return {}
    commanded = {command.line for command in readme.commands if command.path == readme.path}
    found: dict[str, list[Mention]] = {}
    for line, name, value in _mentions(readme.text, commanded):
        if name in names and _WORD.fullmatch(value):
            found.setdefault(name, []).append(Mention(line, value))
    return {name: mentions[0] for name, mentions in found.items() if len({each.value for each in mentions}) == 1}


def _mentions(text: str, commanded: Set[int]) -> Iterator[tuple[int, str, str]]:
    fenced = False
    block: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if _FENCE.match(line):
            if fenced and not any(inside in commanded for inside, _ in block):
                yield from ((at, m[1], m[2].strip("\"'")) for at, inside in block for m in _LISTED.finditer(inside))
            fenced, block = not fenced, []
        elif fenced:
            block.append((number, line))
        elif row := _TABLE_ROW.match(line.strip()):
            yield number, row[1], row[2].strip()
        elif number not in commanded and (assigned := _ASSIGNED.match(line)):
            yield number, assigned[1], assigned[2].strip("\"'")
