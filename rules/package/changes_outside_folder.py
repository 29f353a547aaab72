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
_ROOT = "."  # the path of what was read from a pull request without a submission folder
_CHECKS = ".github/"  # what a host runs on every pull request
_NEW_FOLDER = "add a folder to a track folder"
_VERBS = {"added": "adds", "modified": "modifies", "deleted": "deletes"}


class ChangesOutsideFolder(Rule):
    """The pull request touches more than the one folder that it adds.

    Requirement: a submission only adds a new folder below one of the two track folders of records/.

    Detection: sorts every path that the pull request touches. Outside its folder, practice wants a person to look where a
    script of the repository or a file of another record is modified or deleted, or where what runs in the repository's
    checks is touched, and only notes the rest: added files, further record folders, changed ignore lists and documents.
    Organisers merged such pull requests in part. A folder in no track is for a person, too, and so is one that was there
    before: files of it that are modified or deleted.

    Limits: needs a pull request or a base to compare with; whether an outside change affects the run is not judged, nor
    whose record it is that a pull request modifies.

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
        if submission.path == _ROOT:
            yield self._without_folder(submission.changes, ruleset)
            return
        folder = f"{submission.path.rstrip('/')}/"
        if not folder.startswith((f"{RECORD_TRACK_FOLDER.value}/", f"{NON_RECORD_TRACK_FOLDER.value}/")):
            message = f"the folder {submission.path} is in neither track folder"
            yield self.finding(ruleset, message, basis=Basis.FILES, anchor="track")
        rewritten = [c for c in submission.changes if c.path.startswith(folder) and c.kind != "added"]
        if rewritten:
            message = f"the folder is not new: the pull request {_described(rewritten)}"
            yield self.finding(ruleset, message, basis=Basis.FILES, remedy=_NEW_FOLDER, anchor="rewritten")
        outside = [change for change in submission.changes if not change.path.startswith(folder)]
        serious = [change for change in outside if _is_serious(change)]
        slight = [change for change in outside if not _is_serious(change)]
        if serious:
            yield self._finding(ruleset, serious, None)
        if slight:
            yield self._finding(ruleset, slight, Status.NOTE if ruleset.name is RulesetName.PRACTICE else None)
        if not serious and not rewritten:
            inside = len(submission.changes) - len(outside)
            yield Evidence(basis=Basis.FILES, message=f"{inside} of {len(submission.changes)} changes lie in the folder")

    def _without_folder(self, changes: Sequence[Change], ruleset: Ruleset) -> Statement:
        message = f"the pull request adds no submission folder; it {_described(changes)}"
        return self.finding(ruleset, message, basis=Basis.FILES, remedy=_NEW_FOLDER, anchor="no folder")

    def _finding(self, ruleset: Ruleset, changes: Sequence[Change], status: Status | None) -> Statement:
        return self.finding(
            ruleset,
            f"outside its folder the pull request {_described(changes)}",
            basis=Basis.FILES,
            status=status,
            remedy="drop these changes from the pull request",
            anchor="slight" if status is Status.NOTE else "serious",
        )


def _is_serious(change: Change) -> bool:
    """Does it change what others run or ship: a script of the repository, its checks, or a file of another record?"""
    if change.path.startswith(_CHECKS):
        return True
    is_shared = change.path.startswith("records/") or ("/" not in change.path and change.path.endswith(".py"))
    return change.kind != "added" and is_shared


def _described(changes: Sequence[Change]) -> str:
    """What the changes do, by kind: ``modifies train_gpt.py and adds a, b, c and 4 more``."""
    kinds: dict[str, list[str]] = {}
    for change in changes:
        kinds.setdefault(change.kind, []).append(change.path)
    return " and ".join(f"{_VERBS.get(kind, kind)} {_listed(paths)}" for kind, paths in kinds.items())


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NUM_NAMED} more" if len(paths) > _NUM_NAMED else ""
    return ", ".join(paths[:_NUM_NAMED]) + more
