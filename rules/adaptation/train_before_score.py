"""PG701: validation tokens change parameters before they are scored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.events import Event, Update, UpdateKind, validation
from auditor.finding import Basis, Evidence, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.flow_facts import Breach, effect_on_headline, is_scored_first, judge, reported_meetings, steps_of
from rules.run_facts import trained_before_score


class TrainBeforeScore(Rule):
    """Validation tokens change parameters before they are scored.

    Requirement: a validation token may influence parameters only after its own loss has been added to the reported sum, and
    that loss is the one reported. One pass of training over the validation split before it is scored breaks this, whatever
    happens to the weights in between.

    Detection: the script is followed symbolically in the submitted configuration. Every change of parameters remembers
    the tokens that influenced it and stays with the state, through copies, quantisation and files, until a saved state
    is restored. A finding is a reported score whose state was changed by the same tokens. Chunks that are scored first
    and then trained on, phases on scored documents, and a loss that is counted and then back-propagated are in order.

    Limits: which tokens a loop's turn selects is compared by the loop's turns, not by arithmetic: an offset by one, or
    windows of one chunk that reach into the next, are not seen. The inside of a network's forward pass is not followed
    unless it trains.

    Remedy: score each chunk first, add its loss to the reported sum, and only then train on it.
    """

    id = "PG701"
    name = "train-before-score"
    family = "test-time training"
    authority = (
        Authority(
            AuthorityLevel.README, "test-time training only on validation tokens already evaluated", date(2026, 3, 20)
        ),
        Authority(AuthorityLevel.ORGANISER, "score a token, then adapt on it and those before (#402)", date(2026, 3, 22)),
        Authority(
            AuthorityLevel.ORGANISER, "training on validation before scoring it excludes a row (#1972)", date(2026, 5, 2)
        ),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})
    alternatives = frozenset({Basis.RUN})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for scores computed with parameters that their own tokens had changed."""
        found = judge(self, submission, ruleset, _breaches, _passed)
        yield from confront(self, submission, ruleset, found, trained_before_score)
        if submission.flow is not None:
            yield from _score_first(submission, submission.flow.submitted)


def _breaches(trace: Trace) -> Iterator[Breach]:
    for meeting, update, score in reported_meetings(trace):
        if update.kind is not UpdateKind.PARAMETERS or meeting.is_apart:
            continue
        once = " once more" if is_scored_first(trace, update) else ""
        yield Breach(
            location=update.location,
            text=f"{update.location.symbol} trains {', '.join(update.states)} on validation tokens before "
            f"{score.location.symbol} (line {score.location.line}) scores the same tokens{once}",
            steps=steps_of(trace, meeting),
            scores=frozenset((score.number,)),
            switches=update.switches,
            only_headline=is_scored_first(trace, update),
        )


def _passed(trace: Trace) -> str:
    """What was established."""
    if any(_trains_parameters(event) for event in trace.events):
        return "no reported score reads parameters that its own tokens had changed"
    return f"no parameter update depends on validation tokens; {len(trace.scores())} reported scores were followed"


def _score_first(submission: Submission, trace: Trace) -> Iterator[Evidence]:
    """Updates with validation tokens that were scored before, in their own turn or as a window's context."""
    apart = {meeting.update for meeting, _, _ in reported_meetings(trace) if meeting.is_apart}
    trained = [e for e in trace.events if isinstance(e, Update) and _trains_parameters(e)]
    counted = {(e.location, trace.events[number].location) for e in trained for number in e.scored_by}
    met = {(update.location, score.location) for _, update, score in reported_meetings(trace)}
    again = {location for location, _ in met & counted}
    updates = [e for e in trained if e.location not in again]  # no later epoch counts the tokens there
    found = [e for e in updates if e.number in apart or is_scored_first(trace, e)]
    for place in dict.fromkeys(e.location.place for e in found):
        same = [e for e in found if e.location.place == place]
        numbers = {e.number for e in same}
        scores = frozenset(s.number for s in trace.scores() if s.influences & numbers)
        scored = {trace.events[number].location.line for e in same for number in e.scored_by}
        lines = ", ".join(map(str, sorted(line for line in scored if line)))
        message = (
            f"score-first: {same[0].location.symbol} trains on validation tokens only after they were counted"
            f"{f' (line {lines})' if lines else ''}; {effect_on_headline(submission, trace, scores)}"
        )
        yield Evidence(basis=Basis.SOURCE, message=message, location=same[0].location)


def _trains_parameters(event: Event) -> bool:
    return isinstance(event, Update) and event.kind is UpdateKind.PARAMETERS and bool(validation(event.tokens))
