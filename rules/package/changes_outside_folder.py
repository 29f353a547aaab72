"""PG103: the pull request touches more than the one folder that it adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import ClassVar

from auditor.finding import Basis, Evidence, NotApplicable, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.submission.submission import Change, Submission
from rules.limits import LAUNCH, NON_RECORD_TRACK_FOLDER, RECORD_TRACK_FOLDER

_NUM_NAMED = 3


class ChangesOutsideFolder(Rule):
    """The pull request touches more than the one folder that it adds.

    Requirement: a submission only adds a new folder below one of the two track folders of records/.

    Detection: sorts every path that the pull request touches. Outside its folder, practice wants a person to look at a
    path that is modified or deleted (a root script, another record) and only notes added ones, such as further record
    folders; organisers merged such pull requests in part. A folder in no track is for a person, too.

    Limits: needs a pull request or a base to compare with; whether an outside change affects the run is not judged.

    Remedy: drop the other changes from the pull request, or propose them on their own.
    """

    id = "PG103"
    name = "changes-outside-folder"
    family = "package"
    authority = (
        Authority(AuthorityLevel.README, "a submission should only add a new folder to a track folder", LAUNCH),
        Authority(AuthorityLevel.ORGANISER, "edits of the root script by a record rolled back (#77)", date(2026, 3, 20)),
        Authority(AuthorityLevel.PRACTICE, "merged in part, or listed by link only", date(2026, 3, 20)),
    )
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.REVIEW,
        RulesetName.README: Status.VIOLATION,
    }
    required = frozenset({Basis.FILES})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Report changes outside the folder by kind, and a folder outside the tracks."""
        if submission.changes is None:
            yield NotApplicable(reason="not read from a pull request or a change")
            return
        folder = f"{submission.path.rstrip('/')}/"
        if not folder.startswith((f"{RECORD_TRACK_FOLDER.value}/", f"{NON_RECORD_TRACK_FOLDER.value}/")):
            message = f"the folder {submission.path} is in neither track folder"
            yield self.finding(ruleset, message, basis=Basis.FILES, anchor="track")
        outside = [change for change in submission.changes if not change.path.startswith(folder)]
        edited = [change for change in outside if change.kind != "added"]
        added = [change for change in outside if change.kind == "added"]
        if edited:
            yield self._finding(ruleset, edited, "modifies or deletes", None)
        if added:
            status = Status.NOTE if ruleset.name is RulesetName.PRACTICE else None
            yield self._finding(ruleset, added, "adds", status)
        if not edited:
            inside = len(submission.changes) - len(outside)
            yield Evidence(basis=Basis.FILES, message=f"{inside} of {len(submission.changes)} changes lie in the folder")

    def _finding(self, ruleset: Ruleset, changes: Sequence[Change], does: str, status: Status | None) -> Statement:
        named = ", ".join(change.path for change in changes[:_NUM_NAMED])
        more = f" and {len(changes) - _NUM_NAMED} more" if len(changes) > _NUM_NAMED else ""
        return self.finding(
            ruleset,
            f"the pull request {does} {len(changes)} files outside its folder: {named}{more}",
            basis=Basis.FILES,
            status=status,
            remedy="drop these changes from the pull request",
            anchor=does,
        )
