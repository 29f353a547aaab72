"""``pgolf audit``: which submissions, how to judge them, what to write."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.commands.contest import Contest
from auditor.commands.options import FAIL_ON, RULESETS, day, format_and_file, positive, words
from auditor.commands.running import add_run_options, run_options
from auditor.commands.writing import ERROR, failed, written
from auditor.output import FORMATS

if TYPE_CHECKING:
    from auditor.batch import Job
    from auditor.gate.decision import Decisions
    from auditor.report import ReportSet, Unreadable
    from auditor.rule import Rule, Ruleset


def add_audit_parser(commands: Any, contest: Callable[[], Contest], version: Callable[[], str]) -> None:  # noqa: ANN401
    """Add ``audit`` to the command line; `contest` and `version` are asked for only when something is audited."""
    audit = commands.add_parser("audit", help="is a submission valid, and where does its number come from?")
    what = audit.add_argument_group("what to audit")
    what.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="a record folder, a script, a tree of records")
    what.add_argument("--repo", type=Path, metavar="GITDIR", help="a clone or mirror of the contest repository")
    what.add_argument("--pr", type=int, action="extend", nargs="+", metavar="N", help="pull requests of --repo")
    what.add_argument("--folder", metavar="FOLDER", help="of several submission folders of one pull request, this one")
    what.add_argument("--all-prs", action="store_true", help="every pull request whose head --repo holds")
    what.add_argument("--base", metavar="REF", help="what HEAD adds to its merge base with REF, in --repo or here")
    what.add_argument("--staged", action="store_true", help="what a commit of the index would add, in --repo or here")
    how = audit.add_argument_group("how to judge")
    how.add_argument("--ruleset", choices=RULESETS, default="practice", help="rules as practised (default) or as written")
    how.add_argument("--as-of", type=day, metavar="DATE", help="leave out rules that came into force later")
    how.add_argument("--split", type=Path, metavar="FILE", help="hold scores against this validation split: your own data")
    how.add_argument("--against", metavar="ROW", help="the leaderboard row to beat; default: the one before its day")
    how.add_argument("--select", action="extend", nargs="+", default=[], metavar="RULE", help="only these rules")
    how.add_argument("--ignore", action="extend", nargs="+", default=[], metavar="RULE", help="all but these rules")
    how.add_argument("--fail-on", choices=FAIL_ON, default="violation", help="from what on the exit status is 1")
    gate = audit.add_argument_group("what the maintainers set aside (docs/gate.md)")
    gate.add_argument("--waivers", type=Path, metavar="FILE", help="waived findings (TOML)")
    gate.add_argument("--baseline", type=Path, metavar="FILE", help="known findings, which fail nothing")
    gate.add_argument("--write-baseline", type=Path, metavar="FILE", help="make the findings known from now on")
    _add_run(audit)
    out = audit.add_argument_group("what to write")
    out.add_argument("--format", choices=FORMATS, default="text")
    out.add_argument("--output", type=Path, metavar="FILE", help="write there instead of to standard output")
    also = "write a further format there"
    out.add_argument("--also", type=format_and_file, action="append", default=[], metavar="FORMAT=FILE", help=also)
    out.add_argument("--explain-flow", action="store_true", help="tell the evaluation as a story, in program order")
    out.add_argument("--jobs", type=positive, default=1, metavar="N", help="audit N submissions side by side")
    audit.set_defaults(run=partial(_audit, contest, version), refuse=audit.error)


def _add_run(audit: argparse.ArgumentParser) -> None:
    run = audit.add_argument_group("whether to run it")
    flag = argparse.BooleanOptionalAction
    run.add_argument("--run", dest="is_run", action=flag, default=False, help="run the script in a sandbox as well")
    add_run_options(run)


def _audit(contest: Callable[[], Contest], version: Callable[[], str], arguments: argparse.Namespace) -> int:
    from auditor.batch import Auditor, audit_all
    from auditor.output.progress import progress
    from auditor.registry import select_rules
    from auditor.report import FailOn, ReportSet, exit_code
    from auditor.submission.errors import SubmissionError

    _check_usage(arguments)
    try:
        known = contest()
        rules = select_rules(known.rules, words(arguments.select), words(arguments.ignore))
        ruleset = _ruleset(arguments, known)
        run = run_options(arguments) if arguments.is_run else None
        jobs, notices = _jobs(arguments)
        decisions = _decisions(arguments, known.rules)
    except (ValueError, SubmissionError) as error:
        return failed(str(error))
    pictures = "html" in (arguments.format, *(form for form, _ in arguments.also))
    auditor = Auditor(
        rules,
        ruleset,
        keep_empty=not arguments.all_prs,
        explain_flow=arguments.explain_flow or pictures,
        timelines=pictures,
        run=run,
    )
    with progress(len(jobs), has_phases=run is not None) as told:
        reports = audit_all(auditor, jobs, arguments.jobs, told.on_done, told.on_phase)
    found = ReportSet(tool_version=version(), ruleset=ruleset, reports=reports, notices=tuple(notices))
    if arguments.write_baseline is not None:
        decisions = decisions.adopt(found, str(arguments.write_baseline))
    done = decisions.apply(found)
    _tell_errors(done)
    status = 0 if _is_change(arguments) and not jobs else exit_code(done.reports, FailOn(arguments.fail_on))
    return _write(done, known.rules, decisions, arguments) or status


def _ruleset(arguments: argparse.Namespace, contest: Contest) -> Ruleset:
    """How to judge; ValueError for a split that cannot be read and a row that is not on the leaderboard."""
    from auditor.reference import read_split
    from auditor.rule import Ruleset, RulesetName

    return Ruleset(
        RulesetName(arguments.ruleset),
        arguments.as_of or contest.as_of,
        split=read_split(arguments.split) if arguments.split else None,
        against=contest.find_row(arguments.against) if arguments.against else None,
    )


def _check_usage(arguments: argparse.Namespace) -> None:
    """Exit with the usage where the options do not say what to audit."""
    named = bool(arguments.pr) or arguments.all_prs
    if named and arguments.repo is None:
        arguments.refuse("--pr and --all-prs need --repo GITDIR")
    if arguments.folder is not None and len(arguments.pr or ()) != 1:
        arguments.refuse("--folder needs one --pr N")
    if arguments.repo is not None and not named and not _is_change(arguments):
        arguments.refuse("--repo needs --pr N, --all-prs, --base REF or --staged")
    if not arguments.paths and not named and not _is_change(arguments):
        arguments.refuse("name something to audit: a PATH, --repo GITDIR with --pr N or --all-prs, --base REF or --staged")
    if arguments.base is not None and arguments.staged:
        arguments.refuse("--base audits what is committed, --staged what is not: choose one")


def _is_change(arguments: argparse.Namespace) -> bool:
    return arguments.staged or arguments.base is not None


def _jobs(arguments: argparse.Namespace) -> tuple[list[Job | Unreadable], list[str]]:
    """What to audit, and what to know about a change beside its submissions."""
    from auditor.batch import jobs_for_change, jobs_for_path, jobs_for_pull_requests, notices_on_change

    jobs = [job for path in arguments.paths for job in jobs_for_path(path)]
    if arguments.pr or arguments.all_prs:
        numbers = () if arguments.all_prs else arguments.pr
        jobs += jobs_for_pull_requests(arguments.repo, numbers, arguments.folder and arguments.folder.rstrip("/"))
    if not _is_change(arguments):
        return jobs, []
    where = arguments.repo or Path.cwd()
    return jobs + jobs_for_change(where, arguments.base), notices_on_change(where, arguments.base)


def _decisions(arguments: argparse.Namespace, rules: Sequence[Rule]) -> Decisions:
    from datetime import UTC, datetime

    from auditor.batch import change_set
    from auditor.gate.files import read_decisions

    change = change_set(arguments.repo or Path.cwd(), arguments.base) if _is_change(arguments) else None
    rule_ids = {rule.id for rule in rules}
    return read_decisions(arguments.waivers, arguments.baseline, change, rule_ids, datetime.now(UTC).date())


def _tell_errors(reports: ReportSet) -> None:
    """Name on standard error what could not be audited, whatever the format and wherever the reports go."""
    unreadable = [item for report in reports.reports for item in report.unreadable if item.fatal]
    for line in [*(f"{item.path!r}: {item.reason}" for item in unreadable), *reports.notices]:
        failed(line)


def _write(reports: ReportSet, rules: Sequence[Rule], decisions: Decisions, arguments: argparse.Namespace) -> int:
    """Write every report that was asked for, each whole or not at all, and the baseline; 2 if one cannot be written."""
    from auditor.gate.baseline import render_baseline
    from auditor.output import render

    for form, file in [(arguments.format, arguments.output), *arguments.also]:
        color = file is None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
        if not written(render(reports, rules, form, color=color), file):
            return ERROR
    if arguments.write_baseline is not None and decisions.baseline is not None:
        return 0 if written(render_baseline(decisions.baseline), arguments.write_baseline) else ERROR
    return 0
