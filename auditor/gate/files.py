"""Where the maintainers' decisions are read from: never from the change that is judged by them.

In a checkout of a change, a file of the work tree may be the change's own. So where a change is audited, a file inside the
repository is read as the tip of the base has it (``--base``), or as HEAD has it (``--staged``); only a file outside as it
lies on disk. Waivers that nobody names are looked for at `WAIVERS`, on that tip alone.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path

from auditor.gate.baseline import Baseline, parse_baseline
from auditor.gate.decision import Decisions
from auditor.gate.waivers import Waiver, parse_waivers
from auditor.submission.errors import SubmissionError
from auditor.submission.repository import ChangeSet

WAIVERS = ".github/pgolf-waivers.toml"


def read_decisions(
    waivers: Path | None, baseline: Path | None, change: ChangeSet | None, rule_ids: Collection[str], today: date
) -> Decisions:
    """What the files say. ValueError or SubmissionError, with the file's name, if one is missing or not as it should be."""
    return Decisions(waivers=_waivers(waivers, change, rule_ids), baseline=_baseline(baseline, change), today=today)


def _waivers(path: Path | None, change: ChangeSet | None, rule_ids: Collection[str]) -> tuple[Waiver, ...]:
    if path is not None:
        return parse_waivers(_read(path, change), str(path), rule_ids)
    content = change.read_trusted(WAIVERS) if change else None
    return () if content is None else parse_waivers(_decoded(content, WAIVERS), WAIVERS, rule_ids)


def _baseline(path: Path | None, change: ChangeSet | None) -> Baseline | None:
    return None if path is None else parse_baseline(_read(path, change), str(path))


def _read(path: Path, change: ChangeSet | None) -> str:
    inside = change.path_inside(path) if change else None
    if change and inside is not None:
        content = change.read_trusted(inside)
        if content is None:
            raise SubmissionError(str(path), "the base holds no such file, and it is never read from the change")
        return _decoded(content, str(path))
    try:
        return _decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise SubmissionError(str(path), error.strerror or str(error)) from error


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: is no UTF-8 text ({error.reason} at byte {error.start})") from error
