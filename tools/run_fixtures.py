"""Holds the two halves against each other: each case of a rule that asks a run, by its source and by a real run.

What a ``bad_``, ``hard_`` or ``miss_`` case breaks must be confirmed by the run, and what a ``good_`` case keeps must be
seen in order. A case that a run does not decide says why in its case.toml, ``run_cannot_tell = "..."``; that is held both
ways, so a reason that no longer holds fails as silence without a reason does. The truth is what the case's name and marks
say, which `tests/test_fixtures.py` holds against the source.

``python -m tools.run_fixtures [CASE...]`` prints a line for each case and the table of all rules (``--table FILE`` writes
it); 1 if the halves disagree about one. Each run is a process of its own; a case takes as many as the probes of its rule
need (`PROBES`). Needs torch and sentencepiece. Not covered: rules that ask no run, scale, several processes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from auditor.engine import run_rule
from auditor.finding import Basis, Severity
from auditor.report import Outcome, RuleResult
from auditor.rule import Rule, Ruleset, RulesetName
from auditor.run.facts import RunFacts
from auditor.run.observe import RunOptions, observe
from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree
from rules import ALL_RULES
from rules.limits import RULES_AS_OF
from tools.lay_out_fixtures import Case, find_cases, lay_out

PROBES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("PG403", "PG503", "PG504", "PG701", "PG702", "PG703", "PG802", "PG901", "PG902"), ()),
    "PG401": ("suffix",),
    "PG402": ("artifact",),
    "PG501": ("suffix", "target"),
    "PG502": ("suffix", "target"),
    "PG601": ("target", "bound"),
    "PG602": ("bound",),
    "PG603": ("bound",),
    "PG801": ("suffix",),
}
"""The rules that ask a run, each with the probes that its question is about."""
CUTS = (0.02,)  # of the suffix probe; an audit has more, which decide what one does

_OFFENDED = (Outcome.FAIL, Outcome.REVIEW)
_LEGEND = """*Decided by both*: the source alone and the run each say what the case is. *Same*: so does the outcome of both
together. *By the run alone*: what the source misses or leaves open. *A run cannot tell*: the case says why, below, and
the run indeed does not decide it."""


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
    def is_told(self) -> bool:
        """Does the run say what the case is?"""
        return self.says is (Says.CLEAN if self.case.kind == "good" else Says.CONFIRMED)

    @property
    def by_source(self) -> bool:
        """Does the source alone say what the case is? A known miss does not show there by definition."""
        return self.source is Outcome.PASS if self.case.kind == "good" else self.source in _OFFENDED

    @property
    def contradiction(self) -> str | None:
        """What is wrong between source, run and case, in words; None if nothing is."""
        declared = self.case.run_cannot_tell is not None
        if self.is_told and declared:
            return f"the case says that a run cannot tell, but the run says {self.says}"
        if not self.is_told and not declared:
            return f"the run says {self.says}, and the case does not say why ({self.run.failure or 'it ran to its end'})"
        if self.case.kind == "good" and self.says is Says.CONFIRMED:
            return "the run sees an offence in a good case"
        if self._is_worse():
            return f"{self.source} by the source became {self.both} with the run"
        return None

    def _is_worse(self) -> bool:
        """Is the outcome with the run further from the truth than that of the source?"""
        if self.case.kind == "good":
            return self.both in _OFFENDED and self.both is not self.source
        if self.is_told and self.both not in _OFFENDED:
            return True
        return self.source in _OFFENDED and self.both is not self.source and self.both is not Outcome.FAIL


def cases(names: Sequence[str] = ()) -> Iterator[Case]:
    """The cases of rules that ask a run; only the named ones, or those of named rules, where some are."""
    for case in find_cases():
        if case.rule_id in PROBES and (not names or case.name in names or case.rule_id in names):
            yield case


def hold(case: Case, python: Path) -> Held:
    """Run one case and ask its rule without and with the run."""
    rule = next(rule for rule in ALL_RULES if rule.id == case.rule_id)
    with tempfile.TemporaryDirectory() as folder:
        laid_out = lay_out(case, Path(folder) / case.path)
        submission = Submission(case.path, DirectoryTree(laid_out.root))
        source = ask(rule, submission).outcome
        submission.run = observe(submission, RunOptions(python=python, probes=PROBES[case.rule_id], cuts=CUTS))
        result = ask(rule, submission)
    return Held(case, source, result.outcome, says(result), submission.run)


def ask(rule: Rule, submission: Submission) -> RuleResult:
    """The rule's result under the default ruleset."""
    return run_rule(rule, submission, Ruleset(RulesetName.PRACTICE, RULES_AS_OF.value))


def says(result: RuleResult) -> Says:
    """What the run contributed to a result. What it notes beside the submitted number speaks for that number."""
    of_run = [f for f in result.findings if f.basis is Basis.RUN or f.message.endswith("a run confirms it")]
    if any(f.severity is not Severity.NOTE for f in of_run):
        return Says.CONFIRMED
    return Says.CLEAN if of_run or Basis.RUN in result.checked else Says.SILENT


def table(held: Iterable[Held]) -> Iterator[str]:
    """Lines of Markdown: how many cases of each rule both halves decide, and why a run does not decide the others."""
    by_rule: defaultdict[str, list[Held]] = defaultdict(list)
    for each in held:
        by_rule[each.case.rule_id].append(each)
    names = {rule.id: rule.name for rule in ALL_RULES}
    yield from ("# Fixtures through source and run", "", "    python -m tools.run_fixtures --table FILE", "", _LEGEND, "")
    yield "| rule | cases | decided by both | same | by the run alone | a run cannot tell |"
    yield "|---|---|---|---|---|---|"
    total = [0] * 5
    for rule_id, mine in by_rule.items():
        counts = _counts(mine)
        total = [one + other for one, other in zip(total, counts, strict=True)]
        yield f"| {rule_id} {names[rule_id]} | {' | '.join(map(str, counts))} |"
    yield f"| all | {' | '.join(map(str, total))} |"
    yield ""
    yield "| case | why a run cannot tell |"
    yield "|---|---|"
    for each in (each for mine in by_rule.values() for each in mine if each.case.run_cannot_tell):
        yield f"| {each.case.name} | {each.case.run_cannot_tell} |"


def _counts(held: Sequence[Held]) -> list[int]:
    both = [each for each in held if each.by_source and each.is_told]
    return [
        len(held),
        len(both),
        sum(each.contradiction is None for each in both),
        sum(each.is_told and not each.by_source for each in held),
        sum(each.case.run_cannot_tell is not None for each in held),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each case, and the table; 1 if the halves disagree about one."""
    parser = argparse.ArgumentParser(description="Hold what a run says about fixture cases against source and marks.")
    parser.add_argument("cases", nargs="*", help="test ids such as PG701-bad_train_then_score, or rule ids; all by default")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--table", type=Path, help="write the table to this file")
    arguments = parser.parse_args(argv)
    held = []
    for case in cases(arguments.cases):
        held.append(hold(case, arguments.python))
        one = held[-1]
        told = f"source {one.source:7} with run {one.both:7} run says {one.says:9} {one.contradiction or ''}"
        print(f"{case.name:55} {told}", flush=True)
    text = "\n".join(table(held)) + "\n"
    print(f"\n{text}")
    if arguments.table is not None:
        arguments.table.write_text(text, encoding="utf-8")
    return int(any(each.contradiction for each in held))


if __name__ == "__main__":
    raise SystemExit(main())
