"""PG801: tokens are scored again with what their first pass left behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.events import Score, Update, UpdateKind
from auditor.finding import Basis, Location, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.flow_facts import Breach, is_scored_first, judge, reported_meetings, steps_of
from rules.run_facts import scored_again


class RescoredToken(Rule):
    """Tokens are scored again with what their first pass left behind.

    Requirement: every validation token contributes one term, computed with what was known before it. A second pass with a
    fuller cache, or with weights that a score-first pass has trained, revises the score with the tokens themselves.

    Detection: a reported score that reads a table, or parameters, changed under the influence of the same tokens by a
    pass that has ended, where that pass had scored them, or by a table that is filled before it is asked. Several
    evaluations of an unchanged state are in order, as are windows that run again over scored context.

    Limits: order within a table is compared by loop turns. A second process is not followed.

    Remedy: report the first score of every token.
    """

    id = "PG801"
    name = "rescored-token"
    family = "single pass"
    authority = (
        Authority(
            AuthorityLevel.ORGANISER,
            "two-pass rescoring leaks evaluation tokens; such requests were closed",
            date(2026, 3, 27),
        ),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})
    alternatives = frozenset({Basis.RUN})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for reported scores with a cache or state that an earlier pass over the same tokens had filled."""
        found = judge(self, submission, ruleset, _breaches, _passed)
        yield from confront(self, submission, ruleset, found, scored_again)


def _breaches(trace: Trace) -> Iterator[Breach]:
    for meeting, update, score in reported_meetings(trace):
        if update.kind is UpdateKind.DELTA or meeting.is_apart:
            continue
        if update.kind is UpdateKind.PARAMETERS and not is_scored_first(trace, update):
            continue  # trained before any score: another rule
        what = "a table that these tokens have filled" if update.kind is UpdateKind.TABLE else "weights trained on them"
        yield Breach(
            location=_second_pass(update, score),
            text=f"{score.location.symbol} scores validation tokens with {what} (line {update.location.line})",
            steps=steps_of(trace, meeting),
            scores=frozenset((score.number,)),
            switches=score.switches,
            only_headline=True,
        )


def _second_pass(update: Update, score: Score) -> Location:
    """Where the second pass begins: the score's own line if one function does both, else the call that leads to it."""
    common = next((i for i, (a, b) in enumerate(zip(update.calls, score.calls, strict=False)) if a.line != b.line), None)
    if common is None or update.location.symbol == score.location.symbol:
        return score.location
    return score.calls[common]


def _passed(trace: Trace) -> str:
    """What was established."""
    return f"each of {len(trace.scores())} reported scores reads only what other tokens have left"
