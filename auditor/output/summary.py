"""What a report comes to, in words and in the order that readers need, but in no particular format.

The formats for people share these sentences, so that a terminal, a review comment and an annotation never disagree.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from auditor.finding import Basis, Confidence, Finding, Location, Severity, Suppression, SuppressionKind
from auditor.output.sanitize import plain
from auditor.report import HeadlineSummary, Outcome, Report, ReportSet, RuleResult, Verdict
from auditor.rule import Rule, Ruleset, RulesetName
from auditor.run.story import summary

OUTCOME_WORDS: Mapping[Outcome, str] = {
    Outcome.FAIL: "fails",
    Outcome.REVIEW: "needs a person",
    Outcome.CRASHED: "crashed",
    Outcome.OPEN: "not established",
    Outcome.PASS: "passes",
    Outcome.NOT_APPLICABLE: "does not apply",
}
_MAX_DETAILED = 3  # ours: more reports than these in full are not read
_DECIDES: Mapping[Verdict, Outcome] = {Verdict.VIOLATION: Outcome.FAIL, Verdict.REVIEW: Outcome.REVIEW}
_ORDER = tuple(Outcome(word) for word in OUTCOME_WORDS)
_SEVERITY_ORDER = tuple(Severity)
_BASIS_WORDS: Mapping[Basis, str] = {
    Basis.FILES: "the files",
    Basis.LOG: "the logs",
    Basis.SOURCE: "the source",
    Basis.RUN: "a run",
}


def name(report: Report) -> str:
    """How a report is called for short: ``PR #297``, else the last part of the path."""
    if report.submission.pr is not None:
        return f"PR #{report.submission.pr}"
    return report.submission.path.rstrip("/").rsplit("/", 1)[-1] or report.submission.path


def verdict_reason(report: Report) -> str:
    """One line behind the verdict: which rules fail, which need a person, or what stood in the way."""
    if report.verdict is Verdict.ERROR:
        fatal = [item for item in report.unreadable if item.fatal]
        where = [f"{item.path}: " if item.path != report.submission.path else "" for item in fatal]
        return "; ".join(f"{path}{item.reason}" for path, item in zip(where, fatal, strict=True)) or "no rule was asked"
    parts = []
    if failing := rules_with(report, Outcome.FAIL):
        parts.append(f"{listed(failing)} {'fails' if len(failing) == 1 else 'fail'}")
    if review := rules_with(report, Outcome.REVIEW):
        parts.append(f"a person must look at {listed(review)}")
    if crashed := rules_with(report, Outcome.CRASHED):
        parts.append(f"{listed(crashed)} crashed")
    if report.unreadable:
        parts.append(f"{listed([item.path for item in report.unreadable], 2)} could not be read")
    if parts:
        return "; ".join(parts + suppression_counts(suppressed(report)))
    num_open = len(rules_with(report, Outcome.OPEN))
    return "the rules that could be checked found nothing" + (f"; {num_open} could not be established" if num_open else "")


@dataclass(frozen=True, slots=True)
class Row:
    """One report in a table; `because` names the rules that decide, or what stood in the way."""

    name: str
    verdict: Verdict
    val_bpb: str
    label: str
    because: str

    @classmethod
    def of(cls, report: Report, called: str) -> Row:
        """The row of a report that is called so."""
        headline = report.headline
        number = "" if headline is None or headline.val_bpb is None else f"{headline.val_bpb:.5f}"
        label = (headline.label if headline else None) or ""
        return cls(called, report.verdict, number, label, _because(report))


def rows(reports: ReportSet) -> list[Row]:
    """A row for each report; where short names are the same, paths take their place."""
    short = [name(report) for report in reports.reports]
    times = Counter(short)
    return [
        Row.of(report, called if times[called] == 1 or report.submission.pr is not None else report.submission.path)
        for report, called in zip(reports.reports, short, strict=True)
    ]


def _because(report: Report) -> str:
    decides = _DECIDES.get(report.verdict)
    rules = rules_with(report, decides) if decides else []
    return ", ".join(rules) if rules or report.verdict is Verdict.CLEAN else verdict_reason(report)


def rules_with(report: Report, outcome: Outcome) -> list[str]:
    """The names of the rules that came to `outcome`."""
    return [result.rule for result in report.results if result.outcome is outcome]


def listed(words: Sequence[str], most: int = 6) -> str:
    """``a, b and c``; what goes beyond `most` is counted."""
    if len(words) > most:
        words = [*words[:most], f"{len(words) - most} more"]
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def deciding(report: Report) -> list[RuleResult]:
    """The results behind the verdict: failing rules first, then those that need a person, then crashed ones."""
    decisive = (Outcome.FAIL, Outcome.REVIEW, Outcome.CRASHED)
    return sorted((r for r in report.results if r.outcome in decisive), key=lambda result: decisive.index(result.outcome))


def decisive_findings(result: RuleResult) -> list[Finding]:
    """The errors and warnings of one rule, errors first."""
    found = [finding for finding in result.findings if finding.severity is not Severity.NOTE]
    return sorted(found, key=lambda finding: _SEVERITY_ORDER.index(finding.severity))


def said(finding: Finding) -> str:
    """A finding's message with what weakens it, and what the maintainers decided about it."""
    doubts = [] if finding.confidence is Confidence.HIGH else [f"{finding.confidence} confidence"]
    if not finding.live:
        doubts.append("the submitted configuration never gets there")
    if finding.suppression is not None:
        doubts.append(str(finding.suppression))
    return f"{finding.message} ({'; '.join(doubts)})" if doubts else finding.message


def notes(report: Report) -> list[Finding]:
    """Findings that decide nothing."""
    return [finding for result in report.results for finding in result.findings if finding.severity is Severity.NOTE]


def unreadable(report: Report) -> list[str]:
    """The files that could not be read, with reasons; that the submission itself could not, the verdict says already."""
    return [f"{item.path}: {item.reason}" for item in report.unreadable if item.path != report.submission.path]


def detailed(reports: ReportSet) -> tuple[Report, ...]:
    """The reports to show in full: a single one, and those that are not clean where they are few."""
    if len(reports.reports) == 1:
        return reports.reports
    shown = tuple(report for report in reports.reports if report.verdict is not Verdict.CLEAN)
    return shown if len(shown) <= _MAX_DETAILED else ()


def not_established(report: Report) -> list[tuple[str, str]]:
    """What could not be told, as (rules, why); reasons that differ in numbers only (one for each seed) share a line."""
    groups: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for result in report.results:
        for reason in reasons_open(result):
            names, reasons = groups.setdefault(re.sub(r"\d[\d,.]*", "#", reason), ({}, {}))
            names[result.rule] = None
            reasons[reason] = None
    return [(", ".join(names), _first_of(list(reasons))) for names, reasons in groups.values()]


def _first_of(reasons: Sequence[str]) -> str:
    return reasons[0] if len(reasons) == 1 else f"{reasons[0]} (and {len(reasons) - 1} more like it)"


def reasons_open(result: RuleResult) -> Iterable[str]:
    """Why a rule could not be established, each reason once."""
    if result.outcome is Outcome.PASS:  # something complete stands in for what is missing
        return ()
    if result.unestablished:
        return dict.fromkeys(item.message for item in result.unestablished)
    if result.outcome is Outcome.OPEN:
        missing = [_BASIS_WORDS[basis] for basis in Basis if basis in result.required - result.checked]
        return (f"no evidence was found in {listed(missing)}",)
    return ()


def differences(report: Report) -> dict[RulesetName, list[str]]:
    """Where another ruleset comes to something else: for each, its verdict and ``fail instead of review: foreign-log``."""
    changes: dict[RulesetName, dict[tuple[Outcome, Outcome], list[str]]] = {}
    for result in report.results:
        for ruleset, other in result.other_outcomes:
            if other is not result.outcome:
                changes.setdefault(ruleset, {}).setdefault((other, result.outcome), []).append(result.rule)
    return {
        ruleset: [
            f"{other} instead of {own}: {', '.join(names)}"
            for (other, own), names in sorted(changed.items(), key=lambda item: tuple(map(_ORDER.index, item[0])))
        ]
        for ruleset, changed in changes.items()
    }


def held_against(ruleset: Ruleset) -> str | None:
    """A sentence for the head of a report where the caller named another validation split than the contest's."""
    split = ruleset.split
    if split is None:
        return None
    return plain(
        f"Judged against the validation split {split.name}, not the contest's, as the caller of this audit asked: "
        f"{split.num_tokens:,} tokens, {split.num_bytes:,} bytes; {split.source}. The scores compare with no leaderboard."
    )


def counts(report: Report) -> str:
    """``16 rules: 1 failed, 2 to review, 13 passed``."""
    found = Counter(result.outcome for result in report.results)
    parts = [f"{found[outcome]} {_COUNT_WORDS[outcome]}" for outcome in _ORDER if found[outcome]]
    return f"{len(report.results)} {'rule' if len(report.results) == 1 else 'rules'}: {', '.join(parts)}"


_COUNT_WORDS: Mapping[Outcome, str] = {
    Outcome.FAIL: "failed",
    Outcome.REVIEW: "to review",
    Outcome.CRASHED: "crashed",
    Outcome.OPEN: "not established",
    Outcome.PASS: "passed",
    Outcome.NOT_APPLICABLE: "not applicable",
}


def verdict_counts(reports: ReportSet) -> str:
    """``3 submissions: 1 violation, 2 clean; 1 finding waived``."""
    found = Counter(report.verdict for report in reports.reports)
    parts = [f"{found[verdict]} {verdict}" for verdict in Verdict if found[verdict]]
    aside = [counted for report in reports.reports for counted in suppressed(report)]
    whole = _number(len(reports.reports), "submission") + (f": {', '.join(parts)}" if parts else "")
    return "; ".join([whole, *suppression_counts(aside)])


def suppressed(report: Report) -> list[Suppression]:
    """What the maintainers decided about the findings that they set aside."""
    found = [finding.suppression for result in report.results for finding in result.findings]
    return [suppression for suppression in found if suppression is not None]


def suppression_counts(suppressions: Iterable[Suppression]) -> list[str]:
    """``1 finding waived``, ``2 findings known``; nothing where none is set aside."""
    kinds = Counter(suppression.kind for suppression in suppressions)
    return [f"{_number(kinds[kind], 'finding')} {kind}" for kind in SuppressionKind if kinds[kind]]


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def claim(headline: HeadlineSummary) -> str:
    """The submitted number and how it follows from the logs, for a headline with several lines."""
    number = f"val_bpb {headline.val_bpb}" if headline.val_bpb is not None else "no val_bpb"
    how = "is the mean over declared seeds, of which these are logged" if headline.kind == "partial" else "is the mean of"
    return f"{number}, claimed at {headline.claimed_in}, {how}"


def printed_by(headline: HeadlineSummary, script: str | None) -> str:
    """What the shipped script has to do with the lines that carry the number."""
    if script is None:
        return "No script is shipped that could print these lines"
    if any(line.printable_by_script is False for line in headline.lines):
        return f"No print in {script} can produce these lines"
    if any(line.printable_by_script is None for line in headline.lines):
        return f"Whether {script} prints these lines could not be told"
    where = place(headline.print_site) if headline.print_site else script
    value = f", with the result of {headline.evaluation}" if headline.evaluation else ""
    return f"Printed at {where}{value}"


def place(location: Location) -> str:
    """``train_gpt.py:12, in main``; for decoded source also where it stands packed in the shipped file."""
    symbol = f", in {location.symbol}" if location.symbol else ""
    shipped = f"{location.outer_path}:{location.outer_line}" if location.outer_line else location.outer_path
    outer = f" (packed in {shipped})" if shipped else ""
    return f"{location}{symbol}{outer}"


def excerpts(finding: Finding) -> tuple[list[tuple[Location, str]], list[Location]]:
    """The places of a finding that say something of their own, each with what it is there, and those that say the same.

    Its own place comes first, then the steps, then what is related. A file without a line says nothing that the message
    does not. A related place with the finding's message for a label is one more of its kind (another seed's log).
    """
    own = [(finding.location, "")] if finding.location and finding.location.line else []
    steps = [(step.location, step.text) for step in finding.steps]
    related = [(location, label) for location, label in finding.related if label not in ("", finding.message)]
    return own + steps + related, [location for location, label in finding.related if label in ("", finding.message)]


def run_sentences(report: Report) -> list[str]:
    """What a run of the script showed; nothing where none was asked for."""
    return summary(report.run) if report.run is not None else []


def by_id(rules: Iterable[Rule]) -> dict[str, Rule]:
    """Rules by their id."""
    return {rule.id: rule for rule in rules}
