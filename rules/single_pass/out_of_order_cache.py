"""PG803: a cache is asked in another order than that of the stream which fills it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.events import Lookup, Score, Update, UpdateKind, validation
from auditor.finding import Basis, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.flow_facts import Breach, judge, reported_meetings, step, steps_of


class OutOfOrderCache(Rule):
    """A cache is asked in another order than that of the stream which fills it.

    Requirement: a cache that is kept over the stream holds, when a token is looked up, only what stands before that token.
    Chunks of one stream are therefore visited from its beginning to its end, and counted after they are scored. Independent
    documents may come in any order if the cache begins empty with each.

    Detection: a table that validation tokens fill in a loop whose list was reversed, sorted by a key, shuffled, or cut into
    strides that follow each other, and a lookup in the same loop that shapes a reported score; and a table that takes in
    the tokens of a chunk before the chunk is looked up. A table that is made anew in each turn of that loop is in order.

    Limits: an order that is computed position by position, or read from a file, is not told; neither is what ranks that
    share a table put into it meanwhile.

    Remedy: go through the stream in its order, score, then count.
    """

    id = "PG803"
    name = "out-of-order-cache"
    family = "single pass"
    authority = (
        Authority(
            AuthorityLevel.COMMUNITY, "scores come in one pass from left to right (#1017, condition 4)", date(2026, 3, 28)
        ),
        Authority(
            AuthorityLevel.PRACTICE, "documents that share nothing may come in any order (#77, #1530)", date(2026, 4, 11)
        ),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for reported scores shaped by a cache that a loop out of order, or too early an update, has filled."""
        yield from judge(self, submission, ruleset, _breaches, _passed, reads_native=False)


def _breaches(trace: Trace) -> Iterator[Breach]:
    for score in trace.scores():
        for number in sorted(score.lookups):
            lookup = trace.events[number]
            assert isinstance(lookup, Lookup)
            yield from _out_of_order(trace, score, lookup)
    for meeting, update, score in reported_meetings(trace):
        if update.kind is UpdateKind.TABLE and meeting.same_turn and not meeting.is_apart and not update.scored_by:
            yield Breach(
                location=update.location,
                text=f"{update.location.symbol} counts validation tokens into {', '.join(update.states)} before line "
                f"{score.location.line} scores them with it",
                steps=steps_of(trace, meeting),
                scores=frozenset((score.number,)),
                switches=update.switches,
                only_headline=True,
            )


def _out_of_order(trace: Trace, score: Score, lookup: Lookup) -> Iterator[Breach]:
    for loop in sorted(_loops_that_select(lookup) & set(trace.orders)):
        update = _filled_in(trace, loop, lookup)
        if update is not None:
            yield Breach(
                location=lookup.location,
                text=f"{lookup.location.symbol} asks {lookup.table}, which validation tokens fill in the order of "
                f"`{trace.orders[loop]}`: it may hold what comes after the tokens that line {score.location.line} scores",
                steps=(
                    step(update, f"{lookup.table} takes in the tokens of a turn"),
                    step(lookup, "the next turn's tokens, which may stand before them, look it up"),
                    step(score, "the loss depends on the answer"),
                ),
                scores=frozenset((score.number,)),
                switches=lookup.switches,
                only_headline=True,
            )


def _loops_that_select(event: Lookup | Update) -> set[int]:
    """The loops whose turns select the validation tokens that a lookup's key or an update is made of."""
    regions = validation(event.key if isinstance(event, Lookup) else event.tokens)
    return {loop for region in regions for loop, _ in region.turns}


def _filled_in(trace: Trace, loop: int, lookup: Lookup) -> Update | None:
    """An update of the table that was asked, within the loop, by tokens that its turns select.

    What is counted once the loop has ended was not there in any of its turns: so a backoff goes through its orders.
    """
    updates = [e for e in trace.events if isinstance(e, Update) and e.kind is UpdateKind.TABLE and loop in e.loops]
    return next((e for e in updates if lookup.table in e.states and loop in _loops_that_select(e)), None)


def _passed(trace: Trace) -> str:
    """What was established."""
    asked = len({e.location.line for e in trace.events if isinstance(e, Lookup)})
    return f"no table of validation tokens is asked out of the stream's order ({asked} places ask one)"
