"""How a run's answer to a rule's question meets what the rule says on other grounds.

A run *confirms* (the offence itself was observed), *speaks for* the submission, or is *silent*. Observation beats
inference: what was observed is a violation whatever the source analysis saw. A run that saw nothing does not refute a
finding, since it is small and single: both are shown and a person must look. It can settle what the source left open, if
everything that the question is about was looked at. A run that failed is silent everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from auditor.finding import Basis, Confidence, Evidence, Finding, Location, Place, Severity, Statement, Step
from auditor.rule import SEVERITY_OF_STATUS, Rule, Ruleset, Status
from auditor.run.facts import RunFacts, RunLine
from auditor.submission.submission import Submission
from rules.flow_facts import remedy_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """An offence that a run showed, in words; `lines` are the reported scores that it touches."""

    text: str
    lines: tuple[RunLine, ...] = ()
    location: Location | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a run says to a rule's question: what it `observed`; else `clean`, what it saw in order; else nothing.

    `whole`: everything that the question is about was looked at. `doubts`: what was seen in order speaks against a finding
    of the rule. `only_confirms`: what was observed is an offence only where the rule says so on other grounds too.
    """

    observed: tuple[Observed, ...] = ()
    clean: str | None = None
    whole: bool = False
    doubts: bool = True
    only_confirms: bool = False


Question = Callable[[Submission, RunFacts], Answer]
SILENT = Answer()


def confront(
    rule: Rule, submission: Submission, ruleset: Ruleset, statements: Iterable[Statement], question: Question
) -> Iterator[Statement]:
    """A rule's statements on other grounds, together with what the run says to the same question."""
    run = submission.run
    if run is None or run.failure is not None:
        yield from statements
        return
    found, answer = tuple(statements), question(submission, run)
    if answer.observed:
        yield from _confirmed(rule, ruleset, run, found, answer)
    elif answer.clean is not None:
        yield from (_doubted(each, answer.clean, run) if answer.doubts else each for each in found)
        if answer.doubts or not any(isinstance(each, Finding) and _decides(each) for each in found):
            yield Evidence(basis=Basis.RUN, message=f"a run ({_limits(run)}): {answer.clean}", complete=answer.whole)
    else:
        yield from found


def _confirmed(
    rule: Rule, ruleset: Ruleset, run: RunFacts, found: Sequence[Statement], answer: Answer
) -> Iterator[Statement]:
    """The findings that the run confirms; for what nobody had found, findings of its own."""
    decisive = [each for each in found if isinstance(each, Finding) and _decides(each)]
    matches = [(observed, _match(observed, decisive)) for observed in answer.observed]
    for statement in found:
        mine = [observed for observed, finding in matches if finding is statement]
        yield _with_steps(rule, ruleset, statement, mine, run) if isinstance(statement, Finding) and mine else statement
    for observed, finding in matches:
        if finding is None and not answer.only_confirms:
            yield _observed(rule, ruleset, run, observed)


def _observed(rule: Rule, ruleset: Ruleset, run: RunFacts, observed: Observed) -> Finding:
    """What only the run shows."""
    symbol = observed.location.symbol if observed.location else None
    return rule.finding(
        ruleset,
        f"a run showed that {observed.text}; {effect(run, observed.lines)}",
        basis=Basis.RUN,
        status=observed.status,
        location=observed.location or Location(path=run.script or ""),
        remedy=remedy_of(rule),
        anchor=f"run {symbol or ''}",
    )


def _decides(finding: Finding) -> bool:
    return finding.live and finding.severity is not Severity.NOTE


def _match(observed: Observed, findings: Sequence[Finding]) -> Finding | None:
    """The finding about the line that was observed, else the first."""
    place = observed.location.place if observed.location else None
    there = (finding for finding in findings if place is not None and place in _places(finding))
    return next(there, next(iter(findings), None))


def _places(finding: Finding) -> set[Place]:
    own = [finding.location] if finding.location else []
    return {location.place for location in (*own, *(step.location for step in finding.steps))}


def _with_steps(rule: Rule, ruleset: Ruleset, finding: Finding, observed: Sequence[Observed], run: RunFacts) -> Finding:
    somewhere = finding.location or Location(path=run.script or "")
    steps = tuple(Step(location=o.location or somewhere, text=f"confirmed by a run: {o.text}") for o in observed)
    own = SEVERITY_OF_STATUS.get(observed[0].status or rule.status[ruleset.name], Severity.NOTE)
    return replace(
        finding,
        message=f"{finding.message}; a run confirms it",
        severity=min((finding.severity, own), key=list(Severity).index),
        confidence=Confidence.HIGH,
        steps=(*steps, *finding.steps),
    )


def _doubted(statement: Statement, clean: str, run: RunFacts) -> Statement:
    """A finding that the run did not show: it stands, and a person must look."""
    if not isinstance(statement, Finding) or not _decides(statement):
        return statement
    where = statement.location or Location(path=run.script or "")
    return replace(
        statement,
        message=f"{statement.message}; a run did not show it, so a person must look",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        steps=(Step(location=where, text=f"not seen in a run ({_limits(run)}): {clean}"), *statement.steps),
    )


def _limits(run: RunFacts) -> str:
    """What a run does not go beyond, in words."""
    processes = f"{len(run.ranks)} processes" if run.ranks else "one process"
    return f"toy scale, {processes}, two training steps"


def effect(run: RunFacts, lines: Sequence[RunLine]) -> str:
    """Is the submitted number among the lines of the run that an offence touches?"""
    headline = run.headline
    if headline is None:
        return "the run printed no line with the submitted number's label"
    if any(line.is_headline for line in lines):
        return f"the submitted number (`{headline.label}`) is affected"
    return f"the submitted number (`{headline.label}`) is not affected"
