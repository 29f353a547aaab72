"""PG602: the probabilities that a score takes logarithms of do not add up to one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial

from auditor.events import Score
from auditor.finding import Basis, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.source.masses import Logarithm, find_logarithms
from auditor.source.scopes import Scope
from auditor.submission.submission import Submission, fact
from rules.confront import confront
from rules.flow_facts import Breach, judge, step
from rules.run_facts import cheaper_than_possible

_MAX_CALLS = 2  # ours: how far helpers of a scoring function are read


class UnnormalizedDistribution(Rule):
    """The probabilities that a score takes logarithms of do not add up to one.

    Requirement: before the realised token is looked at, one full distribution over the alphabet exists that has no entry
    below zero and sums to one; the score is the negative logarithm of its entry. A bonus for a hinted or realised token is
    taken from the others by an exact partition. A quotient of counts is divided by the sum of its own row.

    Detection: in the functions that reported scores are computed in, the mass of what a logarithm is taken of is worked out
    over the vocabulary as an expression: softmaxes, rows and entries of tables, mixtures, smoothed counts, constants that
    are added, hinted tokens that are raised. A finding is a mass above one, whatever the numbers are; below one, a score
    only costs its author. A mixture that is computed at the target alone has the mass of the whole one.

    Limits: a table whose rows do not add up, weights that the realised token decides, and helpers that take no logarithm
    themselves are not told from normalised ones; where the mass of such a probability is not known, nothing is established.

    Remedy: divide by the sum over the vocabulary, then read the target's entry.
    """

    id = "PG602"
    name = "unnormalized-distribution"
    family = "distribution"
    authority = (
        Authority(
            AuthorityLevel.ORGANISER, "caches that do not renormalise correctly are disallowed (#779)", date(2026, 3, 27)
        ),
        Authority(
            AuthorityLevel.ORGANISER, "renormalising over the whole vocabulary would be legal (#1185)", date(2026, 3, 29)
        ),
        Authority(AuthorityLevel.COMMUNITY, "the score is an entry of one full distribution (#1017)", date(2026, 3, 28)),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for reported scores that are logarithms of something whose mass over the vocabulary is not one."""
        found = judge(self, submission, ruleset, partial(_breaches, submission), _passed, reads_native=False)
        yield from confront(self, submission, ruleset, found, cheaper_than_possible)
        if submission.flow is not None:
            yield from _open(submission, submission.flow.submitted)


def _breaches(submission: Submission, trace: Trace) -> Iterator[Breach]:
    for score, logarithm in _logarithms(submission, trace):
        if logarithm.mass is None or not logarithm.mass.is_above_one:
            continue
        yield Breach(
            location=logarithm.location,
            text=f"{logarithm.location.symbol} scores with `{logarithm.text}`, which adds up to more than one over the "
            "vocabulary",
            steps=(step(score, "the negative logarithm of the realised token's share is counted"),),
            scores=frozenset((score.number,)),
            switches=score.switches,
            only_headline=True,
        )


def _open(submission: Submission, trace: Trace) -> Iterator[Unestablished]:
    found = [told for _, told in _logarithms(submission, trace) if told.mass is None or not told.mass.is_one]
    for logarithm in {told.location: told for told in found}.values():
        if logarithm.mass is None or not logarithm.mass.is_above_one:
            yield Unestablished(
                message=f"whether `{logarithm.text}` adds up to one over the vocabulary is not told",
                location=logarithm.location,
            )


def _logarithms(submission: Submission, trace: Trace) -> Iterator[tuple[Score, Logarithm]]:
    """The logarithms that are taken where a reported score is counted, and in the helpers called there."""
    for score in trace.scores():
        for scope in _scoring(submission, score):
            yield from ((score, logarithm) for logarithm in _logarithms_in(submission, scope))


@fact
def _logarithms_in(_: Submission, scope: Scope) -> tuple[Logarithm, ...]:
    return find_logarithms(scope)


def _scoring(submission: Submission, score: Score) -> list[Scope]:
    place = score.location
    found = [
        scope
        for scope in submission.scopes.all
        if scope.node is not None
        and scope.name == place.symbol
        and scope.module.source_path == place.path
        and scope.node.lineno <= (place.line or 0) <= (scope.node.end_lineno or 0)
    ]
    scopes, reached = submission.scopes, list(found)
    for _ in range(_MAX_CALLS):
        called = [helper for scope in reached for call in scope.calls for helper in scopes.callees(call.func, scope)]
        reached = [helper for helper in dict.fromkeys(called) if helper not in found and not helper.is_method]
        found += reached
    return found


def _passed(trace: Trace) -> str:
    """What was established."""
    return f"nothing that {len(trace.scores())} reported scores take logarithms of has another mass than one"
