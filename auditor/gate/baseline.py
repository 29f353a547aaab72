"""The baseline: findings that were there when a repository adopted the gate, and that fail nothing from then on.

It is written by the tool, one line for each finding, sorted, so that a repeated run writes the same file and a diff shows
what came or went. A finding is known by submission folder, rule and fingerprint; that it got worse since (a warning that
became an error) makes it new. Two findings with one fingerprint are one. Notes are left out: they fail nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from auditor.finding import Finding, Severity, Suppression, SuppressionKind
from auditor.report import Report

_SCHEMA_VERSION = 1
_KEYS = ("submission", "rule_id", "fingerprint", "severity")
_SEVERITIES = tuple(severity for severity in Severity if severity is not Severity.NOTE)  # the worst first

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Baseline:
    """Known findings: the severity that each had, by submission folder, rule id and fingerprint."""

    name: str
    severities: Mapping[Key, Severity]

    def covers(self, finding: Finding, submission: str) -> bool:
        """Is it known, and no worse than it was?"""
        before = self.severities.get(_key(finding, submission))
        return before is not None and _SEVERITIES.index(before) <= _SEVERITIES.index(finding.severity)

    @property
    def suppression(self) -> Suppression:
        """How reports show it at a finding."""
        return Suppression(kind=SuppressionKind.KNOWN, reason=f"listed in {self.name}")

    def gone(self, report: Report) -> int:
        """How many known findings of the report's submission are there no more, of the rules that were asked."""
        asked = {result.rule_id for result in report.results}
        found = {_key(finding, report.submission.path) for finding in counted(report)}
        return sum(key[0] == report.submission.path and key[1] in asked and key not in found for key in self.severities)


def counted(report: Report) -> list[Finding]:
    """The findings that can fail a gate: errors and warnings."""
    findings = [finding for result in report.results for finding in result.findings]
    return [finding for finding in findings if finding.severity is not Severity.NOTE]


def record_baseline(reports: Iterable[Report], name: str) -> Baseline:
    """A baseline of what `reports` found and nobody waived; of two findings with one fingerprint the worse."""
    found = [(f, report.submission.path) for report in reports for f in counted(report) if not _is_waived(f)]
    found.sort(key=lambda item: _SEVERITIES.index(item[0].severity), reverse=True)
    return Baseline(name, {_key(finding, submission): finding.severity for finding, submission in found})


def render_baseline(baseline: Baseline) -> str:
    """The file's text."""
    entries = [dict(zip(_KEYS, (*key, severity), strict=True)) for key, severity in sorted(baseline.severities.items())]
    lines = ",\n".join(map(json.dumps, entries))
    return f'{{"schema_version": {_SCHEMA_VERSION}, "findings": [\n{lines}\n]}}\n'


def parse_baseline(text: str, name: str) -> Baseline:
    """The baseline in a file called `name`. ValueError with the name, and the place in it, for any other text."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name}:{error.lineno}: {error.msg}; `--write-baseline` writes such a file") from error
    if not isinstance(data, dict) or data.get("schema_version") != _SCHEMA_VERSION:
        raise ValueError(f"{name}: is no baseline of version {_SCHEMA_VERSION}; `--write-baseline` writes one")
    entries = data.get("findings")
    if not isinstance(entries, list):
        raise ValueError(f"{name}: has no list of findings")
    return Baseline(name, dict(_entry(entry, f"{name}: finding {number}") for number, entry in enumerate(entries, 1)))


def _entry(entry: object, where: str) -> tuple[Key, Severity]:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in _KEYS):
        raise ValueError(f"{where}: needs the texts {', '.join(_KEYS)}")
    if entry["severity"] not in _SEVERITIES:
        raise ValueError(f"{where}: severity {entry['severity']!r} is neither error nor warning")
    return (entry["submission"], entry["rule_id"], entry["fingerprint"]), Severity(entry["severity"])


def _is_waived(finding: Finding) -> bool:
    return finding.suppression is not None and finding.suppression.kind is SuppressionKind.WAIVED


def _key(finding: Finding, submission: str) -> Key:
    return submission, finding.rule_id, finding.fingerprint
