"""PG902: a token's bytes are counted larger than the text that it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.finding import Basis, Evidence, Finding, Statement, Step, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.source.byte_probe import PIECES, Probe, TokenCount
from auditor.source.flow.analysis import Flow
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.flow_facts import remedy_of
from rules.limits import LAUNCH
from rules.run_facts import bytes_overcounted


class DoubleCountedSpace(Rule):
    """A token's bytes are counted larger than the text that it stands for.

    Requirement: a token counts the bytes that it decodes to. A leading space is one byte: either the table of bytes per
    token holds it or the sum adds it, never both. A byte piece is one byte, not the six characters of its name.

    Detection: the function that makes the table is evaluated, not run, on a few pieces of our own, and so is every function
    that sums entries of it: for a word with a leading space, one without, a letter of two bytes and a byte piece. A sum
    larger than the piece's text in a function on the way to a reported score is a finding, however it is written.

    Limits: tables that are loaded from files, and sums in C or in unusual array operations, are not established. Whether
    the tokenizer belongs to the data only the byte total in the log tells (PG901). Counts that are too small are not
    reported: they only make a score worse.

    Remedy: leave the space mark out of the table and add one byte at the sum where the previous token is no boundary; count
    one for a byte piece.
    """

    id = "PG902"
    name = "double-counted-space"
    family = "metric"
    authority = (
        Authority(AuthorityLevel.README, "metric is bits per byte of the validation text", LAUNCH),
        Authority(AuthorityLevel.COMMUNITY, "the space counted twice by copies of a helper (#1719)", date(2026, 4, 18)),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.SOURCE})
    alternatives = frozenset({Basis.RUN})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Hold every count that the script forms against the piece's own bytes."""
        yield from confront(self, submission, ruleset, self._by_source(submission, ruleset), bytes_overcounted)

    def _by_source(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        probe, flow = submission.byte_counts, submission.flow
        if probe is None or flow is None:
            yield Unestablished(message="there is no source that could be read")
            return
        scoring = _scoring_functions(submission, flow)
        over = [count for count in probe.counts if count.num_bytes > count.piece.num_bytes]
        live = [count for count in over if count.function in scoring]
        shown = live if any(count.function in scoring for count in probe.counts) else over
        for place in dict.fromkeys(count.table_line for count in shown):
            yield self._finding(ruleset, [count for count in shown if count.table_line == place], bool(live))
        if not live:
            yield from _established(probe, scoring)

    def _finding(self, ruleset: Ruleset, counts: list[TokenCount], live: bool) -> Finding:
        first = counts[0]
        kind = "byte piece" if first.piece.kind == "byte" else "piece"
        where = ", ".join(dict.fromkeys(count.function for count in counts))
        message = (
            f"the {kind} {_shown(first)} stands for {first.piece.num_bytes} bytes and counts {first.num_bytes} in {where}"
        )
        steps = [Step(location=first.table_line, text=f"the table's entry for {_shown(first)} is made")]
        steps += [Step(location=count.sum_line, text=f"{count.function} sums {count.num_bytes} bytes") for count in counts]
        return self.finding(
            ruleset,
            message if live else f"{message}, which no reported score uses",
            basis=Basis.SOURCE,
            live=live,
            status=None if live else Status.NOTE,
            location=first.table_line,
            steps=tuple(steps),
            remedy=remedy_of(self),
            anchor=f"{first.piece.kind} {first.table_line.symbol}",
        )


def _shown(count: TokenCount) -> str:
    return repr(count.piece.text.replace("\u2581", " "))


def _scoring_functions(submission: Submission, flow: Flow) -> set[str]:
    """The functions on the way to a reported metric, with what they call."""
    names = {place.symbol for score in flow.submitted.scores() for place in (score.location, *score.calls) if place.symbol}
    scopes = submission.scopes
    for scope in scopes.all:
        if scope.name in names:
            names |= {callee.name for call in scope.calls for callee in scopes.callees(call.func, scope)}
    return names


def _established(probe: Probe, scoring: set[str]) -> Iterator[Statement]:
    if not probe.builders:
        yield Unestablished(message="no function asks the tokenizer for its pieces, so the byte table is not established")
        return
    right = [count for count in probe.counts if count.function in scoring]
    if not right:
        message = "no sum of the byte table could be formed in a function that a reported score uses"
        yield Unestablished(message=message, location=probe.builders[0])
        return
    functions = ", ".join(dict.fromkeys(count.function for count in right))
    tried = len({count.piece for count in right})
    yield Evidence(
        basis=Basis.SOURCE,
        message=f"{tried} kinds of pieces out of {len(PIECES)} counted as their text in {functions}",
        location=right[0].table_line,
    )
    for place in probe.unread:
        yield Unestablished(message=f"what {place.symbol} makes of the tokenizer's pieces was not read", location=place)
