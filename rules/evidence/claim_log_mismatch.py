"""PG002: a declared number is not the number that the logs show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from auditor.finding import Basis, Confidence, Evidence, Location, Measurement, NotApplicable, Statement, Unestablished
from auditor.headline import Headline
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status, everywhere
from auditor.submission.logs.model import Metric, Run
from auditor.submission.metadata import Declared, Metadata
from auditor.submission.submission import Submission
from rules.limits import BEST_SEED_LISTED_UNTIL, LAUNCH


class ClaimLogMismatch(Rule):
    """A declared number is not the number that the logs show.

    Requirement: the log that is submitted proves the number that is submitted. The claim is the mean over the seeds that
    were run, or the one run there is; what is declared per seed is what that seed's log printed.

    Detection: the submitted val_bpb is followed to the log lines that carry it. A claim that no line and no mean of
    lines carries is a violation where all declared seeds are logged and none of their results is as good, and
    otherwise needs a person; a mean missed by less than four decimals show is noted. A declared per-seed value that its
    log does not print needs a person, and so does the best seed in place of the mean since rows with a best seed are no
    longer listed; until then it is noted. A score declared as val_loss, and a val_loss that is not the headline's, are
    noted.

    Limits: equality to the printed digits is all that is asked; whether the log itself is genuine is another rule's
    question (foreign-log, seed-mismatch). Numbers that stand only in running text are not compared.

    Remedy: copy the final line's numbers into submission.json, with all seeds and their mean, and ship the logs of the
    runs that were reported.
    """

    id = "PG002"
    name = "claim-log-mismatch"
    family = "evidence"
    authority = (
        Authority(AuthorityLevel.README, "a submission includes the train log of the run that is claimed", LAUNCH),
        Authority(AuthorityLevel.PRACTICE, "listed rows up to #374 declare their best seed", LAUNCH),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.LOG})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Hold the headline, then every declared per-seed value and the declared loss, against the logs."""
        headline = submission.headline
        match headline.kind:
            case "none":
                yield NotApplicable(reason="no val_bpb is claimed")
                return
            case "no-log":
                yield Unestablished(message=headline.explanation)
            case "unlocated":
                yield self._unlocated(headline, submission, ruleset)
            case "best":
                yield from self._best(headline, submission.day, ruleset)
            case "partial":
                yield Unestablished(message=headline.explanation, location=_carrier(headline))
            case _:
                yield Evidence(basis=Basis.LOG, message=headline.explanation, location=_carrier(headline))
                yield from self._inexact(headline, ruleset)
        if submission.metadata is not None:
            yield from self._misnamed(submission.metadata, ruleset)
            yield from self._per_seed(submission.metadata, submission.runs, ruleset)
            yield from self._loss(submission.metadata, headline, ruleset)

    def _unlocated(self, headline: Headline, submission: Submission, ruleset: Ruleset) -> Statement:
        claim = headline.val_bpb
        results = [metric for run in submission.runs for metric in run.metrics if not metric.progress]
        if claim is None or not results:
            return Unestablished(message=f"the logs print no score to compare with: {headline.explanation}")
        best = min(results, key=lambda metric: metric.val_bpb)
        nearest = nearest_to(claim, results)
        better = claim < best.val_bpb
        measured = any(run.durations or run.train_seconds for run in submission.runs)  # a note is no run's log
        shown = measured and all_declared_seeds_are_logged(submission)
        message = f"claimed val_bpb {claim} is on no log line; nearest is {nearest.val_bpb} (`{nearest.name}`)"
        return self.finding(
            ruleset,
            message + (", and the claim is better than every logged result" if better else ""),
            basis=Basis.LOG,
            status=None if better and shown else Status.REVIEW,
            confidence=Confidence.HIGH if better and shown else Confidence.MEDIUM,
            location=_location(nearest),
            measurement=Measurement(quantity="val_bpb", observed=claim, limit=nearest.val_bpb, unit="bits per byte"),
            remedy="submit the number that the log shows, or the log that shows the number",
            anchor="unlocated",
        )

    def _best(self, headline: Headline, day: date | None, ruleset: Ruleset) -> Iterator[Statement]:
        accepted = ruleset.name is RulesetName.PRACTICE and day is not None and day <= BEST_SEED_LISTED_UNTIL.value
        yield Evidence(basis=Basis.LOG, message=headline.explanation, location=_carrier(headline))
        yield self.finding(
            ruleset,
            f"the best seed is claimed, not the mean: {headline.explanation}",
            basis=Basis.LOG,
            status=Status.NOTE if accepted else Status.REVIEW,
            location=_carrier(headline),
            remedy="claim the mean over all seeds",
            anchor="best seed",
        )

    def _inexact(self, headline: Headline, ruleset: Ruleset) -> Iterable[Statement]:
        if headline.val_bpb is not None and headline.mean_bpb is not None:
            yield self.finding(
                ruleset,
                f"claimed val_bpb {headline.val_bpb} is not the mean of its lines, {headline.mean_bpb:.8f}",
                basis=Basis.LOG,
                status=Status.NOTE,
                location=_carrier(headline),
                remedy="compute the mean from the logged numbers",
                anchor="inexact mean",
            )

    def _misnamed(self, metadata: Metadata, ruleset: Ruleset) -> Iterable[Statement]:
        """A score under the name of a loss: whoever reads the file by its keys reads another quantity than the log's."""
        declared = metadata.val_bpb
        if declared is not None and "loss" in declared.key:
            yield self.finding(
                ruleset,
                f"{metadata.path} declares no val_bpb; its {declared.key} {declared.value} is one, not a loss per token",
                basis=Basis.FILES,
                status=Status.NOTE,
                location=_declared_at(metadata, declared),
                remedy="declare the score as val_bpb, and the loss of the same line as val_loss",
                anchor="score named as loss",
            )

    def _per_seed(self, metadata: Metadata, runs: tuple[Run, ...], ruleset: Ruleset) -> Iterable[Statement]:
        for result in metadata.seed_results:
            metrics = [metric for run in runs if run.seed == result.seed for metric in run.metrics]
            declared = result.val_bpb
            if result.seed is None or declared is None or not metrics:
                continue
            if any(same_score(declared, metric) for metric in metrics):
                continue
            nearest = nearest_to(declared.value, metrics)
            yield self.finding(
                ruleset,
                f"seed {result.seed} is declared with {declared.value}, which its log does not print; nearest is "
                f"{nearest.val_bpb} (`{nearest.name}`)",
                basis=Basis.LOG,
                status=Status.REVIEW,
                location=_declared_at(metadata, declared),
                related=((_location(nearest), "the nearest value in the log"),),
                anchor=f"seed {result.seed}",
            )

    def _loss(self, metadata: Metadata, headline: Headline, ruleset: Ruleset) -> Iterable[Statement]:
        losses = [line.metric.val_loss for line in headline.lines if line.metric.val_loss is not None]
        if metadata.val_loss is None or not losses:
            return
        declared, logged = metadata.val_loss.value, sum(losses) / len(losses)
        slack = 10.0**-metadata.val_loss.num_decimals
        if any(abs(declared - loss) <= slack for loss in (*losses, logged)):
            return
        as_bpb = headline.val_bpb is not None and abs(declared - headline.val_bpb) <= slack
        what = "holds the val_bpb" if as_bpb else f"is not the headline's {logged:.6g}"
        yield self.finding(
            ruleset,
            f"declared val_loss {declared} {what}",
            basis=Basis.LOG,
            status=Status.NOTE,
            location=_declared_at(metadata, metadata.val_loss),
            anchor="val_loss",
        )


def all_declared_seeds_are_logged(submission: Submission) -> bool:
    """Is there a run for every declared seed? Without it a missing number may stand in a log that was not shipped."""
    logged = {run.seed for run in submission.runs}
    return submission.metadata is not None and set(submission.metadata.seeds) <= logged


def same_score(declared: Declared, metric: Metric) -> bool:
    """Is `metric` the declared value to the coarser of the two precisions (one unit of it: some scripts truncate)?"""
    unit = 10.0 ** -min(declared.num_decimals, metric.num_decimals)
    return abs(declared.value - metric.val_bpb) <= 1.0001 * unit


def nearest_to(val_bpb: float, metrics: Iterable[Metric]) -> Metric:
    """The metric nearest to `val_bpb`; of lines that print one score, the one with the most digits."""
    return min(metrics, key=lambda metric: (round(abs(metric.val_bpb - val_bpb), 4), -metric.num_decimals))


def _location(metric: Metric) -> Location:
    return Location(path=metric.log, line=metric.line, snippet=metric.text)


def _carrier(headline: Headline) -> Location | None:
    return _location(headline.lines[0].metric) if headline.lines else None


def _declared_at(metadata: Metadata, declared: Declared) -> Location:
    return Location(path=metadata.path, line=declared.line, symbol=declared.key)
