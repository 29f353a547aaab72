"""What several rules ask of the events of a script: which number they touch, which setting reaches them, what was
looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from auditor.events import Event, Read, Report, Role, Score, Update, Write
from auditor.finding import Basis, Confidence, Evidence, Finding, Location, Place, Severity, Statement, Step, Unestablished
from auditor.rule import Rule, Ruleset, Status
from auditor.source.flow.analysis import Flow, Trace
from auditor.source.flow.record import Meeting
from auditor.source.reach import label_of, prints, submitted_scores
from auditor.submission.script import Script
from auditor.submission.submission import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One way in which a trace breaks a rule: where it is said, in which words, and the steps that lead there."""

    location: Location
    text: str
    steps: tuple[Step, ...]
    scores: frozenset[int]
    switches: tuple[str, ...] = ()
    status: Status | None = None
    only_headline: bool = False
    certain: bool = True


_COMPILED_SOURCES = (".c", ".cc", ".cpp", ".cxx", ".cu", ".rs", ".so")
_MAX_NAMED = 3  # ours: enough to know where to look

Search = Callable[[Trace], Iterable[Breach]]


def judge(
    rule: Rule,
    submission: Submission,
    ruleset: Ruleset,
    search: Search,
    passed: Callable[[Trace], str | None],
    reads_native: bool = True,
) -> Iterator[Statement]:
    """State every breach of the submitted run, then those that only another setting reaches, then what was established."""
    flow = submission.flow
    if flow is None:
        yield Unestablished(message="there is no source that could be read")
        return
    live = _by_place(search(flow.submitted))
    findings = [_finding(rule, submission, ruleset, flow.submitted, breach, live=True) for breach in live.values()]
    yield from findings
    if flow.possible is not flow.submitted:
        for place, breach in _by_place(search(flow.possible)).items():
            if place not in live:
                yield _finding(rule, submission, ruleset, flow.possible, breach, live=False)
    if all(finding.severity is Severity.NOTE for finding in findings):
        native = [score for score in flow.submitted.scores() if score.native]
        if native and not reads_native:
            by = f"compiled code{_shipped(submission)}"
            yield Unestablished(
                message=f"the loss at line {native[0].location.line} depends on {by}, which is not read",
                location=native[0].location,
            )
        yield from established(submission, flow, passed(flow.submitted))


def established(submission: Submission, flow: Flow, message: str | None) -> Iterator[Statement]:
    """The evidence for a pass, if the trace is whole and tells where the scores come from."""
    trace = flow.submitted
    scores = trace.scores()
    script = submission.script
    unprinted = [line.metric for line in submission.headline.lines if line.printable is False]
    if trace.error:
        yield Unestablished(message=f"the source could not be followed to its end: {trace.error.splitlines()[-1]}")
    elif not scores:
        yield from _no_score(submission, trace)
    elif message is None:
        yield _no_weights(trace, scores)
    elif script is not None and unprinted and not submission.evaluator:
        line = unprinted[0]
        yield Unestablished(
            message=f"the submitted number is on a line ({line.log}:{line.line}) that {script.path} does not print"
        )
    elif script is not None and script.missing:
        yield _missing(script)
    else:
        if submission.headline.lines and not submitted_scores(trace, submission.headline):
            yield _printed_from_elsewhere(submission, trace) or Unestablished(
                message="no score that was followed reaches the print of the submitted number"
            )
        yield from _problems(trace)
        yield Evidence(basis=Basis.SOURCE, message=message, location=scores[-1].location)


def _problems(trace: Trace) -> Iterator[Unestablished]:
    """What could not be followed."""
    for problem in trace.problems:
        yield Unestablished(message=f"`{problem.construct}` {problem.reason}", location=problem.location)


def _no_score(submission: Submission, trace: Trace) -> Iterator[Unestablished]:
    """Why no printed score of validation tokens was found: the first thing that a person would have to look at."""
    script = submission.script
    if script is not None and not script.main.source.strip():
        yield Unestablished(message=f"{script.main.path} is empty")
    elif trace.problems:
        yield from _problems(trace)
    elif script is not None and script.missing:
        yield _missing(script)
    elif trace.elsewhere:
        yield _printed_from_elsewhere(submission, trace) or _elsewhere(trace.elsewhere[-1])
    elif not any(isinstance(event, Read) and event.role is Role.VALIDATION for event in trace.events):
        yield Unestablished(message="no file of validation tokens that is read was found in the source")
    else:
        yield Unestablished(message="no score of validation tokens that is printed was found in the source")


def _missing(script: Script) -> Unestablished:
    return Unestablished(message=f"the script uses {', '.join(script.missing)}, which is not shipped")


def _printed_from_elsewhere(submission: Submission, trace: Trace) -> Unestablished | None:
    """What code that is not shipped has to do with the number that is printed where the submitted one is."""
    sites = {line.print_site.place for line in submission.headline.lines if line.print_site}
    found = [told for told in trace.elsewhere if told[0].place in sites]
    return _elsewhere(found[-1]) if found else None


def _elsewhere(told: tuple[Location, str]) -> Unestablished:
    return Unestablished(message=told[1], location=told[0])


def _no_weights(trace: Trace, scores: Sequence[Score]) -> Unestablished:
    """Why it is not told which weights are scored."""
    if writes := artifact_writes(trace):
        return Unestablished(
            message=f"weights are written only after the last printed score, at line {writes[0].location.line}",
            location=writes[0].location,
        )
    if trace.loaded:
        return Unestablished(
            message="the scored weights are loaded here, and no place where they are written was found",
            location=trace.loaded[-1],
        )
    return Unestablished(message="no place where the weights are written was found in the source")


def _shipped(submission: Submission) -> str:
    """The files of the submission that are sources of compiled code, in brackets."""
    names = [path for path in submission.files.paths() if path.endswith(_COMPILED_SOURCES)]
    return f" ({', '.join(names[:_MAX_NAMED])})" if names else ""


def _by_place(breaches: Iterable[Breach]) -> dict[Place, Breach]:
    """One breach for each place, over all the scores that it touches."""
    found: dict[Place, Breach] = {}
    for breach in breaches:
        key = breach.location.place
        known = found.get(key)
        if known is None:
            found[key] = breach
        else:
            found[key] = replace(known, scores=known.scores | breach.scores)
    return found


def _finding(rule: Rule, submission: Submission, ruleset: Ruleset, trace: Trace, breach: Breach, live: bool) -> Finding:
    if live:
        message = f"{breach.text}; {effect_on_headline(submission, trace, breach.scores)}"
        if breach.only_headline and reaches_headline(submission, trace, breach.scores) is False:
            return _footnote(rule, ruleset, message, breach)
    else:
        by = f" (switches: {', '.join(breach.switches)})" if breach.switches else ""
        message = f"{breach.text}, but only under another setting{by}"
    return rule.finding(
        ruleset,
        message,
        basis=Basis.SOURCE,
        status=breach.status,
        confidence=Confidence.HIGH if breach.certain else Confidence.MEDIUM,
        live=live,
        location=breach.location,
        steps=breach.steps,
        remedy=remedy_of(rule),
        anchor=f"{breach.location.symbol} {breach.location.snippet}",
    )


def _footnote(rule: Rule, ruleset: Ruleset, message: str, breach: Breach) -> Finding:
    """A breach that matters only where it reaches the submitted number, and does not."""
    return rule.finding(
        ruleset,
        message,
        basis=Basis.SOURCE,
        status=Status.NOTE,
        location=breach.location,
        steps=breach.steps,
        anchor=f"{breach.location.symbol} {breach.location.snippet}",
    )


def remedy_of(rule: Rule) -> str:
    """The remedy as the rule's documentation gives it."""
    text = (type(rule).__doc__ or "").partition("Remedy:")[2]
    return " ".join(text.split())


def reaches_headline(submission: Submission, trace: Trace, scores: frozenset[int]) -> bool | None:
    """Is the submitted number among the prints that these scores reach? None if its print is not known."""
    lines = submission.headline.lines
    if not lines:
        return None
    label, site = lines[0].metric.name, lines[0].print_site
    if any(prints(event, label, site) for event in _reached(trace, scores)):
        return True
    return None if lines[0].printable is False else False


def effect_on_headline(submission: Submission, trace: Trace, scores: frozenset[int]) -> str:
    """The same in words, with the prints."""
    labels = list(dict.fromkeys(word for event in _reached(trace, scores) if (word := label_of(event))))
    told = ", ".join(f"`{label}`" for label in labels[:3])
    lines = submission.headline.lines
    if not lines:
        return f"it reaches {told}" if told else "which printed number it reaches could not be told"
    submitted = f"the submitted number (`{lines[0].metric.name}`)"
    match reaches_headline(submission, trace, scores):
        case True:
            return f"{submitted} is affected"
        case None:
            return f"it reaches {told or 'no print'}; {submitted} is on a line that the script cannot print"
        case _:
            return f"{submitted} is not among the prints that it reaches ({told or 'none'})"


def _reached(trace: Trace, scores: frozenset[int]) -> list[Report]:
    """The metrics that are printed from some of these scores."""
    return [e for e in trace.events if isinstance(e, Report) and e.is_metric and e.scores & scores]


def way_to(event: Event, other: Event) -> Location:
    """Where the way to `event` parts from that to `other`: the call in the function that both run in, or the event's place.

    The line that a reader of the main program looks for: what happens there leads to the one and not to the other.
    """
    shared = 0
    while shared < min(len(event.calls), len(other.calls)) and event.calls[shared] == other.calls[shared]:
        shared += 1
    return event.calls[shared] if shared < len(event.calls) else event.location


def artifact_writes(trace: Trace) -> list[Write]:
    """Where weights are written into a file; into a buffer, if no file is written."""
    writes = [event for event in trace.events if isinstance(event, Write) and event.weights]
    return [write for write in writes if not write.in_memory] or writes


def step(event: Event, text: str) -> Step:
    """One step of a path."""
    return Step(location=event.location, text=text)


def steps_of(trace: Trace, meeting: Meeting) -> tuple[Step, ...]:
    """Update, score, report: the path of one meeting."""
    update, score = trace.events[meeting.update], trace.events[meeting.score]
    assert isinstance(update, Update)
    report = next((e for e in trace.events if isinstance(e, Report) and e.is_metric and meeting.score in e.scores), None)
    steps = [
        *(Step(location=call, text=f"{call.symbol} calls on") for call in update.calls[1:]),
        step(update, f"{', '.join(update.states)} changes ({update.how}) under the influence of validation tokens"),
        step(score, f"{score.location.symbol} scores the same tokens with it"),
    ]
    return (*steps, step(report, f"the result is printed: {report.label[:80]}")) if report else tuple(steps)


def reported_meetings(trace: Trace) -> Iterator[tuple[Meeting, Update, Score]]:
    """Meetings of an update with a score that is reported."""
    for meeting in trace.meetings:
        update, score = trace.events[meeting.update], trace.events[meeting.score]
        assert isinstance(update, Update)
        assert isinstance(score, Score)
        if score.reported:
            yield meeting, update, score


def is_scored_first(trace: Trace, update: Update) -> bool:
    """Are the tokens of an update counted, in its own turn, where a reported score is counted?"""
    places = {score.location.place for score in trace.scores()}
    return any(trace.events[number].location.place in places for number in update.scored_by)
