"""PG903: the tokenizer or its data cannot give the original text back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date

from auditor.finding import Basis, Confidence, Evidence, Location, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.submission.logs.model import Setting
from auditor.submission.submission import Submission

_LOSSY = re.compile(r"case[-_]?fold|(?<![a-z])lower[-_]?cased?|(?<![a-z])uncased|nfkc|normali[sz]ed[-_]text", re.IGNORECASE)
_LOSSLESS = re.compile(r"lossless|caseops", re.IGNORECASE)
_CANONICAL = re.compile(r"fineweb(10B_sp)?_?(1024|4096|8192)(_bpe\.model)?(/|$)", re.IGNORECASE)
_PATH_NAMES = ("tokenizer_path", "data_path", "val_files", "train_files", "datasets_dir", "val_loader")


class LossyTokenizer(Rule):
    """The tokenizer or its data cannot give the original text back.

    Requirement: bits per byte compare submissions only if every one of them encodes the same bytes, so the tokens must
    decode to the exact validation documents. Case folding and lower-casing throw information away that others pay for.

    Detection: paths of the tokenizer and the data in the log that name case folding, lower-casing or another lossy
    normalisation. CaseOps is lossless (it writes case marks as tokens) and is not flagged.

    Limits: names only; a lossy tokenizer under a neutral name is not seen, and whether the canonical SentencePiece
    normalisation is itself lossless was never settled. Whether lossy text is allowed was asked and not answered.

    Remedy: train and score on text that decodes to the original, or encode the case in tokens of its own.
    """

    id = "PG903"
    name = "lossy-tokenizer"
    family = "metric"
    authority = (Authority(AuthorityLevel.DISPUTED, "open question #1604; no such row was ever listed", date(2026, 4, 13)),)
    status = everywhere(Status.REVIEW)
    required = frozenset({Basis.LOG})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Read the data and tokenizer paths of every run."""
        paths = [setting for run in submission.runs for setting in _paths(run.settings or {})]
        lossy = [setting for setting in paths if _LOSSY.search(setting.value) and not _LOSSLESS.search(setting.value)]
        if lossy:
            first = lossy[0]
            yield self.finding(
                ruleset,
                f"{first.name} is {first.value}: the text was changed in a way that cannot be undone",
                basis=Basis.LOG,
                confidence=Confidence.MEDIUM,
                location=_location(first),
                remedy="score the original text",
                anchor=first.name,
            )
        elif known := next((s for s in paths if _CANONICAL.search(s.value) or _LOSSLESS.search(s.value)), None):
            yield Evidence(basis=Basis.LOG, message=f"{known.name} is {known.value}", location=_location(known))
        else:
            yield Unestablished(message="the logs name no tokenizer that is known to be lossless")


def _paths(settings: Mapping[str, Setting]) -> Iterator[Setting]:
    return (settings[name] for name in _PATH_NAMES if name in settings)


def _location(setting: Setting) -> Location:
    return Location(path=setting.log, line=setting.line, snippet=setting.text)
