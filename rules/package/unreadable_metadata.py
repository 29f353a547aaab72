"""PG102: submission.json cannot be read, or claims nothing that could be checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from auditor.finding import Basis, Evidence, Location, NotApplicable, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.submission.metadata import Metadata
from auditor.submission.submission import Submission
from rules.limits import LAUNCH, METADATA_NAME


class UnreadableMetadata(Rule):
    """submission.json cannot be read, or claims no score that could be checked.

    Requirement: submission.json is a JSON object that names the author and claims a val_bpb.

    Detection: parses the file and looks for a score under the keys that real submissions use. Placeholders (null, 0,
    "TBD") are no score. What was odd about the file (a score under the key of the loss, keys that stand twice) is a note.

    Limits: no schema was ever enforced and accepted files differ in most keys, so missing keys other than the score are
    not reported. Whether the score is right is the matter of other rules.

    Remedy: write a JSON object with author, github_id, name, date, val_bpb, val_loss and bytes_total.
    """

    id = "PG102"
    name = "unreadable-metadata"
    family = "package"
    authority = (
        Authority(AuthorityLevel.README, "submission.json with name, GitHub id, val_bpb and metadata", LAUNCH),
        Authority(AuthorityLevel.PRACTICE, "no schema enforced; 53 of 55 listed files claim a val_bpb", LAUNCH),
    )
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.REVIEW,
        RulesetName.README: Status.VIOLATION,
    }
    required = frozenset({Basis.FILES})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Report a broken file, a missing score, and oddities."""
        metadata = submission.metadata
        broken = [item for item in submission.unreadable if item.path == submission.metadata_path]
        for item in broken:
            yield self.finding(
                ruleset,
                f"{item.path}: {item.reason}",
                basis=Basis.FILES,
                location=Location(path=item.path),
                remedy="write a JSON object",
                anchor="unreadable",
            )
        if metadata is not None:
            yield from self._judge(metadata, ruleset)
        elif not broken:
            yield NotApplicable(reason=f"there is no {METADATA_NAME.value}")

    def _judge(self, metadata: Metadata, ruleset: Ruleset) -> Iterator[Statement]:
        location = Location(path=metadata.path)
        if _claim(metadata) is None:
            message = f"{metadata.path} claims no val_bpb, so there is no number to check"
            yield self.finding(ruleset, message, basis=Basis.FILES, location=location, anchor="no score")
        else:
            yield Evidence(basis=Basis.FILES, message=f"{metadata.path} was read: {_claim(metadata)}", location=location)
        for problem in metadata.problems:
            yield self.finding(
                ruleset,
                f"{metadata.path}: {problem}",
                basis=Basis.FILES,
                status=Status.NOTE,
                location=location,
                anchor=problem,
            )


def _claim(metadata: Metadata) -> str | None:
    """What is claimed, in words: a score, scores per seed, or that it was withdrawn; None if nothing is."""
    if metadata.val_bpb is not None:
        return f"{metadata.val_bpb.key} = {metadata.val_bpb.value}"
    per_seed = [result.val_bpb for result in metadata.seed_results if result.val_bpb is not None]
    if per_seed:
        return f"{len(per_seed)} scores of single seeds, the first {per_seed[0].key} = {per_seed[0].value}"
    return metadata.retracted
