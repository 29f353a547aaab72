"""PG502: the realised token decides which predictor is used, or how much."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from auditor.events import Gate
from auditor.finding import Basis, Confidence, Location, Statement
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.compiled import find_gates
from auditor.source.flow.analysis import Trace
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.flow_facts import Breach, judge, remedy_of, step
from rules.headline_runs import judged_runs
from rules.run_facts import corrected_by_token

_WORD_GATES = re.compile(r"\b(?:within|word)_gate=(\d+)")  # does the realised token continue a word, or begin one?


class TargetGatedPredictor(Rule):
    """The realised token decides which predictor is used, or how much.

    Requirement: emission of a hint, choice of an expert, weight, temperature and mask at a position must be computable
    before its token is known. Whether a table has seen the realised token counts as the token.

    Detection: a comparison of what a table says under a key with the target (``count > 0``), whose outcome selects or
    weighs what a reported score is computed from; a choice by a property of the target or by how probable it is; a loss
    that is multiplied by whether the target was guessed, and a weight that a byte table gives along all bytes of the
    target; a table over the stream whose entry looks at its own token. Thresholds on context counts, gates on previous
    tokens and guesses in a normalised tilt are in order. Where compiled code takes part, a condition in a shipped C file
    that looks at the token of the entry that it writes is for a person to judge, unless the log says how many positions
    stood behind it.

    Limits: of C code only such conditions are read, so a loss that compiled code shapes is never passed; a gate through
    another encoding of the token is not seen.

    Remedy: decide by the context alone.
    """

    id = "PG502"
    name = "target-gated-predictor"
    family = "causality"
    authority = (
        Authority(AuthorityLevel.ORGANISER, "choosing a predictor by the true token is peeking (#659)", date(2026, 3, 25)),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for scores that a test of the realised token shaped."""
        found = judge(self, submission, ruleset, _breaches, _passed, reads_native=False)
        yield from confront(self, submission, ruleset, found, corrected_by_token)
        scores = submission.flow.submitted.scores() if submission.flow else ()
        if any(score.native for score in scores):
            yield from self._in_compiled_code(submission, ruleset)

    def _in_compiled_code(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Conditions in shipped C code; what the log counts behind such gates tells whether they were in use."""
        counts = _logged_gates(submission)
        if counts and not any(counts.values()):
            return
        used = max(counts, key=lambda line: counts[line], default=None)
        told = f"; the log counts {counts[used]:,} positions behind it" if used else ", if its output reaches the loss"
        for gate in find_gates(submission.files):
            yield self.finding(
                ruleset,
                f"`{gate.snippet}` tests the realised token and decides what is written for it{told}",
                basis=Basis.SOURCE,
                status=None if used else Status.REVIEW,
                confidence=Confidence.MEDIUM,
                location=gate,
                related=((used, "positions behind the gate"),) if used else (),
                remedy=remedy_of(self),
                anchor=str(gate.snippet),
            )


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


def _logged_gates(submission: Submission) -> dict[Location, int]:
    """How many positions the logs behind the submitted number count behind gates on words, by log line."""
    paths = {seed.run.log for seed in judged_runs(submission)}
    return {
        Location(path=log.path, line=number, snippet=line[:160]): sum(map(int, found))
        for log in submission.logs
        if log.path in paths
        for number, line in enumerate(log.lines, start=1)
        if (found := _WORD_GATES.findall(line))
    }


def _passed(trace: Trace) -> str:
    """What was established."""
    return f"no test of the realised token shapes one of {len(trace.scores())} reported scores"
