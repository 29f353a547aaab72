"""Reports as JSON, and back: the public contract, described by `report.schema.json` beside this module.

What is derived (verdict, outcome, fingerprint, checked) is written for readers and computed again on reading, so that a
file cannot contradict itself. Strings are those of the submission, escaped as JSON demands. Two things are lost, since
strict readers would refuse the whole file for them: bytes in names that are no text appear in escaped spelling, and a
number that is not finite becomes null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date
from typing import Any

from auditor.finding import Basis, Evidence, Finding, NotApplicable, Unestablished
from auditor.plain import from_plain, to_plain
from auditor.reference import ReferenceSplit
from auditor.report import (
    SCHEMA_VERSION,
    HeadlineSummary,
    Outcome,
    Report,
    ReportSet,
    RuleResult,
    SubmissionSummary,
    Unreadable,
)
from auditor.rule import Ruleset, RulesetName
from auditor.run.facts import RunFacts
from auditor.timeline import Timeline

Json = dict[str, Any]


def render_json(reports: ReportSet) -> str:
    """`reports` as JSON text, one line for each report and what is around them."""
    head = _dumps(_head(reports))
    lines = ",\n".join(_dumps(report_to_json(report)) for report in reports.reports)
    return f'{head[:-1]}, "reports": [\n{lines}\n]}}\n'.replace("##[", "#\\u0023[")


def _dumps(value: object) -> str:
    return json.dumps(_encodable(value), allow_nan=False)


def _encodable(value: object) -> object:
    """`value` with strings that UTF-8 can carry, and null for numbers that JSON has none for."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {name: _encodable(item) for name, item in value.items()}
        case list() | tuple():
            return [_encodable(item) for item in value]
        case _:
            return value


def to_json(reports: ReportSet) -> Json:
    """The whole contract as plain data."""
    return _head(reports) | {"reports": [report_to_json(report) for report in reports.reports]}


def _head(reports: ReportSet) -> Json:
    return {
        "schema_version": SCHEMA_VERSION,
        "tool_version": reports.tool_version,
        "ruleset": _ruleset_to_json(reports.ruleset),
        "notices": list(reports.notices),
    }


def from_json(data: Mapping[str, Any]) -> ReportSet:
    """The reports that `to_json` wrote. ValueError for another version of the contract or a value that it does not know."""
    if data.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"schema_version is {data.get('schema_version')!r}; this version reads {SCHEMA_VERSION}")
    return ReportSet(
        tool_version=data["tool_version"],
        ruleset=_ruleset(data["ruleset"]),
        reports=tuple(map(report_from_json, data["reports"])),
        notices=tuple(data.get("notices", ())),
    )


def _ruleset_to_json(ruleset: Ruleset) -> Json:
    """Name and day; what the caller named instead of the contest's own only where that was done."""
    given: Json = {name: value for name, value in to_plain(ruleset).items() if value is not None}
    return given | {"as_of": ruleset.as_of.isoformat()}


def _ruleset(data: Mapping[str, Any]) -> Ruleset:
    split = data.get("split")
    return Ruleset(
        RulesetName(data["name"]),
        date.fromisoformat(data["as_of"]),
        split=from_plain(ReferenceSplit, split) if split else None,
        against=data.get("against"),
    )


def report_to_json(report: Report) -> Json:
    """One report as plain data."""
    return {
        "submission": to_plain(report.submission),
        "verdict": report.verdict,
        "headline": to_plain(report.headline) if report.headline else None,
        "results": [_result_to_json(result) for result in report.results],
        "unreadable": [to_plain(item) for item in report.unreadable],
        "story": list(report.story),
        "run": to_plain(report.run) if report.run else None,
        "timelines": to_plain(report.timelines),
    }


def report_from_json(data: Mapping[str, Any]) -> Report:
    """One report from plain data."""
    return Report(
        submission=from_plain(SubmissionSummary, data["submission"]),
        headline=from_plain(HeadlineSummary, data["headline"]) if data["headline"] else None,
        results=tuple(map(_result, data["results"])),
        unreadable=tuple(from_plain(Unreadable, item) for item in data["unreadable"]),
        story=tuple(data.get("story", ())),
        run=from_plain(RunFacts, data["run"]) if data.get("run") else None,
        timelines=tuple(from_plain(Timeline, item) for item in data.get("timelines", ())),
    )


def _result_to_json(result: RuleResult) -> Json:
    return {
        "rule_id": result.rule_id,
        "rule": result.rule,
        "outcome": result.outcome,
        "other_outcomes": {str(ruleset): outcome for ruleset, outcome in result.other_outcomes},
        "required": sorted(result.required),
        "alternatives": sorted(result.alternatives),
        "checked": sorted(result.checked),
        "findings": [_finding_to_json(finding) for finding in result.findings],
        "evidence": [to_plain(item) for item in result.evidence],
        "unestablished": [to_plain(item) for item in result.unestablished],
        "not_applicable": [item.reason for item in result.not_applicable],
        "crash": result.crash,
    }


def _result(data: Mapping[str, Any]) -> RuleResult:
    return RuleResult(
        rule_id=data["rule_id"],
        rule=data["rule"],
        required=frozenset(map(Basis, data["required"])),
        alternatives=frozenset(map(Basis, data.get("alternatives", ()))),
        findings=tuple(_finding(item, data["rule_id"]) for item in data["findings"]),
        evidence=tuple(from_plain(Evidence, item) for item in data["evidence"]),
        unestablished=tuple(from_plain(Unestablished, item) for item in data["unestablished"]),
        not_applicable=tuple(NotApplicable(reason=reason) for reason in data["not_applicable"]),
        crash=data["crash"],
        other_outcomes=tuple((RulesetName(name), Outcome(word)) for name, word in data["other_outcomes"].items()),
    )


def _finding_to_json(finding: Finding) -> Json:
    related = [{"location": to_plain(location), "text": text} for location, text in finding.related]
    plain: Json = to_plain(finding)
    return plain | {"related": related, "fingerprint": finding.fingerprint}


def _finding(data: Mapping[str, Any], rule_id: str) -> Finding:
    related = [(item["location"], item["text"]) for item in data["related"]]
    return from_plain(Finding, {**data, "rule_id": rule_id, "related": related})
