"""Agreement between the auditor and adjudicated facts about real pull requests.

``python bench/agreement.py --repo GITDIR --truth FILE`` audits every pull request that the truth file lists and prints, for
each column that some rule answers, true and false positives and negatives, precision, recall, and every disagreement.
``--run DIR`` audits with the runs that `bench.run_corpus` kept in DIR, and prints a second table beside it: what the runs
alone say about the columns that a run can answer, over the rows whose run reached its end.

A truth column has a positive class ("over_cap", "no", "violation"). The auditor is positive where one of the column's rules
fails or asks for a person. Rows whose truth is "unknown" count as negatives: where nobody could tell, a finding would
be a false alarm. A test-time training that is live by the truth's reading but not the headline's (it runs, another line is
submitted) is `dead` in the truth and counts against the rules here.

Some columns are answered by several rules. A later epoch's score and a kept warm-up are training before the score; a
choice by realised losses is one by the realised token; a later epoch, and a cache asked out of order, score a second time.
For a run, later tokens that reach an earlier score without training came by a first pass over them.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the repository's root is not on the path then
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from auditor.engine import audit
from auditor.report import Outcome, Report, RuleResult
from auditor.rule import Ruleset, RulesetName
from auditor.run.facts import RunFacts
from auditor.submission.repository import Repository
from auditor.submission.submission import Submission
from bench.run_corpus import Row, judged_submission, kept_run
from rules import ALL_RULES
from rules.limits import RULES_AS_OF
from rules.run_facts import (
    bytes_counted,
    corrected_by_token,
    fitted_before_score,
    later_tokens_reach,
    reached_out,
    scored_again,
    trained_before_score,
)

Audited = Sequence[tuple[Row, Report | None]]


def _speaks_up(result: RuleResult) -> bool:
    return result.outcome in (Outcome.FAIL, Outcome.REVIEW)


def _fails(result: RuleResult) -> bool:
    return result.outcome is Outcome.FAIL


def _uses_training_late(result: RuleResult) -> bool:
    """Training shards at evaluation, or calibration on them after the budget that prints no time of its own."""
    return result.outcome is (Outcome.REVIEW if result.rule_id == "PG303" else Outcome.FAIL)


def _recognises_score_first(result: RuleResult) -> bool:
    said = [evidence.message for evidence in result.evidence if evidence.message.startswith("score-first")]
    return any("is not among" not in message for message in said)


def _declared_differs(result: RuleResult) -> bool:
    return any(finding.anchor.startswith("declared") for finding in result.findings)


@dataclass(frozen=True, slots=True)
class Column:
    """A truth column, its positive class, the rules that answer it, and what counts as a rule's yes."""

    name: str
    positive: Callable[[str], bool]
    rules: tuple[str, ...]
    speaks: Callable[[RuleResult], bool] = _speaks_up


COLUMNS = (
    Column("size", lambda truth: truth == "over_cap", ("PG201",)),
    Column("code_bytes_claim", lambda truth: truth == "different", ("PG202",), _declared_differs),
    Column("log_matches_script", lambda truth: truth == "no", ("PG001",)),
    Column("json_matches_log", lambda truth: truth == "no", ("PG002",)),
    Column("byte_count_bug", lambda truth: truth.startswith("violation"), ("PG901", "PG902", "PG802")),
    Column("train_before_score", lambda truth: truth == "violation_live", ("PG701", "PG702", "PG703"), _fails),
    Column("slot", lambda truth: truth in ("violation_live", "context_only_live"), ("PG503", "PG504")),
    Column("ngram_cache", lambda truth: truth == "hashed_target_lookup_live", ("PG601",), _fails),
    Column("target_gate", lambda truth: truth == "violation_live", ("PG502", "PG604"), _fails),
    Column("byte_mixture", lambda truth: truth == "live", ("PG603",), _fails),
    Column("two_pass", lambda truth: truth == "violation_live", ("PG702", "PG801", "PG803"), _fails),
    Column("val_in_training", lambda truth: truth == "violation_live", ("PG401", "PG404")),
    Column("train_data_at_eval", lambda truth: truth == "violation_live", ("PG303", "PG402"), _uses_training_late),
    Column("network", lambda truth: truth == "violation_live", ("PG403",)),
    Column("score_first_ttt", lambda truth: truth == "live", ("PG701",), _recognises_score_first),
)


@dataclass(slots=True)
class Tally:
    """Counts of one column and its disagreements."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    true_negatives: int = 0
    disagreements: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        found = self.true_positives + self.false_positives
        return self.true_positives / found if found else 1.0

    @property
    def recall(self) -> float:
        there = self.true_positives + self.false_negatives
        return self.true_positives / there if there else 1.0

    def add(self, truth: bool, found: bool, row: str) -> None:
        """Count one row; `row` describes it in the list of disagreements."""
        if truth and found:
            self.true_positives += 1
        elif truth:
            self.false_negatives += 1
            self.disagreements.append(f"missed  {row}")
        elif found:
            self.false_positives += 1
            self.disagreements.append(f"alarmed {row}")
        else:
            self.true_negatives += 1


RUN_COLUMNS: Mapping[str, Callable[[Submission, RunFacts], bool]] = {
    "train_before_score": lambda submission, run: bool(trained_before_score(submission, run).observed),
    "slot": lambda submission, run: bool(fitted_before_score(submission, run).observed),
    "two_pass": lambda submission, run: bool(
        scored_again(submission, run).observed or later_tokens_reach(submission, run).observed
    ),
    "score_first_ttt": lambda submission, run: any(line.is_score_first for line in run.lines),
    "target_gate": lambda submission, run: bool(corrected_by_token(submission, run).observed),
    "network": lambda submission, run: bool(reached_out(submission, run).observed),
    "byte_count_bug": lambda submission, run: bool(bytes_counted(submission, run).observed),
}
Ran = Sequence[tuple[Row, Submission, RunFacts]]


def audit_rows(
    repository: Repository, rows: Sequence[Row], runs: Path | None = None
) -> Iterable[tuple[Row, Report | None]]:
    """Each truth row with the report on its pull request (with its kept run); None where there was nothing to audit."""
    ruleset = Ruleset(RulesetName.PRACTICE, RULES_AS_OF.value)
    for number, row in enumerate(rows, start=1):
        print(f"\r{number}/{len(rows)}", end="", file=sys.stderr, flush=True)
        opened = judged_submission(repository, row)
        if runs is not None and isinstance(opened, Submission):
            opened.run = kept_run(runs, opened)
        yield row, audit(opened, ALL_RULES, ruleset) if isinstance(opened, Submission) else None
    print(file=sys.stderr)


def tally(column: Column, audited: Audited) -> Tally:
    """Hold the reports against one truth column."""
    counts = Tally()
    for row, report in audited:
        results = [result for result in report.results if result.rule_id in column.rules] if report else []
        found = any(column.speaks(result) for result in results)
        messages = "; ".join(f"{f.rule_id} {f.severity}: {f.message}" for r in results for f in r.findings)
        described = f"#{row['pr']} truth={row[column.name]!r} ours={messages or [str(r.outcome) for r in results]}"
        counts.add(column.positive(row[column.name]), found, described)
    return counts


def kept_runs(repository: Repository, rows: Sequence[Row], runs: Path) -> Ran:
    """The rows of which a run was kept that reached its end."""
    opened = ((row, judged_submission(repository, row)) for row in rows)
    kept = ((row, found, kept_run(runs, found)) for row, found in opened if isinstance(found, Submission))
    return [(row, found, run) for row, found, run in kept if run is not None and run.failure is None]


def tally_runs(column: Column, ran: Ran) -> Tally:
    """Hold what the runs alone say against one truth column."""
    counts, asked = Tally(), RUN_COLUMNS[column.name]
    for row, submission, run in ran:
        labels = [f"{line.label}: {line.num_early} early" for line in run.lines if line.offences]
        counts.add(column.positive(row[column.name]), asked(submission, run), f"#{row['pr']} {row[column.name]!r} {labels}")
    return counts


def print_tallies(tallies: dict[Column, Tally]) -> None:
    """The table, then every disagreement."""
    print(f"{'column':20} {'rules':17} {'TP':>4} {'FP':>4} {'FN':>4} {'TN':>4} {'precision':>10} {'recall':>7}")
    for column, counts in tallies.items():
        print(
            f"{column.name:20} {'+'.join(column.rules):17} {counts.true_positives:4} {counts.false_positives:4} "
            f"{counts.false_negatives:4} {counts.true_negatives:4} {counts.precision:10.3f} {counts.recall:7.3f}"
        )
    for column, counts in tallies.items():
        for line in counts.disagreements:
            print(f"{column.name}: {line}")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and the disagreements; 0 if every column reaches the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", required=True, type=Path, help="git directory of the contest with refs/pull/N/head")
    parser.add_argument("--truth", required=True, type=Path, help="tab-separated truth file")
    parser.add_argument("--target", type=float, default=0.95, help="least precision and recall (default 0.95)")
    parser.add_argument("--run", type=Path, metavar="DIR", help="a folder of runs that bench.run_corpus kept")
    arguments = parser.parse_args(argv)
    with arguments.truth.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    repository = Repository(arguments.repo)
    audited = list(audit_rows(repository, rows, arguments.run))
    elsewhere = [f"#{row['pr']}" for row in rows if not _is_headline(row, repository)]
    tallies = {column: tally(column, audited) for column in COLUMNS}
    print_tallies(tallies)
    if arguments.run is not None:
        ran = kept_runs(repository, rows, arguments.run)
        print(f"\n{len(ran)} of {len(rows)} rows ran to their end; the runs alone:")
        print_tallies({column: tally_runs(column, ran) for column in COLUMNS if column.name in RUN_COLUMNS})
    from bench.baselines import print_baselines  # it uses this module's tallies

    print_baselines(Repository(arguments.repo), rows)
    print(f"headline folder other than the truth's: {' '.join(elsewhere) or 'none'}")
    good = all(min(counts.precision, counts.recall) >= arguments.target for counts in tallies.values())
    return 0 if good else 1


def _is_headline(row: Row, repository: Repository) -> bool:
    """Does the auditor, left to itself, take the folder that the row judges?"""
    opened = repository.pull_request(int(row["pr"]))
    return isinstance(opened, Submission) and (opened.path == "." or row["script"].startswith(f"{opened.path}/"))


if __name__ == "__main__":
    sys.exit(main())
