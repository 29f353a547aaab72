"""What a rule says: findings and evidence, as frozen plain data.

A rule yields four kinds of *statement*: a `Finding` (something is wrong or worth knowing), an `Evidence` (this was looked
at, and here is what was established), an `Unestablished` (this could not be told, with the reason) and a `NotApplicable`.
Evidence is a type of its own because a PASS has to be earned: silence is never a pass. Nothing here holds a syntax
node, an absolute path or a clock, so that a report can be serialised, compared and repeated.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"  # breaks a rule
    WARNING = "warning"  # a person must look
    NOTE = "note"  # worth knowing, decides nothing


class Confidence(StrEnum):
    """How sure the detector is; an axis of its own beside severity."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Basis(StrEnum):
    """What kind of evidence a statement rests on."""

    FILES = "files"
    LOG = "log"
    SOURCE = "source"
    RUN = "run"


Place = tuple[str, int | None]
"""A file and a line in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place in a submission.

    `path` is relative to the submission folder, with forward slashes. For code inside a packed script, `path` names the
    decoded source (``train_gpt.py!decoded``), `line` counts there, and `outer_path`/`outer_line` name the shipped file.
    Lines and columns count from 1.
    """

    path: str
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    symbol: str | None = None
    snippet: str | None = None
    outer_path: str | None = None
    outer_line: int | None = None

    @property
    def place(self) -> Place:
        """The line that it is on, for what is told once a line."""
        return self.path, self.line

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a path from a source to a sink: where, and what happens there."""

    location: Location
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A number that belongs to a measurement: what it is, and how much."""

    name: str
    amount: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A measured quantity beside the limit that it is held against.

    `subject` says whose it is where there are several (``seed 42``). `parts` add up to what was observed; `beside` are
    numbers that a reader compares it with, such as the same code counted in another way.
    """

    quantity: str
    observed: float
    limit: float | None
    unit: str
    subject: str = ""
    parts: tuple[Amount, ...] = ()
    beside: tuple[Amount, ...] = ()


class SuppressionKind(StrEnum):
    """On what ground the maintainers set a finding aside."""

    WAIVED = "waived"  # somebody answers for it, until a day
    KNOWN = "known"  # it stood in the baseline when the gate was adopted


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """Why a finding does not count towards the exit status. `by` and `until` (an ISO date) belong to waivers."""

    kind: SuppressionKind
    reason: str
    by: str | None = None
    until: str | None = None

    def __str__(self) -> str:
        who = f" by {self.by}" if self.by else ""
        end = f" until {self.until}" if self.until else ""
        return f"{self.kind}{who}{end}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, needs a person, or is worth knowing.

    `message` is one sentence with the concrete values and no advice; the advice is `remedy`. `live` is False for code
    that the submitted configuration never reaches. `anchor` is the normalised text that identifies the finding across
    edits (for instance a label or a file name); it goes into the fingerprint in place of a line number. `suppression` is
    what the maintainers decided about it; no rule sets it, and neither outcome nor verdict depends on it.
    """

    rule_id: str
    message: str
    severity: Severity
    confidence: Confidence = Confidence.HIGH
    basis: Basis
    live: bool = True
    location: Location | None = None
    related: tuple[tuple[Location, str], ...] = ()
    steps: tuple[Step, ...] = ()
    measurement: Measurement | None = None
    remedy: str | None = None
    anchor: str = ""
    suppression: Suppression | None = None

    @property
    def fingerprint(self) -> str:
        """16 hex digits that stay the same when lines move: rule, path, symbol and anchor, no line number."""
        path = self.location.path if self.location else ""
        symbol = (self.location.symbol if self.location else None) or ""
        anchor = re.sub(r"\s+", " ", self.anchor or re.sub(r"\d[\d,._]*", "#", self.message)).strip()
        whole = "\0".join((self.rule_id, path, symbol, anchor))
        return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:16]  # a name may be no text


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Something that was looked at and found in order; what a PASS consists of.

    `complete`: all that the rule asks about was looked at, so that this stands alone where the rule allows it.
    """

    basis: Basis
    message: str
    location: Location | None = None
    measurement: Measurement | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unestablished:
    """Something that could not be told, and what was missing. Keeps the outcome from being PASS."""

    message: str
    location: Location | None = None
    measurement: Measurement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplicable:
    """The rule does not concern this submission, with the reason."""

    reason: str


Statement = Finding | Evidence | Unestablished | NotApplicable


@dataclass(slots=True)
class Statements:
    """The statements of one rule, sorted by kind. Order within a kind is the order in which the rule made them."""

    findings: list[Finding] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    unestablished: list[Unestablished] = field(default_factory=list)
    not_applicable: list[NotApplicable] = field(default_factory=list)

    def add(self, statement: Statement) -> None:
        """File one statement under its kind."""
        match statement:
            case Finding():
                self.findings.append(statement)
            case Evidence():
                self.evidence.append(statement)
            case Unestablished():
                self.unestablished.append(statement)
            case NotApplicable():
                self.not_applicable.append(statement)
