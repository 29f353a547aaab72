"""The report as Markdown: a review comment that a maintainer can paste under a pull request.

Text of a submission is escaped so that it makes no link, mention, reference, heading, table cell or tag; quoted lines stand
in fences that their text cannot close.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from auditor.finding import Finding
from auditor.output.describe import authorities
from auditor.output.sanitize import clean, disarm_commands
from auditor.output.summary import (
    OUTCOME_WORDS,
    by_id,
    claim,
    counts,
    deciding,
    decisive_findings,
    differences,
    excerpts,
    listed,
    name,
    not_established,
    notes,
    place,
    printed_by,
    verdict_counts,
    verdict_reason,
)
from auditor.report import HeadlineSummary, Report, ReportSet, RuleResult
from auditor.rule import Rule

_MAX_EXCERPTS = 5  # ours: places of one finding that are quoted
_SPECIAL = re.compile(r"([\\`*\[\]<>|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_MENTION = re.compile(r"([@#]|(?<=[Gg][Hh])-)(?=\w)")
_LINK = re.compile(r"://|(?<=www)\.", re.IGNORECASE)


def render_markdown(reports: ReportSet, rules: Sequence[Rule]) -> str:
    """`reports` one after the other; several begin with a table."""
    known = by_id(rules)
    parts = list(_table(reports)) if len(reports.reports) > 1 else []
    for report in reports.reports:
        parts += _report(clean(report), known)
    parts.append(
        f"<sub>pgolf {escape(reports.tool_version)}, ruleset {reports.ruleset.name} as of {reports.ruleset.as_of}</sub>"
    )
    return disarm_commands("\n\n".join(parts) + "\n")


def escape(text: str) -> str:
    """`text` (one line) so that Markdown shows it as it is and a host links and notifies nobody."""
    text = _SPECIAL.sub(r"\\\1", text)
    text = _LINK.sub(lambda match: "".join(f"&#{ord(character)};" for character in match[0]), text)
    return _MENTION.sub("\\1\N{ZERO WIDTH SPACE}", text)


def code(text: str) -> str:
    """`text` (one line) as a code span that it cannot end, also inside a table."""
    fence = "`" * (_longest_run(text) + 1)
    padding = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return (
        f"{fence}{padding}{text}{padding}{fence}".replace("|", "\\|")
        if "|" in text
        else f"{fence}{padding}{text}{padding}{fence}"
    )


def fenced(text: str) -> str:
    """`text` as a code block that it cannot end."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _table(reports: ReportSet) -> Iterator[str]:
    rows = ["| submission | verdict | val_bpb | logged as | because |", "|---|---|---:|---|---|"]
    for report in map(clean, reports.reports):
        headline = report.headline
        number = "" if headline is None or headline.val_bpb is None else f"{headline.val_bpb:.5f}"
        label = code(headline.label) if headline and headline.label else ""
        rows.append(
            f"| {escape(name(report))} | {report.verdict} | {number} | {label} | {escape(verdict_reason(report))} |"
        )
    yield f"**{verdict_counts(reports)}**"
    yield "\n".join(rows)


def _report(report: Report, rules: Mapping[str, Rule]) -> Iterator[str]:
    yield f"### {escape(name(report))}: {report.verdict}"
    yield f"**{escape(verdict_reason(report))}.** {_identity(report)}"
    if report.headline is not None:
        yield "#### Submitted number"
        yield _headline(report.headline, report.submission.script)
    results = deciding(report)
    if results:
        yield "#### What decides it"
    for result in results:
        yield from _result(result, rules.get(result.rule_id))
    yield from _list("Notes", [f"{finding.rule_id}: {finding.message}" for finding in notes(report)])
    yield from _list("Not established", [f"{names}: {why}" for names, why in not_established(report)])
    yield from _list("Could not be read", [f"{item.path}: {item.reason}" for item in report.unreadable])
    for ruleset, changes in differences(report).items():
        yield from _list(f"Under ruleset {ruleset}", changes)
    if report.results:
        yield _outcomes(report)


def _identity(report: Report) -> str:
    submission = report.submission
    parts = [code(submission.path)]
    if submission.script:
        size = "" if submission.code_bytes is None else f" ({submission.code_bytes:,} bytes)"
        parts.append(f"{code(submission.script)}{size}")
    if submission.unwrapped:
        parts.append(f"unwrapped from {escape(' in '.join(submission.unwrapped))}")
    if submission.commit:
        parts.append(f"commit {code(submission.commit[:12])}")
    return ", ".join(parts)


def _headline(headline: HeadlineSummary, script: str | None) -> str:
    if len(headline.lines) < 2:
        return f"{escape(headline.explanation)}."
    rows = ["| val_bpb | log line | label | seed |", "|---:|---|---|---:|"]
    for line in headline.lines:
        seed = "" if line.seed is None else str(line.seed)
        rows.append(
            f"| {line.val_bpb} | {code(f'{line.log}:{line.line}')} | {code(line.label) if line.label else ''} | {seed} |"
        )
    return "\n\n".join((f"{escape(claim(headline))}:", "\n".join(rows), f"{escape(printed_by(headline, script))}."))


def _result(result: RuleResult, rule: Rule | None) -> Iterator[str]:
    yield f"##### {result.rule_id} {result.rule}: {OUTCOME_WORDS[result.outcome]}"
    found = decisive_findings(result)
    for finding in found:
        yield _finding(finding)
    if result.crash is not None:
        yield fenced(result.crash)
    remedies = [f"- To do: {escape(remedy)}" for remedy in dict.fromkeys(finding.remedy for finding in found) if remedy]
    cited = [f"- Authority: {authority}" for authority in authorities(rule)] if rule and found else []
    if remedies or cited:
        yield "\n".join(remedies + cited)


def _finding(finding: Finding) -> str:
    doubt = "" if finding.confidence == "high" else f" ({finding.confidence} confidence)"
    parts = [f"**{finding.severity}**: {escape(finding.message)}{doubt}"]
    places, alike = excerpts(finding)
    lines: list[str] = []
    for location, what in places[:_MAX_EXCERPTS]:
        lines.append(place(location) + (f": {what}" if what else ""))
        lines += [f"    {line}" for line in (location.snippet or "").splitlines()]
    more = [place(location) for location, _ in places[_MAX_EXCERPTS:]] + list(map(str, alike))
    if more:
        lines.append(f"also {listed(more)}")
    if lines:
        parts.append(fenced("\n".join(lines)))
    return "\n\n".join(parts)


def _list(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield f"#### {title}"
        yield "\n".join(f"- {escape(item)}" for item in items)


def _outcomes(report: Report) -> str:
    rows = ["| rule | outcome |", "|---|---|"]
    rows += [f"| {result.rule_id} {result.rule} | {OUTCOME_WORDS[result.outcome]} |" for result in report.results]
    table = "\n".join(rows)
    return f"<details><summary>{counts(report)}</summary>\n\n{table}\n\n</details>"
