"""PG601: a hashed table is asked under a key that holds the token being predicted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.events import Lookup, Score
from auditor.finding import Basis, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.flow_facts import Breach, judge, step
from rules.run_facts import corrected_by_lookup


class HashedTargetLookup(Rule):
    """A hashed table is asked under a key that holds the token being predicted.

    Requirement: before the realised token is looked at, a full distribution over the alphabet exists. A count under a
    hash of context and target, divided by a count under a hash of the context, is known only for the realised token and
    does not sum to one.

    Detection: tables that validation tokens fill are followed; a finding is a reported score shaped by a lookup whose key
    mixes the target's value in by bit operations or a remainder. Updates with the target after scoring are needed and in
    order, as are embeddings of hashed inputs and exact keys with smoothed counts. It is the same where every token of the
    alphabet is hashed with the context and the realised one's count is taken out without a sum over the others. Where a
    row of counts is found by a hash of the context alone and never summed, nothing is established.

    Limits: positions are told apart by constant offsets and by slices shifted by one; tables in C are not followed.

    Remedy: look the context up, normalise over the whole alphabet, and read the target's entry.
    """

    id = "PG601"
    name = "hashed-target-lookup"
    family = "distribution"
    authority = (
        Authority(
            AuthorityLevel.ORGANISER, "hashed n-gram caches do not renormalise and are disallowed (#779)", date(2026, 3, 27)
        ),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for scores that a lookup keyed by the realised token shaped."""
        if submission.flow is not None:
            yield from _picked(submission.flow.submitted)
        found = judge(self, submission, ruleset, _breaches, _passed, reads_native=False)
        yield from confront(self, submission, ruleset, found, corrected_by_lookup)


def _breaches(trace: Trace) -> Iterator[Breach]:
    for score in trace.scores():
        for number in sorted(score.lookups):
            lookup = trace.events[number]
            if not isinstance(lookup, Lookup) or not lookup.hashed:
                continue
            if lookup.by_target:
                yield _breach(lookup, score, "under a key that holds the realised token", "the key depends on the target")
            elif lookup.picked and lookup.over_alphabet:
                how = "for every token and takes the realised one's count, with no sum over the others"
                yield _breach(lookup, score, how, "every token is hashed with the context")


def _breach(lookup: Lookup, score: Score, how: str, key: str) -> Breach:
    return Breach(
        location=lookup.location,
        text=f"{lookup.location.symbol} asks a hashed table {how}, and line {score.location.line} scores with the answer",
        steps=(step(lookup, key), step(score, "the loss depends on the answer")),
        scores=frozenset((score.number,)),
        switches=lookup.switches,
    )


def _picked(trace: Trace) -> Iterator[Unestablished]:
    """Lookups for many tokens of which the realised one's count was taken without a sum over the others."""
    used = {number for score in trace.scores() for number in score.lookups}
    found = [e for e in trace.events if isinstance(e, Lookup) and e.picked and not e.over_alphabet and e.number in used]
    for lookup in {e.location.place: e for e in found}.values():
        yield Unestablished(
            message="the realised token's count is taken out of a hashed table's, and no sum over the alphabet was found "
            "that would normalise it",
            location=lookup.location,
        )


def _passed(trace: Trace) -> str:
    """What was established."""
    asked = len({e.location.line for e in trace.events if isinstance(e, Lookup)})
    return (
        f"no reported score depends on a hashed lookup keyed by its target ({asked} lookups in tables of validation tokens)"
    )
