"""Runs fixture cases that are scripts and holds what the run says against what the case expects.

A case whose rule asks a run (`rules.run_facts`) must get no contradiction: what a ``bad_`` or ``hard_`` case breaks is
confirmed or passed over in silence, what a ``good_`` case keeps is never observed to be broken. ``python -m
tools.run_fixtures [CASE...]`` prints a line for each case, with ``--probes`` after probing as well; 1 if one is
contradicted. Needs torch and sentencepiece. Not covered: cases whose point is in files or logs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from auditor.engine import run_rule
from auditor.finding import Basis
from auditor.report import Outcome, RuleResult
from auditor.rule import Rule, Ruleset, RulesetName
from auditor.run.facts import RunFacts
from auditor.run.observe import RunOptions, observe
from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree
from rules import ALL_RULES
from rules.limits import RULES_AS_OF
from tools.lay_out_fixtures import Case, find_cases, lay_out

RULE_IDS = (
    *("PG401", "PG402", "PG403", "PG501", "PG502", "PG503", "PG504", "PG601", "PG602", "PG603"),
    *("PG701", "PG702", "PG703", "PG801", "PG902"),
)


class Says(StrEnum):
    """What a run says about a case."""

    CONFIRMED = "confirmed"
    CLEAN = "in order"
    SILENT = "nothing"


@dataclass(frozen=True, slots=True)
class Held:
    """A case with the outcome of its rule by the source alone, that with the run, and what the run says."""

    case: Case
    source: Outcome
    both: Outcome
    says: Says
    run: RunFacts

    @property
    def is_contradicted(self) -> bool:
        """Does the run see an offence in a good case, or change the outcome of a case for the worse of the truth?"""
        if self.case.kind == "good":
            return self.says is Says.CONFIRMED or (self.both, self.source) == (Outcome.REVIEW, Outcome.FAIL)
        return self.source is Outcome.FAIL and self.both is not Outcome.FAIL


def runnable_cases(names: Sequence[str] = ()) -> Iterator[Case]:
    """The cases that are scripts of ours and whose rule asks a run; only the named ones where some are."""
    for case in find_cases():
        if case.record is not None and case.rule_id in RULE_IDS and (not names or case.name in names):
            yield case


def hold(case: Case, python: Path, probes: Sequence[str]) -> Held:
    """Run one case and ask its rule without and with the run."""
    rule = next(rule for rule in ALL_RULES if rule.id == case.rule_id)
    with tempfile.TemporaryDirectory() as folder:
        laid_out = lay_out(case, Path(folder) / case.path)
        submission = Submission(case.path, DirectoryTree(laid_out.root))
        source = ask(rule, submission).outcome
        submission.run = observe(submission, RunOptions(python=python, probes=probes))
        result = ask(rule, submission)
    return Held(case, source, result.outcome, says(result), submission.run)


def ask(rule: Rule, submission: Submission) -> RuleResult:
    """The rule's result under the default ruleset."""
    return run_rule(rule, submission, Ruleset(RulesetName.PRACTICE, RULES_AS_OF.value))


def says(result: RuleResult) -> Says:
    """What the run contributed to a result."""
    if any(f.basis is Basis.RUN or f.message.endswith("a run confirms it") for f in result.findings):
        return Says.CONFIRMED
    return Says.CLEAN if Basis.RUN in result.checked else Says.SILENT


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each case; 1 if the run contradicts one."""
    parser = argparse.ArgumentParser(description="Run fixture cases and compare what the run says with what they expect.")
    parser.add_argument("cases", nargs="*", help="test ids such as PG701-bad_train_then_score; all by default")
    parser.add_argument("--probes", nargs="*", default=[], help="probes to run as well")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    arguments = parser.parse_args(argv)
    wrong = 0
    for case in runnable_cases(arguments.cases):
        held = hold(case, arguments.python, arguments.probes)
        wrong += held.is_contradicted
        remark = held.run.failure or ("CONTRADICTED" if held.is_contradicted else "")
        print(f"{case.name:55} source {held.source:8} with run {held.both:8} run says {held.says:9} {remark}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
