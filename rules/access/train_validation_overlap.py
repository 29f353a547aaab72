"""PG404: the training shards may contain validation documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from auditor.finding import Basis, Confidence, Evidence, Location, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.submission.logs.model import Count
from auditor.submission.submission import Submission
from rules.limits import LEAKY_EXPORT_TRAIN_SHARDS, NUM_VAL_DOCS, SUBSET_10K_TOKENS
from rules.metric.identity import num_val_tokens

_VAL_DOCS = re.compile(r"(?<![A-Za-z_])(?:--val[-_]docs|docs_val|val_docs)[\"'`]*[\s=:]{1,3}[\"'`]*(?P<count>\d[\d_,]*)")


class TrainValidationOverlap(Rule):
    """The training shards may contain validation documents.

    Requirement: no training shard holds any of the first 50,000 documents, which are the validation split. Data that is
    prepared again with 10,000 validation documents puts the other 40,000 into training while the full split is scored.

    Detection: marks in the logs and statements, each of which needs a person: the number of training shards that the full
    local export with that default gives, and a preparation command or manifest in the README, submission.json or a log that
    names fewer than 50,000 validation documents while more were scored.

    Limits: marks, never proof: only hashing document starts in both splits would show the overlap. Leaky data of the
    usual shard count is not seen. Shipping a preparation script with a small default, a doubled path, or an unusual
    shard count proves nothing and is not flagged.

    Remedy: train on the published export, or prepare with 50,000 validation documents, and say which.
    """

    id = "PG404"
    name = "train-validation-overlap"
    family = "data access"
    authority = (
        Authority(AuthorityLevel.COMMUNITY, "overlap found in prepared CaseOps data (#2127)", date(2026, 5, 1)),
        Authority(AuthorityLevel.ORGANISER, "rows with overlapping data were excluded (#2146)", date(2026, 5, 2)),
    )
    status = everywhere(Status.REVIEW)
    required = frozenset({Basis.LOG, Basis.FILES})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for the shard count in the logs and for statements about the validation documents."""
        marks = [
            *((_shards_sentence(count), _at(count)) for count in _leaky_shards(submission)),
            *_stated_val_docs(submission),
        ]
        for message, location in marks[:1]:
            yield self.finding(
                ruleset,
                message,
                basis=Basis.LOG,
                confidence=Confidence.MEDIUM,
                location=location,
                related=tuple((place, text) for text, place in marks[1:]),
                remedy="show that no training shard holds a validation document",
                anchor="overlap",
            )
        if not marks:
            yield from _nothing_found(submission)


def _nothing_found(submission: Submission) -> Iterator[Statement]:
    shards = next((count for run in submission.runs if (count := run.count("train_shards"))), None)
    if shards is None:
        yield Unestablished(message="no log says which training shards were used")
        return
    message = f"{shards.value} training shards; nothing marks them as prepared with fewer validation documents"
    yield Evidence(basis=Basis.LOG, message=message, location=_at(shards))
    if submission.readme or submission.metadata:
        yield Evidence(basis=Basis.FILES, message="no statement about a smaller set of validation documents")


def _leaky_shards(submission: Submission) -> Iterator[Count]:
    for run in submission.runs:
        count = run.count("train_shards")
        if count and count.value == LEAKY_EXPORT_TRAIN_SHARDS.value:
            yield count


def _shards_sentence(count: Count) -> str:
    return f"{count.value} training shards is what a local export with 10,000 validation documents gives"


def _stated_val_docs(submission: Submission) -> Iterator[tuple[str, Location]]:
    """Statements of fewer validation documents than the split has, where more than that subset was scored."""
    tokens = [scored for run in submission.runs if (scored := num_val_tokens(run))]
    if tokens and max(tokens) <= SUBSET_10K_TOKENS.value:
        return
    for path, text in _texts(submission):
        for number, line in enumerate(text.splitlines(), start=1):
            stated = [int(re.sub(r"\D", "", match["count"])) for match in _VAL_DOCS.finditer(line)]
            if stated and max(stated) < NUM_VAL_DOCS.value:
                message = (
                    f"data prepared with {max(stated):,} validation documents is stated, and the full split was scored"
                )
                yield message, Location(path=path, line=number, snippet=line.strip()[:200])


def _texts(submission: Submission) -> Iterator[tuple[str, str]]:
    if submission.metadata:
        path = submission.metadata.path
        yield path, submission.files.read(path).decode("utf-8", "replace")
    if submission.readme:
        yield submission.readme.path, submission.readme.text


def _at(count: Count) -> Location:
    return Location(path=count.log, line=count.line, snippet=count.text)
