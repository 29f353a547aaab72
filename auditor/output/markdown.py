"""The report as Markdown: a review comment that a maintainer can paste under a pull request.

Text of a submission is escaped so that it makes no link, mention, reference, heading, table cell or tag; quoted lines stand
in fences that their text cannot close.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from auditor.finding import Finding
from auditor.output.describe import authorities, sentence
from auditor.output.sanitize import clean, disarm_commands
from auditor.output.summary import (
    OUTCOME_WORDS,
    by_id,
    claim,
    counts,
    deciding,
    decisive_findings,
    detailed,
    differences,
    excerpts,
    held_against,
    listed,
    name,
    not_established,
    notes,
    place,
    printed_by,
    rows,
    run_sentences,
    said,
    unreadable,
    verdict_counts,
    verdict_reason,
)
from auditor.report import HeadlineSummary, Report, ReportSet, RuleResult
from auditor.rule import Rule

_MAX_EXCERPTS = 5  # ours: places of one finding that are quoted
_SPECIAL = re.compile(r"([\\`*\[\]<>|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_BLOCK_START = re.compile(r"^(\d{1,9}(?=[.)](?:\s|$))|(?=[-+=#]))(.)")
_MENTION = re.compile(r"([@#]|(?<=[Gg][Hh])-)(?=\w)")
_LINK = re.compile(r"://|(?<=www)\.", re.IGNORECASE)


def render_markdown(reports: ReportSet, rules: Sequence[Rule]) -> str:
    """`reports`: one in full; several as a table, followed by those that are not clean where they are few."""
    known = by_id(rules)
    notice = held_against(reports.ruleset)
    parts = [f"> **{escape(notice)}**"] if notice else []
    parts += _table(reports) if len(reports.reports) != 1 else ()
    parts += _list("About this audit", clean(reports.notices))
    for report in detailed(reports):
        parts += _report(clean(report), known)
    parts.append(
        f"<sub>pgolf {escape(reports.tool_version)}, ruleset {reports.ruleset.name} as of {reports.ruleset.as_of}</sub>"
    )
    return disarm_commands("\n\n".join(parts) + "\n")


def escape(text: str) -> str:
    """`text` (one line) so that Markdown shows it as it is and a host links and notifies nobody."""
    text = _BLOCK_START.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", text.strip()))
    text = _MENTION.sub("\\1\N{ZERO WIDTH SPACE}", text)
    return _LINK.sub(lambda match: "".join(f"&#{ord(character)};" for character in match[0]), text)


def code(text: str) -> str:
    """`text` (one line) as a code span that it cannot end, also inside a table."""
    fence = "`" * (_longest_run(text) + 1)
    padding = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{padding}{text}{padding}{fence}".replace("|", "\\|")


def fenced(text: str) -> str:
    """`text` as a code block that it cannot end."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _table(reports: ReportSet) -> Iterator[str]:
    lines = ["| submission | verdict | val_bpb | logged as | because of |", "|---|---|---:|---|---|"]
    for row in map(clean, rows(reports)):
        label = code(row.label) if row.label else ""
        lines.append(f"| {escape(row.name)} | {row.verdict} | {row.val_bpb} | {label} | {escape(row.because)} |")
    yield f"**{verdict_counts(reports)}**"
    yield "\n".join(lines)


def _report(report: Report, rules: Mapping[str, Rule]) -> Iterator[str]:
    yield f"### {escape(name(report))}: {report.verdict}"
    yield f"**{escape(sentence(verdict_reason(report)))}.** {_identity(report)}"
    if report.headline is not None:
        yield "#### Submitted number"
        yield _headline(report.headline, report.submission.script)
    results = deciding(report)
    if results:
        yield "#### What decides it"
    for result in results:
        yield from _result(result, rules.get(result.rule_id))
    yield from _list("Notes", [f"{finding.rule_id}: {said(finding)}" for finding in notes(report)])
    yield from _list("Run", run_sentences(report))
    yield from _list("Not established", [f"{names}: {why}" for names, why in not_established(report)])
    yield from _list("Could not be read", unreadable(report))
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
    lines = ["| val_bpb | log line | label | seed |", "|---:|---|---|---:|"]
    for carrier in headline.lines:
        seed = "" if carrier.seed is None else str(carrier.seed)
        label = code(carrier.label) if carrier.label else ""
        lines.append(f"| {carrier.val_bpb} | {code(f'{carrier.log}:{carrier.line}')} | {label} | {seed} |")
    return "\n\n".join((f"{escape(claim(headline))}:", "\n".join(lines), f"{escape(printed_by(headline, script))}."))


def _result(result: RuleResult, rule: Rule | None) -> Iterator[str]:
    yield f"##### {result.rule_id} {result.rule}: {OUTCOME_WORDS[result.outcome]}"
    found = decisive_findings(result)
    for finding in found:
        yield _finding(finding)
    if result.crash is not None:
        yield fenced(result.crash)
    remedies = [f"- To do: {escape(remedy)}" for remedy in dict.fromkeys(finding.remedy for finding in found) if remedy]
    cited = [f"- Authority: {escape(authority)}" for authority in authorities(rule)] if rule and found else []
    marks = dict.fromkeys(code(finding.fingerprint) for finding in found)
    named = [f"- {'Fingerprint' if len(marks) == 1 else 'Fingerprints'}: {', '.join(marks)}"] if marks else []
    if lines := remedies + cited + named:
        yield "\n".join(lines)


def _finding(finding: Finding) -> str:
    parts = [f"**{finding.severity}**: {escape(said(finding))}"]
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
    lines = ["| rule | outcome |", "|---|---|"]
    lines += [f"| {result.rule_id} {result.rule} | {OUTCOME_WORDS[result.outcome]} |" for result in report.results]
    table = "\n".join(lines)
    return f"<details><summary>{counts(report)}</summary>\n\n{table}\n\n</details>"
