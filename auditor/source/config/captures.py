"""Settings that a log shows because a print site put them there, whatever words stand around them.

``log0(f"extras: ema ttt={args.ttt_enabled}")`` prints the value of `ttt_enabled` under another name; the site knows which.
Only holes that hold one attribute or constant, unformatted, are read: a rounded number is not the setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from auditor.finding import Location
from auditor.source.config.logged import Shown
from auditor.source.prints import PrintSite
from auditor.source.templates import Hole, Part
from auditor.submission.logs.lines import clean
from auditor.submission.logs.model import Log, Run

_MAX_CHARACTERS = 2_000  # ours: longer lines are data
_DIGITS = re.compile(r"\d+")
_SETTING = re.compile(r"(?:[A-Za-z_]\w*\.)+(?P<attribute>[A-Za-z_]\w*)|(?P<constant>[A-Z][A-Z0-9_]+)")


@dataclass(frozen=True, slots=True)
class RunLine:
    """A line of a run, cleaned of what launchers put before it, its indentation kept."""

    text: str
    location: Location

    @property
    def words(self) -> str:
        """The line without white space at its ends."""
        return self.text.strip()


def lines_of(runs: Sequence[Run], logs: Sequence[Log]) -> tuple[RunLine, ...]:
    """The lines of the runs, without embedded source; one of each kind (lines that differ in digits only are one kind)."""
    by_path = {log.path: log.lines for log in logs}
    kinds: dict[tuple[int, str], RunLine] = {}
    for index, run in enumerate(runs):
        for number, text in _own_lines(run, by_path.get(run.log, ())):
            kinds.setdefault((index, _DIGITS.sub("0", text[:400])), RunLine(text, Location(path=run.log, line=number)))
    return tuple(kinds.values())


def _own_lines(run: Run, lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    source = run.source
    for number in range(run.first_line, min(run.last_line, len(lines)) + 1):
        if source is not None and source.first_line <= number <= source.last_line:
            continue
        text = lines[number - 1]
        if text.strip() and len(text) <= _MAX_CHARACTERS:
            yield number, clean(text).rstrip()


def gather_printed(sites: Iterable[PrintSite], lines: Sequence[RunLine]) -> dict[str, Shown]:
    """Settings by lower-case name, each from the first line that its print site made."""
    found: dict[str, Shown] = {}
    for site in sites:
        names = [_name_of(part) for part in site.parts]
        first = site.parts[0] if site.parts else None
        if site.opaque or not any(names) or not isinstance(first, str):
            continue
        line = next((line for line in lines if line.words.startswith(first) and site.matches(line.text)), None)
        texts = _filled(site.parts, line.words) if line is not None else None
        if line is None or texts is None:
            continue
        for name, text in zip(names, texts, strict=True):
            if name and text:
                found.setdefault(name, Shown(text, line.location))
    return found


def _name_of(part: Part) -> str:
    match = _SETTING.fullmatch(part.source) if isinstance(part, Hole) and part.pattern is None else None
    return (match["attribute"] or match["constant"]).lower() if match else ""


def _filled(parts: Sequence[Part], line: str) -> list[str] | None:
    """The text of each part in a line that the template matches, holes as short as possible; None if that does not fit.

    Of two holes side by side neither text can be told; both are empty.
    """
    texts: list[str] = []
    position, opened = 0, 0  # holes before the next literal
    for part in (*parts, ""):
        if isinstance(part, Hole):
            opened += 1
            continue
        is_end = part == "" and len(texts) + opened == len(parts)
        found = len(line) if is_end else line.find(part, position)
        if found < 0 or (found > position and not opened):
            return None
        texts += [line[position:found]] if opened == 1 else [""] * opened
        texts += [] if is_end else [part]
        position, opened = found + len(part), 0
    return texts
