"""PG501: the distribution at a position depends on its own token or on later ones."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import date
from functools import partial

from auditor.events import Blend
from auditor.finding import Basis, Confidence, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.source.lookahead import Mixing, find_mixing
from auditor.source.parse import walk
from auditor.source.scopes import CallSite, Scope
from auditor.submission.submission import Submission, fact
from rules.causality.networks import scored_with
from rules.causality.switched_off import switched_off_by
from rules.confront import confront
from rules.flow_facts import Breach, judge, remedy_of, step
from rules.run_facts import later_tokens_reach

_MASKED = re.compile(r"mask_?(?:token|id)s?|(?:token|id)_mask", re.IGNORECASE)

_MAX_CALLERS = 3  # ours: how far a keyword is followed from call to call


class FutureTokenDependence(Rule):
    """The distribution at a position depends on its own token or on later ones.

    Requirement: what is predicted at a position depends on the artifact and on the tokens before it, and on nothing else.
    Changing the token there, or any later one, leaves the distribution as it is. Sliding windows are in order, as are masks
    at document starts and look-backs of any width.

    Detection: in the networks that reported scores are computed with, attention without a causal mask, convolutions padded
    on both sides, shifts and copies towards the beginning, running sums from the end, and reductions over the window whose
    result enters its positions, each where the axis of the positions is known; and inputs into which tokens to be predicted
    are picked. A network that is given masked tokens, as text diffusion is, is for a person to judge: its bound is another.

    Limits: attention by hand, loops and blocks over positions, kernels and the content of masks are not read; where such a
    mask, or a layout that is not known, takes part, nothing is established. A run tells.

    Remedy: mask attention causally, pad on the left, and reduce over the positions so far.
    """

    id = "PG501"
    name = "future-token-dependence"
    family = "causality"
    authority = (
        Authority(AuthorityLevel.README, "no cheating on the test loss", date(2026, 3, 18)),
        Authority(
            AuthorityLevel.COMMUNITY,
            "a distribution depends on the artifact and earlier tokens only (#1017)",
            date(2026, 3, 28),
        ),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})
    alternatives = frozenset({Basis.RUN})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for networks and inputs through which a reported score sees its own or later tokens."""
        found = self._by_source(submission, ruleset)
        yield from confront(self, submission, ruleset, found, later_tokens_reach)

    def _by_source(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        found = _mixings(submission) if submission.flow else {}
        live = [mixing for mixing, condition in found.items() if condition is None]

        def search(trace: Trace) -> Iterator[Breach]:
            yield from _seen_by_networks(submission, trace, live)
            yield from _blended(trace)

        yield from judge(self, submission, ruleset, search, partial(_passed, live), reads_native=False)
        for mixing, condition in found.items():
            if mixing.sees_later and condition is not None:
                message = f"{mixing.scope.name}: {mixing.what}, but only under another setting (switches: `{condition}`)"
                yield self.finding(
                    ruleset,
                    message,
                    basis=Basis.SOURCE,
                    confidence=Confidence.MEDIUM,
                    live=False,
                    location=mixing.location,
                    remedy=remedy_of(self),
                    anchor=f"{mixing.location.symbol} {mixing.location.snippet}",
                )
        if submission.flow is not None:
            yield from _open(submission, submission.flow.submitted, live)


@fact
def _mixings(submission: Submission) -> dict[Mixing, str | None]:
    """Every place that mixes positions, and the condition that keeps it off, if one does."""
    found = find_mixing(submission.scopes, partial(_truth, submission))
    return {mixing: switched_off_by(submission, mixing.scope, mixing.node) for mixing in found}


def _truth(submission: Submission, node: ast.expr, scope: Scope, depth: int = 0) -> bool | None:
    """What a keyword comes to; of a parameter, what all callers give it."""
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if isinstance(node, ast.Name) and node.id in scope.parameters and depth < _MAX_CALLERS:
        given = [_given(site, node.id, scope) for site in submission.scopes.callers(scope)]
        told = {None if value is None else _truth(submission, value, where, depth + 1) for value, where in given}
        return told.pop() if len(told) == 1 else None
    if any(isinstance(inner, ast.Name) and inner.id in scope.parameters for inner in walk(node)):
        return None
    known = submission.configuration.evaluate(node, scope)
    return None if known is None else bool(known.value)


def _given(site: CallSite, name: str, scope: Scope) -> tuple[ast.expr | None, Scope]:
    """What a call gives for a parameter, and where that is to be read."""
    place = scope.parameters.index(name)
    named = next((keyword.value for keyword in site.call.keywords if keyword.arg == name), None)
    if named is not None:
        return named, site.scope
    return (site.call.args[place], site.scope) if place < len(site.call.args) else (scope.defaults.get(name), scope)


def _seen_by_networks(submission: Submission, trace: Trace, found: list[Mixing]) -> Iterator[Breach]:
    for mixing in found:
        scores = scored_with(submission, trace, mixing.scope) if mixing.sees_later else frozenset()
        if not scores:
            continue
        module = mixing.scope.module
        masked = _MASKED.search(module.source) is not None
        text = f"{mixing.scope.name}: {mixing.what}"
        yield Breach(
            location=mixing.location,
            text=f"{text}; the network is given masked tokens, whose bound is another" if masked else text,
            steps=tuple(step(event, "is computed with this network") for event in trace.scores()[:1]),
            scores=scores,
            status=Status.REVIEW if masked else None,
            only_headline=True,
        )


def _blended(trace: Trace) -> Iterator[Breach]:
    for score in trace.scores():
        for number in sorted(score.blends):
            blend = trace.events[number]
            assert isinstance(blend, Blend)
            yield Breach(
                location=blend.location,
                text=f"`{blend.text}` puts tokens that are predicted into the input that line {score.location.line} scores",
                steps=(step(blend, "targets among the inputs"), step(score, "the loss depends on them")),
                scores=frozenset((score.number,)),
                switches=blend.switches,
                only_headline=True,
            )


def _open(submission: Submission, trace: Trace, found: list[Mixing]) -> Iterator[Unestablished]:
    for mixing in found:
        if mixing.sees_later is None and scored_with(submission, trace, mixing.scope):
            yield Unestablished(message=f"{mixing.scope.name}: {mixing.what}", location=mixing.location)


def _passed(found: list[Mixing], trace: Trace) -> str:
    """What was established."""
    causal = len([mixing for mixing in found if mixing.sees_later is False])
    return f"{causal} calls of attention are causal, and nothing that was read moves later positions to earlier ones"
