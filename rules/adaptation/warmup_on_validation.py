"""PG703: a warm-up on validation tokens leaves something behind in what is scored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.events import Event, Update, validation
from auditor.finding import Basis, Evidence, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.flow_facts import Breach, judge, reported_meetings, steps_of
from rules.run_facts import warmed_up


class WarmupOnValidation(Rule):
    """A warm-up on validation tokens leaves something behind in what is scored.

    Requirement: a step that is taken only so that kernels are compiled uses random tokens, or everything that it touched is
    thrown away before scoring: weights, adapters, and the moments of the optimiser. A warm-up whose state is kept has
    trained on validation tokens before they are scored, however few they are.

    Detection: a step on a fixed piece of the validation stream (its first tokens, named by constants) that were not scored
    before, and a reported score of these tokens that reads what the step changed, directly or through an optimiser that
    goes on with its moments. Fresh adapters, a copy of the model, and a state that is put back are in order.

    Limits: a state that is put back only in part counts as put back; a warm-up on tokens that a loop or chance picks is
    judged as any other training before scoring.

    Remedy: warm up on random tokens, or with modules and optimisers that are made for it and dropped.
    """

    id = "PG703"
    name = "warmup-on-validation"
    family = "test-time training"
    authority = (
        Authority(
            AuthorityLevel.README, "test-time training only on validation tokens already evaluated", date(2026, 3, 20)
        ),
        Authority(
            AuthorityLevel.PRACTICE,
            "a warm-up on validation tokens whose state is dropped is listed (#1530)",
            date(2026, 4, 11),
        ),
        Authority(AuthorityLevel.DISPUTED, "synthetic tokens are asked for all the same (#1530)", date(2026, 4, 11)),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})
    alternatives = frozenset({Basis.RUN})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for reported scores that read what a step on a fixed piece of the validation stream changed."""
        found = judge(self, submission, ruleset, _breaches, _passed)
        yield from confront(self, submission, ruleset, found, warmed_up)
        if submission.flow is not None:
            yield from _dropped(submission.flow.submitted)


def _breaches(trace: Trace) -> Iterator[Breach]:
    for meeting, update, score in reported_meetings(trace):
        if meeting.is_apart or not _is_warm_up(update):
            continue
        yield Breach(
            location=update.location,
            text=f"{update.location.symbol} steps {', '.join(update.states)} on the first validation tokens before they "
            f"are scored, and what the step left is kept: line {score.location.line} scores with it",
            steps=steps_of(trace, meeting),
            scores=frozenset((score.number,)),
            switches=update.switches,
        )


def _is_warm_up(event: Event) -> bool:
    """Is it a change by validation tokens at fixed positions only, none of them scored before?"""
    if not isinstance(event, Update) or event.scored_by:
        return False
    used = validation(event.tokens)
    return bool(used) and all(region.is_piece for region in used)


def _passed(trace: Trace) -> str:
    """What was established."""
    if any(_is_warm_up(event) for event in trace.events):
        return "nothing that a warm-up on validation tokens changed is read by a reported score"
    return f"no state is stepped on a fixed piece of the validation stream; {len(trace.scores())} reported scores"


def _dropped(trace: Trace) -> Iterator[Evidence]:
    """Warm-ups on validation tokens of which nothing reaches a reported score."""
    kept = {update.number for _, update, _ in reported_meetings(trace)}
    kept_places = {e.location.place for e in trace.events if e.number in kept}
    found = {e.location.place: e for e in trace.events if isinstance(e, Update) and _is_warm_up(e)}
    for place, update in found.items():
        if place not in kept_places:
            who = f"{update.location.symbol} warms {', '.join(update.states)}"
            message = f"{who} up on validation tokens and drops the state"
            yield Evidence(basis=Basis.SOURCE, message=message, location=update.location)
