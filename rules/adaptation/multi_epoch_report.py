"""PG702: several epochs score and train on the same tokens, and a later epoch's scores are reported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.events import Event, Role, Score, Update, UpdateKind, roles_of, validation
from auditor.finding import Basis, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.flow_facts import Breach, judge, reported_meetings, steps_of
from rules.run_facts import trained_in_epochs


class MultiEpochReport(Rule):
    """Several epochs score and train on the same tokens, and a later epoch's scores are reported.

    Requirement: the loss that is reported for a token is that of its first forward pass. Epochs over a chunk after its
    score is fixed are in order, whatever their number. A score from the second epoch on is that of a model which was
    trained on the token, even if every epoch scores before it trains.

    Detection: a loop around both the score and the update, whose later turn scores tokens that an earlier turn of the same
    loop has trained on, where that score is reported. It does not matter whether the sums are set back in every epoch,
    added up, or overwritten in a dictionary. A first epoch that is told from the others by its counter is followed.

    Limits: epochs by recursion, or in a second function that is called again, are not told from any other second pass.

    Remedy: report the first score of every token, and let the further epochs only train.
    """

    id = "PG702"
    name = "multi-epoch-report"
    family = "test-time training"
    authority = (
        Authority(
            AuthorityLevel.ORGANISER,
            "several epochs of which a later one is reported is training on evaluation data (#568)",
            date(2026, 3, 24),
        ),
        Authority(
            AuthorityLevel.PRACTICE, "three epochs on a chunk after its score is fixed are listed (#549)", date(2026, 3, 24)
        ),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for reported scores of a later turn of a loop that trains on what it scores."""
        found = judge(self, submission, ruleset, _breaches, _passed)
        yield from confront(self, submission, ruleset, found, trained_in_epochs)


def _breaches(trace: Trace) -> Iterator[Breach]:
    training = {loop for event in trace.events if _is_training(event) for loop in event.loops}
    for meeting, update, score in reported_meetings(trace):
        if meeting.is_apart or update.kind is UpdateKind.TABLE or not _in_a_later_turn(update, score, training):
            continue
        yield Breach(
            location=score.location,
            text=f"{score.location.symbol} scores validation tokens in every epoch of a loop that trains "
            f"{', '.join(update.states)} on them (line {update.location.line}), and a later epoch's scores are reported",
            steps=steps_of(trace, meeting),
            scores=frozenset((score.number,)),
            switches=score.switches or update.switches,
            only_headline=True,
        )


def _in_a_later_turn(update: Update, score: Score, training: set[int]) -> bool:
    """Does a loop that still runs at the score hold both, the update earlier, and neither select tokens nor train?"""
    turn_of_update = dict(zip(update.loops, update.turns, strict=True))
    others = training | {loop for region in validation(update.tokens | score.tokens) for loop, _ in region.turns}
    turns = zip(score.loops, score.turns, strict=True)
    return any(loop not in others and turn_of_update.get(loop, turn) < turn for loop, turn in turns)


def _is_training(event: Event) -> bool:
    """Is it a step of the training loop, in which a validation stands now and then?"""
    return isinstance(event, Update) and Role.TRAINING in roles_of(event.tokens)


def _passed(trace: Trace) -> str:
    """What was established."""
    updates = [event for event in trace.events if _is_scored_first(event)]
    if not updates:
        return f"no state is trained on validation tokens that were scored; {len(trace.scores())} reported scores"
    return f"none of {len(trace.scores())} reported scores comes after an epoch on its own tokens"


def _is_scored_first(event: Event) -> bool:
    return isinstance(event, Update) and event.kind is not UpdateKind.TABLE and bool(event.scored_by)
