"""Where a submission itself says that validation data went into its artifact.

Data that is validation under another name (a folder whose training shards are links to the validation shard, a blob
that was packed elsewhere) leaves no trace in the script; then the author's own words are the only evidence. Only
statements that cannot mean test-time training are read, and none that the same sentence denies. Not covered: anything
said otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from auditor.finding import Location
from auditor.submission.submission import Submission

_VAL = r"val(?:idation)?"
_STATEMENTS = {
    "training on the validation data only": re.compile(
        rf"\b{_VAL}[- ]only training\b"
        rf"|\btrain(?:ed|ing|s)? (?:entirely|only|solely|exclusively|purely) on (?:the )?(?:public )?{_VAL}\b",
        re.IGNORECASE,
    ),
    "training shards that are links to validation shards": re.compile(rf"\bln -s\S* \S*_{_VAL}_\S* \S*_train_\S*"),
}
_PACKED = re.compile(r"\bpaid[- ]prefix\b", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:no|not|never|without|cannot|can't|isn't|don't|doesn't)\b[^.;]{0,60}$", re.IGNORECASE)


def stated_validation_use(submission: Submission) -> Iterator[tuple[str, Location]]:
    """What is stated, and where: in the README, and in the name and description of submission.json."""
    if submission.readme is not None:
        yield from _stated(submission.readme.path, submission.readme.text, _STATEMENTS)
    if submission.metadata is not None:
        path = submission.metadata.path
        text = submission.files.read(path).decode("utf-8", "replace")
        yield from _stated(path, text, {**_STATEMENTS, "validation tokens packed as a paid prefix": _PACKED})


def _stated(path: str, text: str, statements: dict[str, re.Pattern[str]]) -> Iterator[tuple[str, Location]]:
    for number, line in enumerate(text.splitlines(), start=1):
        for what, pattern in statements.items():
            match = pattern.search(line)
            if match and not _DENIED.search(line[: match.start()]):
                yield what, Location(path=path, line=number, snippet=line.strip()[:200])
