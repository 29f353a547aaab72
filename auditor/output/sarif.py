"""Reports as SARIF 2.1.0, for code scanning.

Every result becomes an alert there, so that only what a person should see goes into `results`: errors and warnings with
kind ``fail`` (the format allows a level on no other kind, and hosts show by level), and one result of kind ``open`` for
each rule that could not be established. What the maintainers set aside is there with a suppression. What passed, notes and
the headline stand in the run's properties. Code inside a packed script is located in the shipped file, which is what a host
can show; the message names the decoded line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from auditor.finding import Finding, Location, Severity
from auditor.output.describe import RuleText, describe, sentence
from auditor.output.json_report import report_to_json
from auditor.output.sanitize import clean, plain
from auditor.output.summary import decisive_findings, held_against, notes, place, reasons_open, said, verdict_reason
from auditor.report import Outcome, Report, ReportSet, RuleResult
from auditor.rule import Rule, RulesetName, Status

Json = dict[str, Any]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVEL_OF_STATUS: Mapping[Status, str] = {
    Status.VIOLATION: "error",
    Status.REVIEW: "warning",
    Status.NOTE: "note",
    Status.NOT_APPLIED: "none",
}


def render_sarif(reports: ReportSet, rules: Sequence[Rule]) -> str:
    """`reports` as one SARIF run."""
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(reports, rules)]}
    return json.dumps(log, indent=1).replace("##[", "#\\u0023[") + "\n"


def _run(reports: ReportSet, rules: Sequence[Rule]) -> Json:
    index = {rule.id: number for number, rule in enumerate(rules)}
    cleaned = [clean(report) for report in reports.reports]
    ruleset = reports.ruleset
    driver = {
        "name": "pgolf",
        "version": reports.tool_version,
        "rules": [_descriptor(describe(rule), ruleset.name) for rule in rules],
    }
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"pgolf/{ruleset.name}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(cleaned, clean(reports.notices))],
        "results": [result for report in reports.reports for result in _results(report, index)],
        "properties": {
            "ruleset": ruleset.name,
            "asOf": ruleset.as_of.isoformat(),
            **({"heldAgainst": notice} if (notice := held_against(ruleset)) else {}),
            "submissions": list(map(_summary, cleaned)),
        },
    }


def _descriptor(rule: RuleText, ruleset: RulesetName) -> Json:
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.sections["Requirement"]},
        "help": {"text": rule.text, "markdown": rule.markdown},
        "defaultConfiguration": {"level": _LEVEL_OF_STATUS[rule.status[ruleset]]},
        "properties": {
            "tags": [rule.family],
            "status": {str(name): str(status) for name, status in rule.status.items()},
            "required": list(rule.required),
        },
    }


def _summary(report: Report) -> Json:
    names: dict[str, list[str]] = {}
    for result in report.results:
        names.setdefault(str(result.outcome), []).append(result.rule_id)
    whole = report_to_json(report)
    return {
        "submission": whole["submission"],
        "verdict": report.verdict,
        "reason": verdict_reason(report),
        "headline": whole["headline"],
        "rulesByOutcome": names,
        "notes": [{"ruleId": note.rule_id, "message": said(note)} for note in notes(report)],
    }


def _invocation(reports: Iterable[Report], notices: Iterable[str]) -> Json:
    """What concerns the audit itself: unreadable files, crashed rules, notices."""
    notifications: list[Json] = [{"level": "warning", "message": {"text": notice}} for notice in notices]
    broken = False
    for report in reports:
        for item in report.unreadable:
            broken |= item.fatal
            message = {"text": f"{report.submission.path}: {item.path}: {item.reason}"}
            notifications.append({"level": "error" if item.fatal else "warning", "message": message})
        for result in report.results:
            if result.crash is not None:
                broken = True
                message = {"text": f"{report.submission.path}: {result.rule} crashed: {result.crash}"}
                rule = {"id": result.rule_id}
                notifications.append({"level": "error", "message": message, "associatedRule": rule})
    return {"executionSuccessful": not broken, "toolExecutionNotifications": notifications}


def _results(report: Report, index: Mapping[str, int]) -> Iterator[Json]:
    for result in report.results:
        if result.outcome in (Outcome.FAIL, Outcome.REVIEW):
            for finding in decisive_findings(result):
                known = {"basis": finding.basis, "confidence": finding.confidence}
                yield _result(report, result, index, **known) | _finding(finding, report.submission.path)
        elif result.outcome is Outcome.OPEN:
            yield _result(report, result, index) | _open(result, report)


def _result(report: Report, result: RuleResult, index: Mapping[str, int], **known: str) -> Json:
    rule = {"ruleIndex": index[result.rule_id]} if result.rule_id in index else {}
    properties = {"outcome": result.outcome, "submission": clean(report.submission.path), "pr": report.submission.pr}
    return {"ruleId": result.rule_id, **rule, "properties": properties | known}


def _open(result: RuleResult, report: Report) -> Json:
    where = next((item.location for item in result.unestablished if item.location), None)
    whole = {"physicalLocation": {"artifactLocation": {"uri": _uri(report.submission.path)}}}
    return {
        "kind": "open",
        "level": "none",
        "message": {"text": f"not established: {'; '.join(map(clean, reasons_open(result)))}"},
        "locations": [_location(where, report.submission.path) if where else whole],
    }


def _finding(finding: Finding, folder: str) -> Json:
    """One finding; the fingerprint is that of the finding as the rule made it, not of its cleaned text."""
    cleaned = clean(finding)
    where = [_location(finding.location, folder)] if finding.location else []
    message = f"{said(cleaned)}. {sentence(cleaned.remedy)}." if cleaned.remedy else said(cleaned)
    whole: Json = {
        "kind": "fail",
        "level": "error" if finding.severity is Severity.ERROR else "warning",
        "message": {"text": message},
        "locations": where or [{"physicalLocation": {"artifactLocation": {"uri": _uri(folder)}}}],
        "partialFingerprints": {"pgolf/v1": finding.fingerprint},
    }
    if cleaned.suppression is not None:
        whole["suppressions"] = [{"kind": "external", "status": "accepted", "justification": str(cleaned.suppression)}]
    if finding.related:
        places = enumerate(finding.related, start=1)
        whole["relatedLocations"] = [_location(at, folder, text) | {"id": number} for number, (at, text) in places]
    if finding.steps:
        steps = [{"location": _location(step.location, folder, step.text)} for step in finding.steps]
        whole["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    return whole


def _location(location: Location, folder: str, text: str = "") -> Json:
    packed = location.outer_path is not None
    uri = _uri(str(PurePosixPath(folder, location.outer_path or location.path)))
    physical: Json = {"artifactLocation": {"uri": uri}}
    line = location.outer_line if packed else location.line
    if line is not None:
        physical["region"] = {"startLine": line} if packed else _region(location, line)
    said = "; ".join(filter(None, (text, place(location) if packed else "")))
    whole: Json = {"physicalLocation": physical}
    if said:
        whole["message"] = {"text": clean(said)}
    if location.symbol:
        whole["logicalLocations"] = [{"fullyQualifiedName": clean(location.symbol)}]
    return whole


def _region(location: Location, line: int) -> Json:
    region: Json = {"startLine": line}
    if location.column is not None:
        region["startColumn"] = location.column
    if location.end_line is not None:
        region["endLine"] = max(location.end_line, line)
    if location.snippet is not None:
        region["snippet"] = {"text": clean(location).snippet}
    return region


def _uri(path: str) -> str:
    """A path as a URI reference: relative to the repository, or a file URI where it is absolute."""
    try:
        quoted = quote(path.encode("utf-8", "surrogateescape"), safe="/")  # a file's name, byte by byte
    except UnicodeEncodeError:  # no file's name
        quoted = quote(plain(path), safe="/")
    return f"file://{quoted}" if path.startswith("/") else quoted
