"""One report as an article: verdict, where the number comes from, what decides it, the evaluation, sizes, the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from auditor.finding import Evidence, Finding
from auditor.output.describe import authorities, describe, sentence
from auditor.output.html.charts import seeds_plot, size_bars
from auditor.output.html.frames import code, frames
from auditor.output.html.headline import headline_section
from auditor.output.html.markup import EMPTY, Markup, element, join
from auditor.output.html.picture import picture
from auditor.output.summary import (
    OUTCOME_WORDS,
    counts,
    deciding,
    decisive_findings,
    differences,
    name,
    not_established,
    notes,
    place,
    run_sentences,
    said,
    unreadable,
    verdict_reason,
)
from auditor.report import Outcome, Report, RuleResult, Verdict
from auditor.rule import Rule

_MARKS: Mapping[str, str] = {
    Verdict.VIOLATION: "✕",
    Verdict.REVIEW: "?",
    Verdict.CLEAN: "✓",
    Verdict.ERROR: "!",
}
_PLACE = re.compile(r"(.+?:\d+) (.+)")


def marked(verdict: str) -> Markup:
    """A verdict after a mark that tells it without its colour."""
    return join((element("span", _MARKS[verdict], aria_hidden="true"), f" {verdict}"))


def show(report: Report, rules: Mapping[str, Rule], prefix: str) -> Markup:
    """`report` (with plain texts) as an article; `prefix` keeps its ids apart from those of other reports."""
    return element("article", join(_Article(report, rules, prefix).parts()), class_="report")


class _Article:
    """One report in full."""

    def __init__(self, report: Report, rules: Mapping[str, Rule], prefix: str) -> None:
        self.report = report
        self.rules = rules
        self.prefix = prefix

    def parts(self) -> Iterator[Markup]:
        report = self.report
        yield self._verdict()
        if report.headline is not None:
            body = headline_section(report.headline, report.submission.script)
            yield self._section("number", "Submitted number", join((body, seeds_plot(report))))
        yield self._section("decides", "What decides it", join(map(self._result, deciding(report))))
        yield self._section("evaluation", "The evaluation", self._evaluation())
        yield self._section("size", "Size", size_bars(report))
        yield self._section("run", "Run", _items(run_sentences(report)))
        yield self._section("notes", "Notes", _items(f"{item.rule_id}: {said(item)}" for item in notes(report)))
        yield self._section("open", "Not established", _named(not_established(report)))
        yield self._section("unread", "Could not be read", _items(unreadable(report)))
        for ruleset, changes in differences(report).items():
            yield self._section(f"under-{ruleset}", f"Under ruleset {ruleset}", _items(changes))
        yield self._section("rules", "All rules", self._outcomes())

    def _section(self, key: str, title: str, body: Markup) -> Markup:
        if not body:
            return EMPTY
        own = f"{self.prefix}{key}"
        head = element("h2", title, id=own)
        return element("section", head, element("div", body, class_="body"), aria_labelledby=own)

    def _verdict(self) -> Markup:
        report = self.report
        verdict = element("span", marked(report.verdict), class_="verdict")
        title = element(
            "h1", verdict, " ", element("bdi", name(report)), class_=f"title is-{report.verdict}", tabindex="-1"
        )
        reason = element("p", f"{sentence(verdict_reason(report))}.", class_="lead")
        return element("header", title, reason, self._facts(), class_="head")

    def _facts(self) -> Markup:
        submission = self.report.submission
        size = "" if submission.code_bytes is None else f", {submission.code_bytes:,} bytes"
        packed = "packed, and could not be unwrapped" if submission.packed else ""
        if submission.unwrapped:
            packed = f"unwrapped from {' in '.join(submission.unwrapped)}"
        facts = {
            "Folder": code(submission.path),
            "Script": join((code(submission.script), size)) if submission.script else "",
            "Packing": packed,
            "Commit": code(submission.commit[:12]) if submission.commit else "",
            "Chosen": submission.chosen_because or "",
        }
        pairs = (element("div", element("dt", term), element("dd", value)) for term, value in facts.items() if value)
        return element("dl", join(pairs), class_="facts")

    # ---- what decides it ----

    def _result(self, result: RuleResult) -> Markup:
        title = element(
            "h3",
            element("span", result.rule_id, class_="id"),
            " ",
            result.rule,
            " ",
            element("span", OUTCOME_WORDS[result.outcome], class_=f"outcome o-{result.outcome}"),
        )
        found = decisive_findings(result)
        parts = [title, *map(_finding, found)]
        if result.crash is not None:
            parts.append(element("pre", result.crash, class_="crash"))
        parts += [
            element("p", element("strong", "To do: "), remedy, class_="todo")
            for remedy in dict.fromkeys(finding.remedy for finding in found)
            if remedy
        ]
        rule = self.rules.get(result.rule_id)
        return element("section", *parts, _on_whose_word(rule, found) if rule and found else EMPTY, class_="result")

    # ---- the evaluation ----

    def _evaluation(self) -> Markup:
        pictures = [
            picture(timeline, f"{self.prefix}t{number}") for number, timeline in enumerate(self.report.timelines, start=1)
        ]
        return join((*pictures, _story(self.report.story)))

    # ---- all rules ----

    def _outcomes(self) -> Markup:
        if not self.report.results:
            return EMPTY
        heads = element("tr", *(element("th", word, scope="col") for word in ("Rule", "Outcome", "What was established")))
        rows = join(map(_row, self.report.results))
        table = element("table", element("thead", heads), element("tbody", rows), class_="rules")
        return element("details", element("summary", counts(self.report)), table)


def _finding(finding: Finding) -> Markup:
    severity = element("span", f"{finding.severity}:", class_=f"severity s-{finding.severity}")
    return element("div", element("p", severity, " ", said(finding)), frames(finding), class_="finding")


def _on_whose_word(rule: Rule, found: Sequence[Finding]) -> Markup:
    """What stands behind a rule, and by which fingerprints its findings can be set aside."""
    asks = element("p", describe(rule).sections["Requirement"])
    marks = join((code(mark) for mark in dict.fromkeys(finding.fingerprint for finding in found)), ", ")
    named = element("p", "Fingerprint: ", marks, class_="place")
    title = element("summary", "What the rule asks, and on whose authority")
    return element("details", title, asks, _items(authorities(rule)), named)


def _row(result: RuleResult) -> Markup:
    outcome = element("td", OUTCOME_WORDS[result.outcome], class_=f"o-{result.outcome}")
    told = [item.reason for item in result.not_applicable] + [item.message for item in result.unestablished]
    evidence = [_evidence(item) for item in result.evidence]
    rule = element("th", element("span", result.rule_id, class_="id"), " ", result.rule, scope="row")
    return element("tr", rule, outcome, element("td", _items([*evidence, *dict.fromkeys(told)])), class_=_fold(result))


def _fold(result: RuleResult) -> str | None:
    return "quiet" if result.outcome in (Outcome.PASS, Outcome.NOT_APPLICABLE) else None


def _evidence(evidence: Evidence) -> Markup:
    where = join((" ", code(place(evidence.location)))) if evidence.location else EMPTY
    return join((evidence.message, where))


def _items(items: Iterable[str]) -> Markup:
    found = list(items)
    return element("ul", *(element("li", item) for item in found)) if found else EMPTY


def _named(pairs: Sequence[tuple[str, str]]) -> Markup:
    return _items(join((element("span", names, class_="names"), f": {why}")) for names, why in pairs)


def _story(lines: Sequence[str]) -> Markup:
    """The story as a list; the blanks at a line's start tell how many loops are around it."""
    if not lines:
        return EMPTY
    told = join(map(_told, lines))
    return element(
        "details", element("summary", "The same line by line, in program order"), element("ol", told, class_="story")
    )


def _told(line: str) -> Markup:
    words = line.lstrip()
    depth = min((len(line) - len(words)) // 2, 8)
    found = _PLACE.fullmatch(words) if depth else None
    text = join((code(found[1]), f" {found[2]}")) if found else words
    return element("li", text, class_=f"d{depth}" if depth else "part")
