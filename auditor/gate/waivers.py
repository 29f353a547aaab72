"""Waivers: findings that a maintainer answers for, until a day.

A waiver names one finding of one submission by its fingerprint, so that it survives edits that move lines and covers
nothing else. The file is TOML, since people write it:

    [[waiver]]
    rule = "PG201"
    submission = "records/track_10min_16mb/2026-04-15_Name"   # the folder as reports name it
    fingerprint = "0123456789abcdef"                           # of the finding, from the job summary, JSON or SARIF
    reason = "one sentence that a reader of the report will see"
    by = "who answers for it"
    until = 2026-12-31                                         # the last day on which it holds

Every key is required and no other is known: a waiver that says less than it should, or that is misspelt, is an error, never
a waiver of something else. Where the file comes from is not decided here (see `files`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from auditor.finding import Finding, Suppression, SuppressionKind

_TEXTS = ("rule", "submission", "fingerprint", "reason", "by")
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*waiver[ \t]*\]\]", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One finding that `by` answers for through the day `until`; `where` is the file and line that say so."""

    rule: str
    submission: str
    fingerprint: str
    reason: str
    by: str
    until: date
    where: str

    def covers(self, finding: Finding, submission: str) -> bool:
        """Is it about this finding of the submission in this folder?"""
        wanted = (self.rule, self.fingerprint, self.submission)
        return wanted == (finding.rule_id, finding.fingerprint, submission)

    @property
    def suppression(self) -> Suppression:
        """How reports show it at the finding."""
        return Suppression(kind=SuppressionKind.WAIVED, reason=self.reason, by=self.by, until=self.until.isoformat())

    def __str__(self) -> str:
        return f"{self.where}: the waiver of {self.rule} for {self.submission}"


def parse_waivers(text: str, name: str, rule_ids: Collection[str]) -> tuple[Waiver, ...]:
    """The waivers of a file called `name`, of rules in `rule_ids`. ValueError with name and line for all that is wrong."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{name}: {error}") from error
    if extra := sorted(set(data) - {"waiver"}):
        raise ValueError(f"{name}:{_line_of(text, extra[0])}: unknown key {extra[0]!r}; a waiver stands below [[waiver]]")
    entries = data.get("waiver", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{name}:{_line_of(text, 'waiver')}: waivers are tables, each below [[waiver]]")
    places = _places(text, name, len(entries))
    return tuple(_waiver(entry, where, rule_ids) for entry, where in zip(entries, places, strict=True))


def _places(text: str, name: str, count: int) -> Iterator[str]:
    """Where each entry begins; by number if the file is written in a way that hides it (an inline array)."""
    lines = [text.count("\n", 0, match.start()) + 1 for match in _HEADER.finditer(text)]
    for index in range(count):
        yield f"{name}:{lines[index]}" if len(lines) == count else f"{name}: waiver {index + 1}"


def _line_of(text: str, key: str) -> int:
    found = re.search(rf"^[ \t]*\[*[ \t]*[\"']?{re.escape(key)}\b", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _waiver(entry: Mapping[str, object], where: str, rule_ids: Collection[str]) -> Waiver:
    known = (*_TEXTS, "until")
    if unknown := sorted(set(entry) - set(known)):
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
    if missing := [key for key in known if key not in entry]:
        raise ValueError(f"{where}: the waiver has no {', '.join(missing)}")
    texts = {key: _text(key, entry[key], where) for key in _TEXTS}
    if texts["rule"] not in rule_ids:
        raise ValueError(f"{where}: no rule has the id {texts['rule']!r}")
    if not _FINGERPRINT.fullmatch(texts["fingerprint"]):
        raise ValueError(f"{where}: fingerprint = {texts['fingerprint']!r} is not 16 hexadecimal digits")
    until = entry["until"]
    if not isinstance(until, date) or isinstance(until, datetime):
        raise ValueError(f"{where}: until = {until!r} is no day; write it without quotes, as in 2026-12-31")
    return Waiver(**texts | {"submission": texts["submission"].rstrip("/")}, until=until, where=where)


def _text(key: str, value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where}: {key} = {value!r} is no text")
    return value
