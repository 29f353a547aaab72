"""PG104: the script, or a module that it needs, cannot be read as Python."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.finding import Basis, Confidence, Evidence, Location, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.submission.script import Module, Script
from auditor.submission.submission import Submission
from rules.limits import LAUNCH


class UnparsableScript(Rule):
    """The script, or a module that it needs, cannot be read as Python.

    Requirement: the submission must run inside its folder, so its script must be Python and everything that it imports
    must be in the folder or an installable package.

    Detection: unwraps packed scripts without running them and parses every module, with the syntax of Python up to 3.12.
    Text that is no Python cannot run. An empty script (one was merged), a packed one that could not be unwrapped, and a
    module that is imported and not shipped are for a person.

    Limits: that a script parses does not mean that it runs. An unknown import is taken for a package unless the
    submission shows that it was a file of its own.

    Remedy: ship the script as it ran, with the modules that it imports.
    """

    id = "PG104"
    name = "unparsable-script"
    family = "package"
    authority = (
        Authority(AuthorityLevel.README, "the script must compile and run within the records folder", LAUNCH),
        Authority(AuthorityLevel.PRACTICE, "self-extracting scripts were listed", date(2026, 4, 3)),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Report modules that do not parse, packing that was not undone, and modules that are missing."""
        script = submission.script
        if script is None:
            yield Unestablished(message="there is no script to read")
            return
        for module in script.modules:
            if module.tree is None:
                yield self._unparsed(module, script, ruleset)
        if not script.main.source.strip():
            yield self._review(f"{script.path} is empty: nothing can be run", script.path, "empty", ruleset)
        if script.packed and not script.layers:
            message = f"{script.path}: {script.main.error}"
            yield self._review(message, script.path, "packed", ruleset)
        for name in script.missing:
            message = f"{script.path} needs {name}, which is not shipped"
            yield self._review(message, script.path, f"missing {name}", ruleset)
        if all(module.tree is not None for module in script.modules):
            unwrapped = f" after {', '.join(layer.method for layer in script.layers)}" if script.layers else ""
            siblings = f" and {len(script.modules) - 1} modules beside it" if len(script.modules) > 1 else ""
            message = f"{script.path}{siblings} parses as Python{unwrapped}"
            yield Evidence(basis=Basis.SOURCE, message=message, location=Location(path=script.main.source_path))

    def _unparsed(self, module: Module, script: Script, ruleset: Ruleset) -> Statement:
        is_main = module is script.main
        return self.finding(
            ruleset,
            f"{module.source_path}: {module.error}",
            basis=Basis.SOURCE,
            status=None if is_main else Status.REVIEW,
            confidence=Confidence.HIGH if is_main else Confidence.MEDIUM,
            location=Location(path=module.source_path),
            remedy="ship the script as it ran",
            anchor="syntax",
        )

    def _review(self, message: str, path: str, anchor: str, ruleset: Ruleset) -> Statement:
        location = Location(path=path)
        return self.finding(
            ruleset,
            message,
            basis=Basis.SOURCE,
            status=Status.REVIEW,
            confidence=Confidence.MEDIUM,
            location=location,
            anchor=anchor,
        )
