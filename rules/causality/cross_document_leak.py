"""PG505: a look-back of one token mixes the end of one document into the start of the next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.finding import Basis, Confidence, Evidence, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.lookback import LookBack, find_look_backs
from auditor.submission.submission import Submission, fact
from rules.causality.switched_off import switched_off_by
from rules.flow_facts import remedy_of


class CrossDocumentLeak(Rule):
    """A look-back of one token mixes the end of one document into the start of the next.

    Requirement: where documents are packed one after another, a mixing of each position with the one before (SmearGate)
    stops at the first token of a document, in every forward pass that has it. It is no leak of the token being
    predicted, and whether it is a fault is disputed: one lineage was sent back for it, a listed record has it.

    Detection: sums of a hidden state with itself shifted by one position, in any spelling, and whether a comparison of the
    tokens with a document's first token is a factor of the shifted part. Each place is judged alone, because a mask in one
    forward pass only is the usual half of a repair. Hashes of previous tokens as inputs (BigramHash) are no such mixing.

    Limits: fused kernels and convolutions are not read; that an evaluation runs every document on its own is not told.

    Remedy: multiply the shifted part by the test that the token is no document start, in all forward passes.
    """

    id = "PG505"
    name = "cross-document-leak"
    family = "causality"
    authority = (
        Authority(AuthorityLevel.ORGANISER, "an unmasked SmearGate was sent back in one lineage", date(2026, 4, 26)),
        Authority(AuthorityLevel.PRACTICE, "#1667 is listed with the unmasked gate", date(2026, 4, 29)),
        Authority(AuthorityLevel.DISPUTED, "attention sees earlier documents as well (#1988)", date(2026, 4, 30)),
    )
    status = everywhere(Status.NOTE)
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Look for look-backs without a mask."""
        if submission.script is None or submission.script.main.tree is None:
            yield Unestablished(message="there is no source that could be read")
            return
        found = _look_backs(submission)
        masked = [mix for mix in found if mix.is_masked]
        for mix in found:
            if not mix.is_masked:
                condition = switched_off_by(submission, mix.scope, mix.node)
                yield self.finding(
                    ruleset,
                    _sentence(mix, masked, condition),
                    basis=Basis.SOURCE,
                    confidence=Confidence.MEDIUM,
                    live=condition is None,
                    location=mix.location,
                    related=tuple((other.location, "masked here") for other in masked),
                    remedy=remedy_of(self),
                    anchor=f"{mix.location.symbol} {mix.location.snippet}",
                )
        yield Evidence(basis=Basis.SOURCE, message=_seen(found, masked), location=found[0].location if found else None)


@fact
def _look_backs(submission: Submission) -> tuple[LookBack, ...]:
    return find_look_backs(submission.scopes)


def _sentence(mix: LookBack, masked: list[LookBack], condition: str | None) -> str:
    text = f"{mix.scope.name} mixes each position of {mix.tensor} with the one before, across document starts"
    if masked:
        text += f", while {', '.join(sorted({other.scope.name for other in masked}))} stops there"
    return text if condition is None else f"{text}, but only under another setting (switches: `{condition}`)"


def _seen(found: tuple[LookBack, ...], masked: list[LookBack]) -> str:
    if not found:
        return "no hidden state is mixed with that of the position before"
    return f"{len(found)} look-backs of one token, {len(masked)} of them stopped at document starts"
