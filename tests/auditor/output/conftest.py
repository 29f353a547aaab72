"""A small report set made by hand, and the reports on every fixture case."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import ClassVar

import pytest

from auditor.engine import audit
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
    Step,
    Unestablished,
)
from auditor.report import (
    HeadlineLine,
    HeadlineSummary,
    Outcome,
    Report,
    ReportSet,
    RuleResult,
    SubmissionSummary,
    Unreadable,
)
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.run.comparison import Comparison
from auditor.run.facts import Chunk, KeptNumbers, Offence, RankFacts, Reach, RunFacts, RunLine, Via
from auditor.run.judge import Coverage
from auditor.run.overrides import Override
from auditor.submission.submission import Change, Submission
from auditor.submission.tree import DirectoryTree
from auditor.timeline import Action, Timeline
from auditor.timeline import Step as TimelineStep
from rules import ALL_RULES
from rules.limits import RULES_AS_OF
from tools.lay_out_fixtures import find_cases, lay_out

Spoil = Callable[[str], str]


class OversizeArtifact(Rule):
    """The artifact is larger than the cap.

    Requirement: the artifact has at most so many bytes.

    Detection: adds up what a log says.

    Limits: the size of the model is the log's word.

    Remedy: shrink the model.
    """

    id = "PG201"
    name = "oversize-artifact"
    family = "size"
    authority = (
        Authority(AuthorityLevel.ORGANISER, "a later word on it", date(2026, 4, 1)),
        Authority(AuthorityLevel.README, "at most 16,000,000 bytes", date(2026, 3, 18)),
    )
    status: ClassVar = {RulesetName.PRACTICE: Status.VIOLATION, RulesetName.README: Status.VIOLATION}
    required = frozenset({Basis.LOG})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        raise NotImplementedError


RULES: tuple[Rule, ...] = (OversizeArtifact(),)


def same(text: str) -> str:
    return text


@dataclass(frozen=True)
class Samples:
    """Makes reports; `spoil` is applied to every text that a submission can have a hand in."""

    spoil: Spoil = same

    def result(self, rule_id: str, rule: str, **statements: object) -> RuleResult:
        required = frozenset({Basis.LOG})
        return RuleResult(rule_id=rule_id, rule=rule, required=required, **statements)  # type: ignore[arg-type]

    def location(self, path: str, line: int | None, **rest: object) -> Location:
        return Location(path=self.spoil(path), line=line, **rest)  # type: ignore[arg-type]

    def submission(self, path: str, pr: int | None = None) -> SubmissionSummary:
        spoil = self.spoil
        return SubmissionSummary(
            path=spoil(path),
            pr=pr,
            commit="0123456789abcdef",
            script=spoil("train_gpt.py"),
            code_bytes=16_594,
            packed=True,
            unwrapped=("exec(lzma(b85))",),
            parsed=True,
            digest="d" * 64,
            chosen_because=spoil("the only folder"),
        )

    def too_big(self) -> Finding:
        spoil = self.spoil
        line = self.location("train_seed1.log", 12, snippet=spoil("Total submission size int6+zstd: 16500000 bytes"))
        other = self.location("train_seed2.log", 13, snippet=spoil("Total submission size int6+zstd: 16500001 bytes"))
        message = spoil("seed 1: model 16,400,000 + counted code 100,000 = 16,500,000 bytes, 500,000 over the cap")
        code = self.location(
            "train_gpt.py!decoded",
            7,
            column=5,
            end_line=8,
            symbol=spoil("save"),
            snippet=f"{spoil('with open(path) as file:')}\n{spoil('    file.write(blob)')}",
            outer_path=spoil("train_gpt.py"),
            outer_line=2,
        )
        return Finding(
            rule_id="PG201",
            message=message,
            severity=Severity.ERROR,
            basis=Basis.LOG,
            location=line,
            related=((other, message), (code, spoil("written here"))),
            steps=(Step(location=code, text=spoil("the model is written")),),
            measurement=Measurement(
                quantity="artifact",
                observed=16_500_000,
                limit=16_000_000,
                unit="bytes",
                subject=spoil("seed 1"),
                parts=(
                    Amount(name="weights", amount=16_400_000, unit="bytes"),
                    Amount(name="code", amount=100_000, unit="bytes"),
                ),
                beside=(
                    Amount(name="as shipped", amount=100_000, unit="bytes"),
                    Amount(name="as a compressed wrapper", amount=30_000, unit="bytes"),
                ),
            ),
            remedy=spoil("shrink the model"),
            anchor="seed 1 over the cap",
        )

    def warning(self) -> Finding:
        return Finding(
            rule_id="PG001",
            message=self.spoil("the log was printed by a script of 16,630 bytes, 36 more than the shipped one"),
            severity=Severity.WARNING,
            confidence=Confidence.MEDIUM,
            basis=Basis.LOG,
            location=self.location("README.md", None),
        )

    def note(self) -> Finding:
        message = self.spoil("no val_bpb is declared")
        return Finding(rule_id="PG005", message=message, severity=Severity.NOTE, basis=Basis.FILES)

    def headline(self, kind: str = "mean", lines: int = 2) -> HeadlineSummary:
        spoil = self.spoil
        carriers = tuple(
            HeadlineLine(
                log=spoil(f"train_seed{seed}.log"),
                line=20 + seed,
                label=spoil("final_roundtrip"),
                seed=seed,
                val_bpb=1.1 + seed / 1000,
                val_loss=1.9,
                printable_by_script=True,
                text=spoil(f"final_roundtrip val_loss:1.9 val_bpb:{1.1 + seed / 1000}"),
            )
            for seed in range(1, lines + 1)
        )
        return HeadlineSummary(
            val_bpb=1.1015,
            claimed_in=spoil("submission.json:4 (val_bpb)"),
            label=spoil("final_roundtrip"),
            log=spoil("train_seed1.log"),
            line=21,
            kind=kind,
            evaluation=spoil("eval_val"),
            printable_by_script=True,
            lines=carriers,
            explanation=spoil("val_bpb 1.1015 of submission.json:4 (val_bpb) is on train_seed1.log:21"),
            print_site=self.location("train_gpt.py!decoded", 40, symbol=spoil("main")),
        )

    def timeline(self) -> Timeline:
        spoil = self.spoil
        here = self.location("train_gpt.py", 30, symbol=spoil("eval_val"))
        return Timeline(
            basis=Basis.SOURCE,
            num_positions=12,
            steps=(
                TimelineStep(
                    action=Action.SCORE, spans=((0, 4),), text=spoil("scores a chunk"), counted=True, location=here
                ),
                TimelineStep(action=Action.TRAIN, spans=((0, 12),), text=spoil("trains on all")),
                TimelineStep(action=Action.RESTORE, spans=((0, 12),), text=spoil("puts back")),
                TimelineStep(action=Action.SCORE, spans=((4, 8), (8, 12)), text=spoil("scores the rest"), offence=True),
            ),
            caption=spoil("Lengths are nominal."),
        )

    def violation(self) -> Report:
        spoil = self.spoil
        strict = ((RulesetName.README, Outcome.FAIL),)
        return Report(
            submission=self.submission("records/track_10min_16mb/2026-04-15_Big", pr=7),
            headline=self.headline(),
            results=(
                self.result("PG001", "foreign-log", findings=(self.warning(),), other_outcomes=strict),
                self.result("PG002", "claim-log-mismatch", crash=f"Traceback\n{spoil('ValueError: no')}"),
                self.result("PG003", "seed-mismatch", unestablished=(Unestablished(message=spoil("no log names a seed")),)),
                self.result("PG004", "unsupported-significance"),
                self.result("PG005", "retracted-claim", findings=(self.note(),), evidence=(self.evidence(),)),
                self.result("PG103", "changes-outside-folder", not_applicable=(NotApplicable(reason=spoil("no change")),)),
                self.result("PG201", "oversize-artifact", findings=(self.too_big(),), other_outcomes=strict),
            ),
            unreadable=(Unreadable(path=spoil("model.bin"), reason=spoil("too large")),),
            story=(spoil("In order:"), f"    {spoil('train_gpt.py:30 eval_val: scores')}"),
            timelines=(self.timeline(),),
        )

    def evidence(self) -> Evidence:
        return Evidence(
            basis=Basis.LOG, message=self.spoil("nothing is declared"), location=self.location("submission.json", 3)
        )

    def review(self) -> Report:
        return Report(
            submission=self.submission("records/track_10min_16mb/2026-04-16_Odd"),
            headline=self.headline("single", lines=1),
            results=(self.result("PG001", "foreign-log", findings=(self.warning(),)),),
            run=self.run(),
        )

    def run(self) -> RunFacts:
        """One of each kind of fact that a run can tell."""
        spoil = self.spoil
        place = self.location("train_gpt.py", 31, symbol=spoil("adapt"))
        offence = Offence(num_positions=90, first=1, via=Via.PARAMETERS, how=spoil("SGD.step"), place=place, again=False)
        chunk = Chunk(
            first=1,
            last=50,
            num_positions=50,
            num_scored_before=50,
            with_gradient=True,
            num_updates=3,
            scored_at=7,
            trained_at=9,
        )
        line = RunLine(
            label=spoil("final_ttt"),
            text=spoil("final_ttt val_loss:6.9 val_bpb:2.2"),
            at=40,
            val_bpb=2.2,
            is_headline=True,
            is_reconciled=True,
            recomputed_bpb=2.2,
            num_bytes=400,
            coverage=Coverage(num_once=90, num_repeated=2, num_missing=7, first_missing=93),
            chunks=(chunk,),
        )
        lost = RunLine(
            label=spoil("mixed"),
            text=spoil("mixed bpb 1"),
            at=60,
            val_bpb=1,
            is_headline=False,
            is_reconciled=False,
            byte_ratio=1.2,
            kept=KeptNumbers(place=place, unit="bytes", num_numbers=90, is_ordered=True),
        )
        step = TimelineStep(action=Action.TRAIN, spans=((1, 51),), text=spoil("3 backward passes"), location=place)
        compared = Comparison(cut=0.5, text=line.text, num_compared=40, num_changed=3, first_changed=2, largest_change=0.1)
        return RunFacts(
            script=spoil("train_gpt.py"),
            failure=None,
            overrides=(Override(name="ITERATIONS", value="2", submitted=spoil("20000"), why="toy size"),),
            isolation="none but the limits",
            seconds=12.0,
            cpu_seconds=9.0,
            left_out=(spoil("model.bin"),),
            num_positions=100,
            num_located=200,
            lines=(line, replace(line, label=spoil("bad"), chunks=(), offences=(offence,), is_headline=False), lost),
            num_trained_validation=90,
            num_trained_unlocated=4,
            num_discarded=5,
            training_reads=(spoil("fineweb_train_000000.bin"),),
            connections=(Reach(what=spoil("socket.connect: x"), after_scoring=True),),
            comparisons=(compared, Comparison(cut=0.0, text=line.text, probe="bound", problem=spoil("the second run: x"))),
            timeline=Timeline(basis=Basis.RUN, num_positions=100, steps=(step,), caption="recorded"),
            ranks=(
                RankFacts(rank=0, num_scored=50, scored=((1, 51),), num_trained=50, trained=((1, 51),)),
                RankFacts(rank=1, num_scored=42, scored=((51, 93),), num_trained=0, trained=()),
            ),
            num_collectives=7,
        )

    def clean(self) -> Report:
        return Report(
            submission=self.submission("records/track_10min_16mb/2026-04-17_Fine"),
            headline=self.headline("single", lines=1),
            results=(self.result("PG005", "retracted-claim", evidence=(self.evidence(),)),),
        )

    def error(self) -> Report:
        reason = Unreadable(path=self.spoil("records/empty"), reason=self.spoil("the folder is empty"), fatal=True)
        return Report(submission=self.submission("records/empty"), headline=None, results=(), unreadable=(reason,))

    def set(self, *reports: Report) -> ReportSet:
        ruleset = Ruleset(RulesetName.PRACTICE, date(2026, 5, 2))
        return ReportSet(tool_version="0.1.0", ruleset=ruleset, reports=reports)

    def all(self) -> ReportSet:
        return self.set(self.violation(), self.review(), self.clean(), self.error())


@pytest.fixture(scope="session")
def samples() -> Callable[..., Samples]:
    return Samples


@pytest.fixture(scope="session")
def sample_rules() -> tuple[Rule, ...]:
    return RULES


@pytest.fixture(scope="session")
def fixture_reports(tmp_path_factory: pytest.TempPathFactory) -> ReportSet:
    """The reports on every fixture case, under ruleset practice."""
    ruleset = Ruleset(RulesetName.PRACTICE, RULES_AS_OF.value)
    root = tmp_path_factory.mktemp("cases")
    reports = []
    for case in find_cases():
        laid_out = lay_out(case, root / case.name / case.path)
        changes = case.changes and tuple(Change(path=path, kind=kind) for kind, path in case.changes)
        submission = Submission(case.path, DirectoryTree(laid_out.root), changes=changes)
        reports.append(audit(submission, ALL_RULES, ruleset))
    return ReportSet(tool_version="0.1.0", ruleset=ruleset, reports=tuple(reports))
