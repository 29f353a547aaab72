"""PG201: the counted code and the compressed model of a seed are larger than the cap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.finding import Amount, Basis, Confidence, Evidence, Location, Measurement, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status, everywhere
from auditor.submission.metadata import Declared, SeedResult
from auditor.submission.script import Script
from auditor.submission.submission import Submission
from rules.headline_runs import SeedRun, headline_runs, judged_runs, place
from rules.limits import ARTIFACT_CAP_BYTES, CODE_COUNTS, LAUNCH, MEBIBYTE_CAP_BYTES, CodeCount
from rules.size.code_count import WRAPPER_SHARES, CodeBytes, count_code
from rules.size.seed_sizes import ModelSize, model_size

CAP = ARTIFACT_CAP_BYTES.value


class OversizeArtifact(Rule):
    """Counted code and compressed model of a seed are larger than the cap of 16,000,000 bytes.

    Requirement: for every seed behind the submitted number, the code that counts and the compressed model together have
    at most 16,000,000 bytes, decimal. It holds in both tracks.

    Detection: recomputes each seed's sum from the model size that its run logged and the code as shipped; a total that
    a log printed for another file (the readable source of a script that is shipped packed) does not count. Practice
    takes the smallest way of counting code in use on the day: the shipped file, packed or not, and from 11 April 2026 the
    wrapper that a readable script would compress to. The readme ruleset counts every shipped byte, helpers included.
    Where no log prints a size, what submission.json declares can show an excess, but cannot establish a fit.

    Limits: model files are hardly ever shipped, so the model's size is the log's word. A size printed in MB is too coarse
    to decide near the cap. The would-be wrapper is taken from the log, as it depends on the tools that were installed.

    Remedy: shrink or prune the model, or ship the script as a self-extracting wrapper; 16 MB are not 16 MiB.
    """

    id = "PG201"
    name = "oversize-artifact"
    family = "size"
    authority = (
        Authority(AuthorityLevel.README, "artifact = counted code + compressed model <= 16,000,000 bytes", LAUNCH),
        *(
            Authority(AuthorityLevel.PRACTICE, f"code counted as {count.value}: {count.source}", count.since)
            for count in CODE_COUNTS
            if count.value is not CodeCount.RAW
        ),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.LOG})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Judge every seed by its log; where none prints a size, by what is declared."""
        script = submission.script
        sums = list(_sums(submission, script, ruleset)) if script else []
        if script is None:
            yield Unestablished(message="no script, so the code cannot be counted")
        located = bool(headline_runs(submission))
        contradicted = any(total.value <= CAP for total in _declared_totals(submission))
        certain = located or (not contradicted and all(seed_sum.low > CAP for seed_sum in sums))
        for seed_sum in sums:
            yield from self._judge(seed_sum, ruleset, certain)
        if located and script:
            yield from self._other_seeds(submission, script, ruleset)
        if not sums:
            yield from self._judge_declared(submission, ruleset)

    def _judge(self, seed: _SeedSum, ruleset: Ruleset, certain: bool) -> Iterator[Statement]:
        """`certain`: the run is one of those behind the number, or every run tells the same and nothing declares less."""
        if seed.low > CAP:
            certain = certain and not seed.fits_as_wrapper
            yield self._excess(seed, ruleset, None if certain else Status.REVIEW)
        elif seed.high <= CAP:
            message = f"{seed} = {seed.high:,} bytes, {CAP - seed.high:,} under the cap; code: {seed.code}"
            location = place(seed.model.size)
            yield Evidence(basis=Basis.LOG, message=message, location=location, measurement=seed.measured(seed.high))
        else:
            where = place(seed.model.size)
            yield Unestablished(message=f"{seed}: {seed.doubt}", location=where, measurement=seed.measured(seed.high))

    def _excess(self, seed: _SeedSum, ruleset: Ruleset, status: Status | None) -> Statement:
        mebibytes = "; it fits 16 MiB, but the cap is decimal" if seed.low <= MEBIBYTE_CAP_BYTES.value else ""
        return self.finding(
            ruleset,
            f"{seed.least}, {seed.low - CAP:,} over the cap{mebibytes}{seed.fits_as_wrapper}; code: {seed.code}",
            basis=Basis.LOG,
            status=status,
            confidence=Confidence.HIGH if status is None else Confidence.MEDIUM,
            location=place(seed.model.size),
            measurement=seed.measured(seed.low),
            remedy="shrink the model or ship the script as a wrapper that fits",
            anchor=f"{seed.run.name} over the cap",
        )

    def _other_seeds(self, submission: Submission, script: Script, ruleset: Ruleset) -> Iterator[Statement]:
        """Runs that do not carry the number: over the cap they decide nothing, but a reader should know."""
        used = {(seed_run.run.log, seed_run.run.index) for seed_run in headline_runs(submission)}
        used |= {(run.log, run.index) for seed_run in headline_runs(submission) for run in seed_run.beside}
        for run in submission.runs:
            seed_run = SeedRun(run, run.seed, None, ())
            seed = _sum(submission, script, seed_run, ruleset) if (run.log, run.index) not in used else None
            if seed is not None and seed.low > CAP:
                yield self._excess(seed, ruleset, Status.NOTE)

    def _judge_declared(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        declared = list(_declared_totals(submission))
        over = [total for total in declared if total.value > CAP]
        for total in over:
            location = _in_json(submission, total)
            yield self.finding(
                ruleset,
                f"submission.json declares {total.key} = {total.value:,.0f} bytes, {total.value - CAP:,.0f} over the cap",
                basis=Basis.FILES,
                location=location,
                measurement=Measurement(quantity="artifact", observed=total.value, limit=CAP, unit="bytes"),
                remedy="shrink the model; 16 MB are not 16 MiB",
                anchor=f"{total.key} over the cap",
            )
        if not over:
            said = f"submission.json declares {declared[0].value:,.0f} bytes" if declared else "none is declared"
            yield Unestablished(message=f"no log prints the size of a compressed model; {said}")


@dataclass(frozen=True, slots=True)
class _SeedSum:
    """One seed's model and counted code. The true sum lies between `low` and `high`.

    `fits_as_wrapper` says, for a message, why the author may have counted a wrapper that would fit; else it is empty.
    """

    run: SeedRun
    model: ModelSize
    code: CodeBytes
    counted: int
    low: int
    high: int
    fits_as_wrapper: str

    def __str__(self) -> str:
        if self.model.has_code:
            return f"{self.run.name}: logged total {self.model.num_bytes:,} with code"
        return f"{self.run.name}: model {self.model.num_bytes:,} + counted code {self.counted:,}"

    @property
    def least(self) -> str:
        """The smallest that the sum can be, in words."""
        if self.low < self.model.num_bytes:
            return f"{self.run.name}: the model alone, printed as {self.model.size.text!r}, has at least {self.low:,} bytes"
        if self.low == self.model.num_bytes and not self.model.has_code:
            return f"{self.run.name}: the model alone has {self.low:,} bytes"
        return f"{self} = {self.low:,} bytes"

    def measured(self, num_bytes: int) -> Measurement:
        """The sum, taken as `num_bytes`, against the cap: its parts where the log tells them, every count of the code."""
        is_exact = self.model.has_code is False and not self.model.slack
        parts = {"weights": self.model.num_bytes, "code": num_bytes - self.model.num_bytes} if is_exact else {}
        return Measurement(
            quantity="artifact",
            observed=num_bytes,
            limit=CAP,
            unit="bytes",
            subject=self.run.name,
            parts=_amounts(parts),
            beside=_amounts(self.code.ways),
        )

    @property
    def doubt(self) -> str:
        """Why the sum cannot be held against the cap."""
        if self.model.slack:
            return f"printed as {self.model.size.text!r}, too coarse to tell on which side of the cap it is"
        if self.model.has_code is None:
            return f"fits or not, depending on whether {self.model.size.label!r} includes the code"
        return f"over the cap with the code as shipped ({self.high:,} bytes); its size as a compressed wrapper is not known"


def _amounts(num_bytes: Mapping[str, int]) -> tuple[Amount, ...]:
    return tuple(Amount(name=name, amount=amount, unit="bytes") for name, amount in num_bytes.items())


def _sums(submission: Submission, script: Script, ruleset: Ruleset) -> Iterator[_SeedSum]:
    for seed_run in judged_runs(submission):
        seed_sum = _sum(submission, script, seed_run, ruleset)
        if seed_sum is not None:
            yield seed_sum


def _sum(submission: Submission, script: Script, seed_run: SeedRun, ruleset: Ruleset) -> _SeedSum | None:
    declared = [total.value for total in _declared_totals(submission)]
    model = model_size(seed_run, declared)
    if model is None:
        return None
    code = count_code(submission, script, seed_run, ruleset.as_of)
    counted = code.counted(ruleset.name)
    fewest = code.least if ruleset.name is RulesetName.PRACTICE else counted
    most = model.num_bytes + model.slack + (0 if model.has_code else counted)
    least = model.num_bytes - model.slack
    if model.has_code is False:
        least += fewest
    elif model.has_code and ruleset.name is RulesetName.PRACTICE:
        least -= max(code.source - fewest, 0)  # the total may have counted the readable source
    as_wrapper = ""
    if ruleset.name is RulesetName.PRACTICE and code.could_be_packed:
        own = [result.artifact_bytes for result in _seed_results(submission) if result.seed == seed_run.seed]
        as_wrapper = _fits_as_wrapper(model, code, [total.value for total in own if total is not None] or declared)
    return _SeedSum(seed_run, model, code, counted, least, most, as_wrapper)


def _fits_as_wrapper(model: ModelSize, code: CodeBytes, declared: Sequence[float]) -> str:
    """What says that the author counted a wrapper that is not shipped, with which the sum would fit."""
    if code.compressed is not None and model.num_bytes + code.compressed <= CAP:
        return f"; with the code as a wrapper of {code.compressed:,} bytes, which is not shipped, it would fit"
    least, most = (model.num_bytes + share * code.shipped for share in (WRAPPER_SHARES.low, WRAPPER_SHARES.high))
    total = next((total for total in declared if least <= total <= min(most, CAP)), None)
    return f"; {total:,.0f} bytes are declared, as with a wrapper that is not shipped" if total else ""


def _declared_totals(submission: Submission) -> Iterator[Declared]:
    seeds = [result.artifact_bytes for result in _seed_results(submission)]
    total = submission.metadata.bytes_total if submission.metadata else None
    yield from (each for each in (*seeds, total) if each is not None)


def _seed_results(submission: Submission) -> tuple[SeedResult, ...]:
    return submission.metadata.seed_results if submission.metadata else ()


def _in_json(submission: Submission, declared: Declared) -> Location:
    path = submission.metadata.path if submission.metadata else "submission.json"
    return Location(path=path, line=declared.line)
