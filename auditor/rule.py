"""The base class of a rule, and the rulesets it is judged under.

A rule asks the submission for facts and makes statements; it never walks files, prints, or knows an output format. The
class attributes are the rule's public record (reports, `explain` and the generated pages read them).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from auditor.finding import Basis, Confidence, Finding, Location, Measurement, Severity, Statement, Step
from auditor.reference import ReferenceSplit

if TYPE_CHECKING:
    from auditor.submission.submission import Submission


class RulesetName(StrEnum):
    """Which reading of the contest's rules is applied."""

    PRACTICE = "practice"  # what the organisers accepted; the default
    README = "readme"  # the README's words, read strictly


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A reading of the rules at a date. Rules that came into force after `as_of` are not applied.

    `split` and `against` are the caller's, never a submission's: the validation split that scores are held against
    instead of the contest's, and the leaderboard row to beat instead of the one before the submission's day.
    """

    name: RulesetName
    as_of: date
    split: ReferenceSplit | None = None
    against: str | None = None


class Status(StrEnum):
    """What breaking a rule means under a ruleset."""

    VIOLATION = "violation"
    REVIEW = "review"
    NOTE = "note"
    NOT_APPLIED = "not applied"


def everywhere(status: Status) -> Mapping[RulesetName, Status]:
    """The same status under every ruleset."""
    return dict.fromkeys(RulesetName, status)


SEVERITY_OF_STATUS: Mapping[Status, Severity] = {
    Status.VIOLATION: Severity.ERROR,
    Status.REVIEW: Severity.WARNING,
    Status.NOTE: Severity.NOTE,
}


class AuthorityLevel(StrEnum):
    """Who says so."""

    README = "readme"
    ORGANISER = "organiser ruling"
    PRACTICE = "practice"
    COMMUNITY = "community"
    DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class Authority:
    """One source of a rule: its level, what it is (a README line, a comment, a merged row), and its date."""

    level: AuthorityLevel
    reference: str
    since: date


class Rule:
    """One rule of the contest.

    Subclasses set the class attributes and implement `check`. The docstring's first line says what is wrong; it has the
    sections ``Requirement:``, ``Detection:``, ``Limits:`` and ``Remedy:``, from which the pages are generated. A pass needs
    evidence on every basis of `required`, or complete evidence on one of the `alternatives`.
    """

    id: ClassVar[str]
    name: ClassVar[str]
    family: ClassVar[str]
    authority: ClassVar[tuple[Authority, ...]]
    status: ClassVar[Mapping[RulesetName, Status]]
    required: ClassVar[frozenset[Basis]]
    alternatives: ClassVar[frozenset[Basis]] = frozenset()

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Yield statements about `submission`. A check that yields nothing leaves the rule open, never passed."""
        raise NotImplementedError

    def finding(
        self,
        ruleset: Ruleset,
        message: str,
        *,
        basis: Basis,
        status: Status | None = None,
        confidence: Confidence = Confidence.HIGH,
        live: bool = True,
        location: Location | None = None,
        related: tuple[tuple[Location, str], ...] = (),
        steps: tuple[Step, ...] = (),
        measurement: Measurement | None = None,
        remedy: str | None = None,
        anchor: str = "",
    ) -> Finding:
        """A finding of this rule with the severity that `ruleset` gives it, or that `status` says instead.

        A rule whose status is "not applied" may still be asked (`--select`); its findings are then notes.
        """
        severity = SEVERITY_OF_STATUS.get(status or self.status[ruleset.name], Severity.NOTE)
        return Finding(
            rule_id=self.id,
            message=message,
            severity=severity if live else Severity.NOTE,
            confidence=confidence,
            basis=basis,
            live=live,
            location=location,
            related=related,
            steps=steps,
            measurement=measurement,
            remedy=remedy,
            anchor=anchor,
        )
