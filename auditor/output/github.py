"""Reports as workflow annotations, which a GitHub runner shows beside the changed lines.

Errors and warnings become ``::error`` and ``::warning`` at their line, notes and rules that could not be established
``::notice``, as do findings that the maintainers set aside; files that could not be read are errors too, and what concerns
the audit itself is a warning. Hosts show only the first few of a kind, so errors come first.
A runner reads commands from every line of output: text of a submission appears only inside an escaped command.
"""

from __future__ import annotations

from collections.abc import Iterator

from auditor.finding import Finding, Location, Severity
from auditor.output.sanitize import clean
from auditor.output.summary import held_against, name, not_established, place, said, verdict_counts, verdict_reason
from auditor.report import Report, ReportSet, Verdict

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render_github(reports: ReportSet) -> str:
    """`reports` as annotations, errors first, and a line that counts the verdicts."""
    annotations = [line for report in reports.reports for line in _annotations(clean(report))]
    annotations += [_command("warning", None, None, "pgolf", notice) for notice in clean(reports.notices)]
    ordered = [line for command in _COMMANDS.values() for line in annotations if line.startswith(f"::{command} ")]
    if notice := held_against(reports.ruleset):
        ordered.insert(0, _command("warning", None, None, "not the contest's validation split", notice))
    return "\n".join([*ordered, f"pgolf: {verdict_counts(reports)}"]) + "\n"


def _annotations(report: Report) -> Iterator[str]:
    folder = report.submission.path
    whole = None if report.submission.pr is not None and not report.results else folder
    for item in report.unreadable:
        path = whole if item.path == folder else f"{folder}/{item.path}"
        yield _command("error", path, None, f"{name(report)}: could not be read", f"{item.path}: {item.reason}")
    for result in report.results:
        if result.crash is not None:
            yield _command("error", whole, None, f"{result.rule} crashed", result.crash)
        for finding in result.findings:
            yield _finding(finding, result.rule, folder)
    open_rules = "; ".join(f"{rules}: {why}" for rules, why in not_established(report))
    if open_rules:
        yield _command("notice", whole, None, f"{name(report)}: not established", open_rules)
    if report.verdict is Verdict.ERROR:
        return
    summary = verdict_reason(report)
    if report.headline is not None:
        summary += f". {report.headline.explanation}"
    yield _command("notice", whole, None, f"{name(report)}: {report.verdict}", summary)


def _finding(finding: Finding, rule: str, folder: str) -> str:
    location = finding.location or Location(path="")
    packed = location.outer_path is not None
    shown = f"{folder}/{location.outer_path or location.path}".rstrip("/")
    line = location.outer_line if packed else location.line
    message = f"{said(finding)} ({place(location)})" if packed else said(finding)
    remedy = f"; to do: {finding.remedy}" if finding.remedy else ""
    severity = finding.severity if finding.suppression is None else Severity.NOTE
    return _command(_COMMANDS[severity], shown, line, f"{finding.rule_id} {rule}", f"{message}{remedy}")


def _command(command: str, path: str | None, line: int | None, title: str, message: str) -> str:
    properties = {"file": path, "line": None if line is None else str(line), "title": title}
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value is not None)
    return f"::{command} {given}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
