"""PG901: the score was divided by a number of bytes that the validation split does not have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from auditor.finding import Basis, Confidence, Evidence, Location, Measurement, NotApplicable, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.limits import LAUNCH
from rules.metric.identity import ScoredLine, scored_lines
from rules.metric.judgement import Judgement, Verdict, judge
from rules.metric.split import Split, split_of
from rules.run_facts import bytes_counted


class ByteCountMismatch(Rule):
    """The score was divided by a number of bytes that the validation split does not have.

    Requirement: val_bpb is the sum of the losses over the UTF-8 bytes of the full validation split, whatever the
    tokenizer. The split has 151.08 MB, so val_tokens * val_loss / (ln 2 * val_bpb) must come to that.

    Detection: takes val_loss and val_bpb from the log line that carries the submitted number, val_tokens from the
    same run, and compares the byte total with the canonical one, absolutely; a ratio alone looks right on a subset.
    Rounding of the printed digits is carried as an interval, and only an interval that excludes the canonical range
    is a violation; one near the canonical total, but further off than runs on the full split are, needs a person.
    Known ways of getting there are named from their bytes per token. Byte totals that a line prints itself, or
    that another line of the run tells with its tokens beside the same score, are held against the same range.

    Limits: without a token count only known wrong ratios of bytes per token can be found. A line that shows the
    network's loss beside a mixture's bpb satisfies no identity: there the rule checks the run's other lines and says
    that the headline itself is not established. Two errors that cancel, and a log that was edited consistently, stay
    hidden.

    Remedy: count the bytes of the original text: the piece without its space mark, one byte for a byte piece, one
    more for a space only where the previous token does not end a boundary, sidecar bytes for transformed text; score
    the whole split.
    """

    id = "PG901"
    name = "byte-count-mismatch"
    family = "metric"
    authority = (
        Authority(AuthorityLevel.README, "metric is bits per byte on the full fineweb_val split", LAUNCH),
        Authority(AuthorityLevel.PRACTICE, "mistaken merge with a byte-fallback error reverted (#1806)", date(2026, 4, 26)),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.LOG})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Judge every line of the headline; one statement per verdict, with the other lines as related places."""
        yield from confront(self, submission, ruleset, self._by_logs(submission, ruleset), bytes_counted)

    def _by_logs(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        if submission.headline.kind == "none":
            yield NotApplicable(reason="no val_bpb is claimed")
            return
        lines, split = scored_lines(submission), split_of(ruleset)
        if not lines:
            yield Unestablished(message="no log line with a val_loss and a val_bpb, so the byte count cannot be computed")
        judged: dict[Verdict, list[Judgement]] = {}
        for line in lines:
            judgement = judge(line, split)
            judged.setdefault(judgement.verdict, []).append(judgement)
        for verdict, judgements in judged.items():
            yield from self._state(verdict, judgements, ruleset)

    def _state(self, verdict: Verdict, judgements: list[Judgement], ruleset: Ruleset) -> Iterable[Statement]:
        first = judgements[0]
        location = _location(first.line)
        measurement = _measurement(first, split_of(ruleset))
        match verdict:
            case Verdict.CANONICAL:
                yield Evidence(basis=Basis.LOG, message=first.sentence, location=location, measurement=measurement)
            case Verdict.PRE_LAUNCH:
                yield Evidence(basis=Basis.LOG, message=first.sentence, location=location, measurement=measurement)
                yield self.finding(ruleset, first.sentence, basis=Basis.LOG, status=Status.NOTE, location=location)
            case Verdict.NO_LOSS | Verdict.NO_TOTAL | Verdict.OTHER_PREDICTOR:
                yield Unestablished(message=first.sentence, location=location)
            case Verdict.MISMATCH | Verdict.UNUSUAL | Verdict.RATIO_MISMATCH | Verdict.TOKENS_AS_BYTES:
                certain = verdict is Verdict.MISMATCH and first.line.in_headline
                yield self.finding(
                    ruleset,
                    first.sentence,
                    basis=Basis.LOG,
                    status=None if certain or _names_defect(first) else Status.REVIEW,
                    confidence=Confidence.HIGH if certain else Confidence.MEDIUM,
                    location=location,
                    related=tuple((_location(other.line), other.sentence) for other in judgements[1:]),
                    measurement=measurement,
                    remedy="score the full split and divide by the bytes of its original text",
                    anchor=verdict.value,
                )


def _names_defect(judgement: Judgement) -> bool:
    return judgement.verdict is Verdict.RATIO_MISMATCH and judgement.line.in_headline


def _location(line: ScoredLine) -> Location:
    return Location(path=line.metric.log, line=line.metric.line, snippet=line.metric.text)


def _measurement(judgement: Judgement, split: Split) -> Measurement | None:
    if judgement.num_bytes is None:
        return None
    return Measurement(quantity="validation bytes", observed=judgement.num_bytes, limit=split.num_bytes, unit="bytes")
