"""PG502: the realised token decides which predictor is used, or how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar

from auditor.events import Gate
from auditor.finding import Basis, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.flow_facts import Breach, judge, step

class TargetGatedPredictor(Rule):
    """The realised token decides which predictor is used, or how much.

    Requirement: emission of a hint, choice of an expert, weight, temperature and mask at a position must be computable before
    its token is known. Whether a table has seen the realised token counts as the token.

    Detection: a comparison of what a table says under a key with the target (``count > 0``), whose outcome selects or weighs
    what a reported score is computed from. Thresholds on context counts and gates on previous tokens are in order.

    Limits: gates inside C code are not followed; a gate through another encoding of the token is not seen.

    Remedy: decide by the context alone.
    """

    id = "PG502"
    name = "target-gated-predictor"
    family = "causality"
    authority = (
        Authority(AuthorityLevel.ORGANISER, "choosing a predictor by the true token is peeking (#659)", date(2026, 3, 25)),
    )
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.VIOLATION,
        RulesetName.README: Status.VIOLATION,
    }
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for scores that a test of the realised token shaped."""
        yield from judge(self, submission, ruleset, _breaches, _passed)


def _breaches(trace: Trace) -> Iterator[Breach]:
    for score in trace.scores():
        for number in sorted(score.gates):
            gate = trace.events[number]
            assert isinstance(gate, Gate)
            yield Breach(
                location=gate.location,
                text=f"`{gate.text}` depends on the realised token and decides what line {score.location.line} scores",
                steps=(step(gate, "a test of the realised token"), step(score, "the loss depends on its outcome")),
                scores=frozenset((score.number,)),
                switches=gate.switches,
            )


def _passed(trace: Trace) -> str:
    """What was established about a trace without a breach."""
    return f"no test of the realised token shapes one of {len(trace.scores())} reported scores"
