"""PG604: which of several losses of a token counts is decided by these losses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.events import Choice, Score
from auditor.finding import Basis, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.flow_facts import Breach, judge, step


class HindsightSelection(Rule):
    """Which of several losses of a token counts is decided by these losses.

    Requirement: the predictor, temperature, window, adapter or epoch that scores a token, a chunk or a document is fixed
    before its loss is known. The lower of two losses is the loss of no distribution: whoever takes it has looked at the
    token first. Choosing on tokens that are already scored, for later ones, is in order, and so is choosing on training
    tokens.

    Detection: a comparison, minimum, sign or search key over losses of the same validation tokens is remembered with these
    tokens, and whatever it decides carries it on: a branch, a mask, a weight, what is put aside as the best. A finding is a
    reported score of the same tokens that it has shaped. Where the chosen loss is taken out again before an exponential, as
    log-sum-exp does, nothing is established.

    Limits: a choice by a sorted order or by the loss as a softmax weight is not seen, and neither is one among whole passes
    over the split, such as the best of several checkpoints.

    Remedy: mix the predictors with weights that earlier tokens decide, and count the first score of every token.
    """

    id = "PG604"
    name = "hindsight-selection"
    family = "distribution"
    authority = (
        Authority(
            AuthorityLevel.ORGANISER, "choosing a predictor by the true token is peeking at it (#659)", date(2026, 3, 25)
        ),
        Authority(
            AuthorityLevel.ORGANISER, "oracle and minimum-loss selection are listed as illegal (#677)", date(2026, 3, 25)
        ),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for reported scores that a comparison of the tokens' own losses has shaped."""
        yield from judge(self, submission, ruleset, _breaches, _passed, reads_native=False)
        if submission.flow is not None:
            yield from _cancelled(submission.flow.submitted)


def _breaches(trace: Trace) -> Iterator[Breach]:
    for score, choice in _choices(trace):
        if choice.cancels:
            continue
        yield Breach(
            location=score.location,
            text=f"{score.location.symbol} counts a loss that was chosen by losses of the same tokens: `{choice.text}` "
            f"(line {choice.location.line})",
            steps=(step(choice, "losses of these tokens decide"), step(score, "what they decided is counted")),
            scores=frozenset((score.number,)),
            switches=choice.switches,
            only_headline=True,
        )


def _cancelled(trace: Trace) -> Iterator[Unestablished]:
    found = [choice for _, choice in _choices(trace) if choice.cancels]
    for choice in {e.location.place: e for e in found}.values():
        yield Unestablished(
            message=f"whether `{choice.text}`, taken out before an exponential, cancels out of the loss is not told",
            location=choice.location,
        )


def _choices(trace: Trace) -> Iterator[tuple[Score, Choice]]:
    for score in trace.scores():
        for number in sorted(score.hindsight):
            choice = trace.events[number]
            assert isinstance(choice, Choice)
            yield score, choice


def _passed(trace: Trace) -> str:
    """What was established."""
    return f"none of {len(trace.scores())} reported scores was chosen by losses of its own tokens"
