"""PG303: calibration on training data ran after the training time was used up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from auditor.finding import (
    Basis,
    Confidence,
    Evidence,
    Location,
    Measurement,
    NotApplicable,
    Statement,
    Unestablished,
)
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status, everywhere
from auditor.submission.submission import Submission
from rules.budget.calibration import Calibration, CalibrationData, find_calibration
from rules.budget.span import shown, span_of
from rules.budget.standing import Standing, bench_of
from rules.budget.track import NOT_BOUND, Track
from rules.headline_runs import judged_runs, place
from rules.limits import (
    ACCEPTED_CALIBRATED_TRAIN_SECONDS,
    CALIBRATED_TRAIN_SECONDS,
    TRAIN_CAP_SECONDS,
)

CAP = CALIBRATED_TRAIN_SECONDS.value
ACCEPTED = ACCEPTED_CALIBRATED_TRAIN_SECONDS.value
AS_LISTED = "no later than listed records"

_CALIBRATES = re.compile(r"hessian|\bawq|calib", re.IGNORECASE)


class CalibrationAfterBudget(Rule):
    """Calibration on training data ran after the training time was used up.

    Requirement: collecting Hessians or activations from training data belongs to the 600 s of training; so the loop must
    stop early enough to leave time for it. Quantising and compressing without data does not count, nor, in practice, does
    calibration on sequences that the model itself generated.

    Detection: adds what each seed's log prints for calibration after the end of the training loop to that end. Practice
    passes what ends in time, notes what ends as late as listed records did, and faults what ends later; data that the log
    calls self-generated are not counted. The readme ruleset counts every calibration.

    Limits: calibration data of which a log says nothing are taken for training data. Calibration that prints no time is
    not established.

    Remedy: stop the training loop early by the time that calibration takes, or calibrate on generated sequences.
    """

    id = "PG303"
    name = "calibration-after-budget"
    family = "time and hardware"
    authority = (
        Authority(AuthorityLevel.ORGANISER, CALIBRATED_TRAIN_SECONDS.source, CALIBRATED_TRAIN_SECONDS.since),
        Authority(
            AuthorityLevel.PRACTICE,
            ACCEPTED_CALIBRATED_TRAIN_SECONDS.source,
            ACCEPTED_CALIBRATED_TRAIN_SECONDS.since,
        ),
        Authority(AuthorityLevel.ORGANISER, "calibration on generated sequences is legal (#1019)", date(2026, 3, 27)),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.LOG})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Judge what calibrated every seed's model after its training."""
        bench = bench_of(submission)
        if bench.track is Track.NON_RECORD:
            yield NOT_BOUND
            return
        found = [(seed_run.name, find_calibration(seed_run, bench.logs)) for seed_run in judged_runs(submission)]
        for _, calibration in found:
            if calibration is not None:
                standing = bench.weigh(calibration.seed_run, calibration.end.run)
                yield from self._judge(calibration, standing, submission.day, ruleset)
        silent = [name for name, calibration in found if calibration is None]
        if len(silent) == len(found):
            yield _without_calibration(submission)
        elif silent:
            message = f"{', '.join(dict.fromkeys(silent))}: no log tells of the calibration that the other seeds had"
            yield Unestablished(message=message)

    def _judge(
        self, calibration: Calibration, standing: Standing, day: date | None, ruleset: Ruleset
    ) -> Iterator[Statement]:
        strict = ruleset.name is RulesetName.README
        cap = TRAIN_CAP_SECONDS.value if strict else CAP
        if calibration.data is not CalibrationData.TRAINING and not strict:
            yield _evidence(calibration, f"calibrated on {calibration.data}, which does not count as training")
        elif calibration.known.is_over(cap) or (not calibration.times and _is_used_up(calibration)):
            yield from self._late(calibration, standing, day, ruleset)
        elif calibration.most.is_within(cap if strict else ACCEPTED) and calibration.is_timed:
            in_time = calibration.most.is_within(cap)
            yield _evidence(calibration, f"{_sum(calibration)}, {'in time' if in_time else AS_LISTED}")
        else:
            yield Unestablished(message=f"{calibration.seed_run.name}: {_doubt(calibration)}", location=_place(calibration))

    def _late(
        self, calibration: Calibration, standing: Standing, day: date | None, ruleset: Ruleset
    ) -> Iterator[Statement]:
        accepted = calibration.is_timed and calibration.most.is_within(ACCEPTED)
        status = standing.status
        if ruleset.name is RulesetName.PRACTICE:
            before = day is not None and day < CALIBRATED_TRAIN_SECONDS.since
            unsure = not calibration.known.is_over(ACCEPTED)
            status = Status.NOTE if accepted or before else Status.REVIEW if unsure else status
            if accepted:
                yield _evidence(calibration, f"{_sum(calibration)}, {AS_LISTED}")
        yield self.finding(
            ruleset,
            f"{calibration.seed_run.name}: {_sum(calibration)}; training has {TRAIN_CAP_SECONDS.value:.0f} s{standing}",
            basis=Basis.LOG,
            status=status,
            confidence=Confidence.HIGH if status is None else Confidence.MEDIUM,
            location=_place(calibration),
            related=((place(calibration.end.time), "the end of the training loop"),),
            measurement=Measurement(
                quantity="training and calibration", observed=round(calibration.known.low, 3), limit=CAP, unit="s"
            ),
            remedy="stop training early enough for the calibration",
            anchor=f"{calibration.seed_run.name} calibrated late",
        )


def _is_used_up(calibration: Calibration) -> bool:
    """Was the training time over before the calibration began?"""
    return span_of(calibration.end.time).is_over(TRAIN_CAP_SECONDS.value)


def _without_calibration(submission: Submission) -> Statement:
    """What it means that no log tells of a calibration."""
    script = submission.script
    if script is None or (script.packed and not script.layers):
        return Unestablished(message="no log tells of a calibration, and there is no source that could exclude one")
    if any(_CALIBRATES.search(module.source) for module in script.modules):
        return Unestablished(message="the script can calibrate, and no log tells whether and how long it did")
    return NotApplicable(reason="neither a log nor the script tells of calibration")


def _evidence(calibration: Calibration, message: str) -> Evidence:
    return Evidence(basis=Basis.LOG, message=f"{calibration.seed_run.name}: {message}", location=_place(calibration))


def _sum(calibration: Calibration) -> str:
    ended = f"the training loop ended at {shown(calibration.end.time)}"
    if not calibration.times:
        part = f"; it is part of {calibration.bounds[0].text!r}" if calibration.bounds else ""
        return f"{ended}, and calibration on {calibration.data} after it prints no time of its own{part}"
    steps = " + ".join(shown(each) for each in calibration.times)
    if calibration.loop_is_over:
        return f"{ended}, over the cap by itself, and {steps} of calibration on {calibration.data} followed"
    total = calibration.end.time.seconds + sum(each.seconds for each in calibration.times)
    return f"{ended}; with {steps} of calibration on {calibration.data} that is {total:.1f} s"


def _doubt(calibration: Calibration) -> str:
    return f"{_sum(calibration)}, too coarse to tell" if calibration.times else _sum(calibration)


def _place(calibration: Calibration) -> Location:
    line, text = calibration.mention
    return Location(path=calibration.end.run.log, line=line, snippet=text.strip())
