"""PG603: a token's probability is mixed with a predictor of its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.events import Score
from auditor.finding import Basis, Confidence, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.compiled import find_spreads
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.flow_facts import Breach, effect_on_headline, judge, remedy_of, step
from rules.run_facts import mixed_cheaply


class ByteLevelMixture(Rule):
    """A token's probability is mixed with a predictor of its bytes.

    Requirement: the score is the negative logarithm of an entry of one distribution over the token alphabet. Spreading a
    token's probability over its bytes, or conditioning it on a first byte, and mixing with a byte predictor defines none.

    Detection: a realised token's probability that is divided by a count of its bytes, or that is added to what single bytes
    of the token decide, and a reported score computed from the sum. Where a score depends on compiled code, a loss that C
    code (shipped, or held in a string) divides over a count before it mixes.

    Limits: of C code only such divisions are read; a mixture inside a compressor is not followed.

    Remedy: mix distributions over tokens, or use a model whose alphabet is bytes.
    """

    id = "PG603"
    name = "byte-level-mixture"
    family = "distribution"
    authority = (
        Authority(
            AuthorityLevel.COMMUNITY, "byte mixtures of a token model are no distribution (#1872)", date(2026, 4, 27)
        ),
        Authority(
            AuthorityLevel.ORGANISER,
            "byte-mixture submissions are excluded from the leaderboard (#1902)",
            date(2026, 4, 28),
        ),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for scores whose loss mixes a token's probability with a predictor of bytes."""
        scores = [score for score in submission.flow.submitted.scores() if score.native] if submission.flow else []
        yield from self._in_compiled_code(submission, ruleset, scores)
        found = judge(self, submission, ruleset, _breaches, _passed, reads_native=False)
        yield from confront(self, submission, ruleset, found, mixed_cheaply)

    def _in_compiled_code(self, submission: Submission, ruleset: Ruleset, scores: list[Score]) -> Iterator[Statement]:
        """Code in C that divides the losses it is given over counts, where a reported score depends on compiled code."""
        if not scores or submission.script is None or submission.flow is None:
            return
        effect = effect_on_headline(submission, submission.flow.submitted, frozenset(score.number for score in scores))
        for spread in find_spreads(submission.files, submission.script.modules):
            yield self.finding(
                ruleset,
                f"compiled code divides a token's loss over a count and mixes it (`{spread.snippet}`); {effect}",
                basis=Basis.SOURCE,
                confidence=Confidence.MEDIUM,
                location=spread,
                steps=tuple(step(score, "the loss that is counted depends on compiled code") for score in scores[:1]),
                remedy=remedy_of(self),
                anchor=str(spread.snippet),
            )


def _breaches(trace: Trace) -> Iterator[Breach]:
    for score in trace.scores():
        if score.byte_mixture is None:
            continue
        yield Breach(
            location=score.byte_mixture,
            text=f"{score.byte_mixture.symbol} mixes a token's probability with a predictor of its bytes",
            steps=(step(score, "the mixture's logarithm is the loss that is counted"),),
            scores=frozenset((score.number,)),
            switches=score.switches,
        )


def _passed(trace: Trace) -> str:
    """What was established."""
    return f"none of {len(trace.scores())} reported scores mixes a token's probability with a predictor of bytes"
