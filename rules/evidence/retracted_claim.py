"""PG005: the submission's author has withdrawn its number."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.finding import Basis, Evidence, Location, NotApplicable, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.submission.submission import Submission


class RetractedClaim(Rule):
    """The submission's author has withdrawn its number.

    Requirement: a retracted number is no result. Authors who found a defect set val_bpb to null, keep the old value under
    another key and say so in the status: the pattern to imitate.

    Detection: submission.json declares a retraction. It needs a person, because the pull request should be closed or
    moved; a val_bpb that is still there beside the retraction is said.

    Limits: a retraction in a comment or in the README's text alone is not seen. A val_bpb of null without a retraction
    is a placeholder, which is a note.

    Remedy: close the pull request, or submit a corrected number.
    """

    id = "PG005"
    name = "retracted-claim"
    family = "evidence"
    authority = (
        Authority(AuthorityLevel.COMMUNITY, "self-retractions with val_bpb null and a status (#1127)", date(2026, 3, 30)),
    )
    status = everywhere(Status.REVIEW)
    required = frozenset({Basis.FILES})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Ask the metadata for a retraction."""
        metadata = submission.metadata
        if metadata is None:
            yield NotApplicable(reason="no submission.json that could declare a retraction")
        elif metadata.retracted is not None:
            still = f", but val_bpb {metadata.val_bpb.value} is still declared" if metadata.val_bpb else ""
            yield self.finding(
                ruleset,
                f"the submission declares itself retracted: {metadata.retracted}{still}",
                basis=Basis.FILES,
                location=Location(path=metadata.path),
                remedy="close the pull request or submit a corrected number",
                anchor="retracted",
            )
        else:
            yield Evidence(basis=Basis.FILES, message="no retraction is declared", location=Location(path=metadata.path))
            if metadata.val_bpb is None and submission.headline.val_bpb is None:
                yield self.finding(
                    ruleset,
                    "no val_bpb is declared: a placeholder, neither a result nor a retraction",
                    basis=Basis.FILES,
                    status=Status.NOTE,
                    location=Location(path=metadata.path),
                    anchor="placeholder",
                )
