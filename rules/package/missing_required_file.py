"""PG101: a file that every submission must have is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar

from auditor.finding import Basis, Evidence, Location, NotApplicable, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.submission.submission import Submission
from rules.limits import LAUNCH, METADATA_NAME, README_NAME, SCRIPT_NAME

_NUM_NAMED = 3
_README = re.compile(r"(?:[\w-]*[_-])?readme(?:[_-][\w-]*)?(?:\.(?:md|txt|rst|markdown|md\.txt))?", re.IGNORECASE)


class MissingRequiredFile(Rule):
    """A file that every submission must have is not there.

    Requirement: a submission is one folder with a README.md, a submission.json, the training log and train_gpt.py.

    Detection: looks for a README and a submission.json in the folder (``V2_README.md`` and ``submission_ternary.json``
    are accepted), for a script that can be started under any name, and for a text anywhere below the folder that holds the
    output of a training run. The readme ruleset wants the names as the README gives them, that of the script included.

    Limits: whether the files say what they should is the matter of other rules. Which seeds need a log of their own is
    not counted here.

    Remedy: add the file; a result without its log cannot be checked.
    """

    id = "PG101"
    name = "missing-required-file"
    family = "package"
    authority = (
        Authority(AuthorityLevel.README, "README.md, submission.json, train log and train_gpt.py in one folder", LAUNCH),
        Authority(AuthorityLevel.ORGANISER, "a submission faulted for lacking submission.json", date(2026, 4, 28)),
        Authority(AuthorityLevel.PRACTICE, "other script names and logs in subfolders were listed", date(2026, 3, 20)),
    )
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.REVIEW,
        RulesetName.README: Status.VIOLATION,
    }
    required = frozenset({Basis.FILES})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """One finding for each missing file, evidence for each that is there."""
        if submission.path.endswith(".py"):
            yield NotApplicable(reason="a lone script was given, not a submission folder")
            return
        top_level = sorted(path for path in submission.files.paths() if "/" not in path)
        present = {
            README_NAME.value: next((path for path in top_level if _README.fullmatch(path)), None),
            METADATA_NAME.value: submission.metadata_path,
            SCRIPT_NAME.value: submission.script.path if submission.script else None,
            "training log": next((run.log for run in submission.runs), None),
        }
        for wanted, path in present.items():
            if path is None:
                yield self._missing(submission, wanted, ruleset)
            elif ruleset.name is RulesetName.README and "." in wanted and path.lower() != wanted.lower():
                message = f"{path} is there, but not called {wanted}"
                location = Location(path=path)
                yield self.finding(ruleset, message, basis=Basis.FILES, location=location, anchor=f"name of {wanted}")
            else:
                yield Evidence(basis=Basis.FILES, message=f"{wanted}: {path}", location=Location(path=path))

    def _missing(self, submission: Submission, wanted: str, ruleset: Ruleset) -> Statement:
        message = f"the folder has no {wanted}"
        if wanted == "training log" and submission.logs:
            message += f": {', '.join(log.path for log in submission.logs[:_NUM_NAMED])} shows no training run"
        return self.finding(ruleset, message, basis=Basis.FILES, remedy=f"add the {wanted}", anchor=wanted)
