"""PG004: a record is claimed, and the seeds do not show that it beats the leaderboard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar

from auditor.finding import (
    Amount,
    Basis,
    Confidence,
    Evidence,
    Finding,
    Location,
    Measurement,
    NotApplicable,
    Severity,
    Statement,
    Unestablished,
)
from auditor.headline import Headline
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.stats import Sample, welch_less
from auditor.submission.submission import Submission
from rules.leaderboard import Row, find_row, leader_before
from rules.limits import LAUNCH, MIN_IMPROVEMENT_NATS, PRACTICE_P_VALUE, README_P_VALUE
from rules.metric.identity import bytes_per_token
from rules.significance import described, nats_per_token_to_bpb

_BPB = "bits per byte"


class UnsupportedSignificance(Rule):
    """A record is claimed, and the seeds do not show that it beats the leaderboard.

    Requirement: the README asks for an improvement of 0.005 nats over the best listed run, shown at p < 0.01. From 28
    April 2026 the organisers decided the order by p < 0.25 against the previous row, without a margin.

    Detection: one-sided Welch test of the seeds behind the submitted number against the seeds of the best row listed on
    an earlier day, or of the row that the caller of the audit named. The margin is in nats per token and is converted
    with the bytes per token of the submission's own log line: a difference in bpb times ln 2 times bytes per token.

    Limits: seeds that were run and not shown are not known; rows of the same day do not count as previous; systems-only
    speed-ups, which the README exempts, are not told apart. With one seed there is no test, and the rule says so.

    Remedy: run more seeds of one configuration, or submit to the non-record track.
    """

    id = "PG004"
    name = "unsupported-significance"
    family = "evidence"
    authority = (
        Authority(AuthorityLevel.README, "0.005 nats better than the best listed run at p < 0.01", LAUNCH),
        Authority(
            AuthorityLevel.ORGANISER, "order decided by p < 0.25 against the previous row (#1902)", date(2026, 4, 28)
        ),
    )
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.REVIEW,
        RulesetName.README: Status.VIOLATION,
    }
    required = frozenset({Basis.LOG})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Compare the seeds behind the headline with the row to beat."""
        headline, day = submission.headline, submission.day
        if not claims_record(submission):
            yield NotApplicable(reason="no record is claimed: not in the record track")
        elif headline.val_bpb is None:
            yield NotApplicable(reason="no val_bpb is claimed")
        elif (row := _row_to_beat(day, ruleset)) is None:
            yield Unestablished(
                message=f"no row was listed before {day}"
                if day
                else "the submission has no date, so the row to beat is unknown"
            )
        else:
            statement = self._against(row, headline, headline.val_bpb, day, ruleset)
            yield statement
            if isinstance(statement, Finding) and statement.severity is Severity.NOTE:
                yield Unestablished(message=f"no gain is shown; practice asked for no test before {PRACTICE_P_VALUE.since}")

    def _against(self, row: Row, headline: Headline, val_bpb: float, day: date | None, ruleset: Ruleset) -> Statement:
        values = [line.val_bpb for line in headline.lines]
        location = _location(headline)
        if val_bpb >= row.sample.mean:
            message = f"{val_bpb:.5f} does not beat {described(row)}"
            return self._not_shown(message, val_bpb, row, day, location, ruleset)
        if len(values) < 2 or row.sample.size < 2:
            message = f"{len(values)} logged seed(s) against {described(row)}: no test is possible with fewer than two"
            return Unestablished(message=message, location=location, measurement=_against_row(val_bpb, row))
        margin = self._margin_bpb(headline, ruleset)
        if margin is None:
            return Unestablished(message="the log does not give bytes per token, so 0.005 nats cannot be put into bpb")
        sample = Sample.of(values)
        p_value = welch_less(sample, row.sample, margin).p_value
        limit = (PRACTICE_P_VALUE if ruleset.name is RulesetName.PRACTICE else README_P_VALUE).value
        by = f" by {MIN_IMPROVEMENT_NATS.value} nats ({margin:.5f} bpb)" if margin else ""
        message = f"mean {sample.mean:.5f} of {sample.size} seeds beats {described(row)}{by} at p = {p_value:.3g}"
        measurement = Measurement(quantity="one-sided p-value", observed=p_value, limit=limit, unit="", beside=_beside(row))
        if p_value < limit:
            return Evidence(basis=Basis.LOG, message=message, location=location, measurement=measurement)
        message = f"{message}, where p < {limit} is asked"
        return self._not_shown(message, val_bpb, row, day, location, ruleset, measurement)

    def _not_shown(
        self,
        message: str,
        val_bpb: float,
        row: Row,
        day: date | None,
        location: Location | None,
        ruleset: Ruleset,
        measurement: Measurement | None = None,
    ) -> Statement:
        loosely = ruleset.name is RulesetName.PRACTICE and day is not None and day < PRACTICE_P_VALUE.since
        return self.finding(
            ruleset,
            message,
            basis=Basis.LOG,
            status=Status.NOTE if loosely else None,
            confidence=Confidence.MEDIUM,
            location=location,
            measurement=measurement or _against_row(val_bpb, row),
            remedy="run more seeds, or submit to the non-record track",
            anchor="significance",
        )

    def _margin_bpb(self, headline: Headline, ruleset: Ruleset) -> float | None:
        """The margin that `ruleset` asks for, in bits per byte; None if the log does not give bytes per token."""
        if ruleset.name is RulesetName.PRACTICE:
            return 0.0
        ratio = next((ratio for line in headline.lines if (ratio := bytes_per_token(line.metric))), None)
        return nats_per_token_to_bpb(MIN_IMPROVEMENT_NATS.value, (ratio.low + ratio.high) / 2) if ratio else None


def _row_to_beat(day: date | None, ruleset: Ruleset) -> Row | None:
    if ruleset.against is not None:
        return find_row(ruleset.against)
    return leader_before(day) if day is not None else None


def claims_record(submission: Submission) -> bool:
    """Is the submission in the record track, by its folder or by what it declares?"""
    track = (submission.metadata.track if submission.metadata else None) or ""
    where = f"{submission.path} {track}".lower().replace("-", "_")
    return "non_record" not in where and ("10min" in where or "track_record" in where)


def _against_row(val_bpb: float, row: Row) -> Measurement:
    limit = row.sample.mean
    return Measurement(quantity="val_bpb", observed=val_bpb, limit=limit, unit=_BPB, beside=_beside(row))


def _beside(row: Row) -> tuple[Amount, ...]:
    return (Amount(name=f"{row.name}, listed {row.day}", amount=row.sample.mean, unit=_BPB),)


def _location(headline: Headline) -> Location | None:
    if not headline.lines:
        return None
    metric = headline.lines[0].metric
    return Location(path=metric.log, line=metric.line, snippet=metric.text)
