"""What several rules ask of a run, and how its answer meets what the source says.

A run *confirms* (the offence itself was observed), *speaks for* the submission, or is *silent*. Observation beats
inference: what was observed is a violation whatever the source analysis saw. A run that saw nothing does not refute a
finding, since it is small and single: both are shown and a person must look. It can settle what the source left open, if
everything that the question is about was looked at (`is_whole`). A run that failed is silent everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from auditor.finding import Basis, Confidence, Evidence, Finding, Location, Severity, Statement, Step
from auditor.rule import SEVERITY_OF_STATUS, Rule, Ruleset, Status
from auditor.run.facts import Offence, RunFacts, RunLine, Via
from auditor.submission.submission import Submission
from rules.flow_facts import remedy_of

_LIMITS = "toy scale, one process, two training steps"
_MAX_LABELS = 3


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

    `whole`: everything that the question is about was looked at.
    """

    observed: tuple[Observed, ...] = ()
    clean: str | None = None
    whole: bool = False


Question = Callable[[RunFacts], Answer]
SILENT = Answer()


def confront(
    rule: Rule, submission: Submission, ruleset: Ruleset, statements: Iterable[Statement], question: Question
) -> Iterator[Statement]:
    """A rule's statements on other grounds, together with what the run says to the same question."""
    run = submission.run
    answer = question(run) if run is not None and run.failure is None else SILENT
    found = tuple(statements)
    if run is None or (not answer.observed and answer.clean is None):
        yield from found
    elif answer.observed:
        yield from _confirmed(rule, ruleset, run, found, answer.observed)
    else:
        yield from (_doubted(statement, str(answer.clean), run) for statement in found)
        yield Evidence(basis=Basis.RUN, message=f"a run ({_LIMITS}): {answer.clean}", complete=answer.whole)


def _confirmed(rule: Rule, ruleset: Ruleset, run: RunFacts, found: Sequence[Statement],
               observed: Sequence[Observed]) -> Iterator[Statement]:  # fmt: skip
    """The findings that the run confirms; for what nobody had found, findings of its own."""
    open_findings = [each for each in found if isinstance(each, Finding) and _decides(each)]
    matches = {id(each): _match(each, open_findings) for each in observed}
    for statement in found:
        mine = [each for each in observed if matches[id(each)] is statement]
        yield _with_steps(rule, ruleset, statement, mine, run) if isinstance(statement, Finding) and mine else statement
    for each in observed:
        if matches[id(each)] is None:
            yield rule.finding(
                ruleset,
                f"a run showed that {each.text}; {_effect(run, each.lines)}",
                basis=Basis.RUN,
                status=each.status,
                location=each.location or Location(path=run.script or ""),
                remedy=remedy_of(rule),
                anchor=f"run {each.location.symbol if each.location else ''}",
            )


def _decides(finding: Finding) -> bool:
    return finding.live and finding.severity is not Severity.NOTE


def _match(observed: Observed, findings: Sequence[Finding]) -> Finding | None:
    """The finding about the line that was observed, else the first."""
    line = observed.location.line if observed.location else None
    at_line = (f for f in findings if line is not None and line in _lines(f))
    return next(at_line, next(iter(findings), None))


def _lines(finding: Finding) -> set[int | None]:
    return {step.location.line for step in finding.steps} | {finding.location.line if finding.location else None}


def _with_steps(rule: Rule, ruleset: Ruleset, finding: Finding, observed: Sequence[Observed], run: RunFacts) -> Finding:
    steps = tuple(Step(location=_place(each, finding, run), text=f"confirmed by a run: {each.text}") for each in observed)
    own = SEVERITY_OF_STATUS.get(observed[0].status or rule.status[ruleset.name], Severity.NOTE)
    worse = min((finding.severity, own), key=list(Severity).index)
    message = f"{finding.message}; a run confirms it"
    return replace(finding, message=message, severity=worse, confidence=Confidence.HIGH, steps=(*steps, *finding.steps))


def _place(observed: Observed, finding: Finding, run: RunFacts) -> Location:
    return observed.location or finding.location or Location(path=run.script or "")


def _doubted(statement: Statement, clean: str, run: RunFacts) -> Statement:
    """A finding that the run did not show: it stands, and a person must look."""
    if not isinstance(statement, Finding) or not _decides(statement):
        return statement
    where = statement.location or Location(path=run.script or "")
    return replace(
        statement,
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        message=f"{statement.message}; a run did not show it, so a person must look",
        steps=(Step(location=where, text=f"not seen in a run ({_LIMITS}): {clean}"), *statement.steps),
    )


def _effect(run: RunFacts, lines: Sequence[RunLine]) -> str:
    """Is the submitted number among the lines of the run that an offence touches?"""
    headline = run.headline
    if headline is None:
        return "the run printed no line with the submitted number's label"
    if any(line.is_headline for line in lines):
        return f"the submitted number (`{headline.label}`) is affected"
    return f"the submitted number (`{headline.label}`) is not"


def is_whole(run: RunFacts) -> bool:
    """Was all that stands behind the submitted number looked at?

    Its line was made of recorded losses of every position but an incomplete last window, nothing of unknown origin was
    trained on, and the probe found earlier losses identical at every cut.
    """
    headline = run.headline
    if headline is None or headline.coverage is None or run.num_trained_unlocated:
        return False
    probed = [each for each in run.comparisons if each.text == headline.text]
    identical = bool(probed) and all(each.problem is None and not each.num_changed for each in probed)
    return identical and is_covered(run, headline)


def is_covered(run: RunFacts, line: RunLine) -> bool:
    """Does a line count every position, an incomplete last window aside?"""
    coverage = line.coverage
    if coverage is None:
        return False
    is_tail = coverage.first_missing is None or coverage.first_missing + coverage.num_missing == run.num_positions
    return coverage.num_missing == 0 or (is_tail and coverage.num_missing < _WINDOW)


_WINDOW = 256  # tokens: the sequence length of a run


def results(run: RunFacts) -> list[RunLine]:
    """Reported scores, each set of losses once; where one was printed twice, the headline's line or the first."""
    found: dict[int, RunLine] = {}
    for index, line in enumerate(run.lines):
        key = index if line.repeats is None else line.repeats
        if key not in found or line.is_headline:
            found[key] = line
    return list(found.values())


def labels(lines: Sequence[RunLine]) -> str:
    """```a`, `b` and 2 more```."""
    names = list(dict.fromkeys(f"`{line.label}`" for line in lines))
    rest = f" and {len(names) - _MAX_LABELS} more" if len(names) > _MAX_LABELS else ""
    return ", ".join(names[:_MAX_LABELS]) + rest


def trained_before_score(run: RunFacts) -> Answer:
    """Were positions scored with parameters that their own gradients had changed?"""
    return _influenced(run, lambda offence: offence.via is not Via.FREE_TENSOR and not offence.again)


def fitted_before_score(run: RunFacts) -> Answer:
    """Were positions scored with a free tensor that their own gradients had changed?"""
    return _influenced(run, lambda offence: offence.via is Via.FREE_TENSOR)


def _influenced(run: RunFacts, concerns: Callable[[Offence], bool]) -> Answer:
    touched = [(line, each) for line in results(run) for each in line.offences if concerns(each)]
    if touched:
        return Answer(observed=(_observed(touched),))
    followed = [line for line in results(run) if line.is_reconciled]
    if not followed or any(line.offences for line in followed):
        return SILENT
    whole = is_whole(run)
    probed = ", and replacing later tokens left every earlier loss identical" if whole else ""
    clean = f"no position of {labels(followed)} was trained on before it was scored{probed}"
    return Answer(clean=clean, whole=whole) if len(followed) == len(results(run)) else SILENT


def _observed(touched: Sequence[tuple[RunLine, Offence]]) -> Observed:
    line, offence = max(touched, key=lambda pair: (pair[0].is_headline, pair[1].num_positions))
    coverage = line.coverage
    total = f" of {coverage.num_once + coverage.num_repeated:,}" if coverage else ""
    lines = tuple(dict.fromkeys(each for each, _ in touched))
    others = [each for each in lines if each.label != line.label]
    also = f" (also in {labels(others)})" if others else ""
    text = (
        f"{offence.num_positions:,}{total} positions of `{line.label}` were scored with {offence.via} that their own "
        f"gradients had changed by {offence.how}, from position {offence.first} on{also}"
    )
    return Observed(text=text, lines=lines, location=offence.place)
