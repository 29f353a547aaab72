"""PG101: a file that every submission must have is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar

from auditor.finding import Basis, Evidence, Location, NotApplicable, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.submission.submission import Submission
from rules.limits import LAUNCH, SCRIPT_NAME

_README = re.compile(r"readme(\.\w+)?", re.IGNORECASE)


class MissingRequiredFile(Rule):
    """A file that every submission must have is not there.

    Requirement: a submission is one folder with a README.md, a submission.json, the training log and train_gpt.py.

    Detection: looks for a README and a submission.json in the folder, for a script that can be started under any name,
    and for a text anywhere below the folder that holds the output of a training run. The readme ruleset also wants the
    script to be called train_gpt.py.

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
        top_level = {path for path in submission.files.paths() if "/" not in path}
        present = {
            "README.md": next((path for path in sorted(top_level) if _README.fullmatch(path)), None),
            "submission.json": next((path for path in sorted(top_level) if path.lower() == "submission.json"), None),
            "training script": submission.script.path if submission.script else None,
            "training log": next((run.log for run in submission.runs), None),
        }
        for wanted, path in present.items():
            if path is None:
                remedy = f"add the {wanted}"
                yield self.finding(ruleset, f"the folder has no {wanted}", basis=Basis.FILES, remedy=remedy, anchor=wanted)
            else:
                message = f"{wanted}: {path}"
                yield Evidence(basis=Basis.FILES, message=message, location=Location(path=path))
        script = present["training script"]
        if ruleset.name is RulesetName.README and script and script != SCRIPT_NAME.value:
            message = f"the script is called {script}, not {SCRIPT_NAME.value}"
            yield self.finding(
                ruleset, message, basis=Basis.FILES, location=Location(path=script), anchor=SCRIPT_NAME.value
            )
