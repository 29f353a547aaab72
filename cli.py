"""The command line: arguments, calls, exit code.

0: clean; 1: findings; 2: the job could not be done, or not all of it. Imports stand inside the commands, so that ``--help``
answers at once and the audit never loads what only the trainer needs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.command import add_eval_parser, add_train_parser
from trainer.data_command import add_data_parser
from trainer.demo import add_demo_parser
from trainer.pack_command import add_pack_parser
from trainer.record import add_record_parser

if TYPE_CHECKING:
    from auditor.batch import Job
    from auditor.gate.decision import Decisions
    from auditor.report import ReportSet, Unreadable
    from auditor.rule import Ruleset
    from auditor.run.observe import RunOptions

FORMATS = ("text", "json", "sarif", "markdown", "github", "html")
RULESETS = ("practice", "readme")
FAIL_ON = ("violation", "review", "open")
PROBES = ("suffix", "target", "bound", "artifact")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except KeyboardInterrupt:
        print("pgolf: interrupted", file=sys.stderr)
        return 2
    return status


def parser() -> argparse.ArgumentParser:
    """Every subcommand with its options."""
    whole = argparse.ArgumentParser(prog="pgolf", description="Trainer and auditor for the Parameter Golf challenge.")
    whole.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = whole.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_audit(commands.add_parser("audit", help="is a submission valid, and where does its number come from?"))
    listing = commands.add_parser("rules", help="list the rules")
    listing.add_argument("--ruleset", choices=RULESETS, default="practice", help="which status to show")
    listing.set_defaults(run=_rules)
    explain = commands.add_parser("explain", help="what a rule says, and on whose authority")
    explain.add_argument("rule", nargs="+", metavar="RULE", help="an id, a name, or the beginning of an id")
    explain.set_defaults(run=_explain)
    _add_run_trace(commands.add_parser("run-trace", help="run a submission in a sandbox and tell what it did, in order"))
    add_train_parser(commands)
    add_eval_parser(commands)
    add_data_parser(commands)
    add_record_parser(commands, _compare)
    add_demo_parser(commands)
    add_pack_parser(commands)
    completion = commands.add_parser("completion", help="print a shell's completion script")
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    completion.set_defaults(run=_completion)
    return whole


def _add_audit(audit: argparse.ArgumentParser) -> None:
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
    how.add_argument("--as-of", type=_day, metavar="DATE", help="leave out rules that came into force later")
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
    out.add_argument("--also", type=_format_and_file, action="append", default=[], metavar="FORMAT=FILE", help=also)
    out.add_argument("--explain-flow", action="store_true", help="tell the evaluation as a story, in program order")
    out.add_argument("--jobs", type=_positive, default=1, metavar="N", help="audit N submissions side by side")
    audit.set_defaults(run=_audit, refuse=audit.error)


def _add_run(audit: argparse.ArgumentParser) -> None:
    run = audit.add_argument_group("whether to run it")
    flag = argparse.BooleanOptionalAction
    run.add_argument("--run", dest="is_run", action=flag, default=False, help="run the script in a sandbox as well")
    _add_run_options(run)


def _add_run_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--run-python", type=Path, metavar="PATH", help="a Python that has torch, numpy and sentencepiece")
    group.add_argument("--run-timeout", type=_seconds, metavar="SECONDS", help="wall time for each run of the script (600)")
    group.add_argument("--run-probes", nargs="+", choices=(*PROBES, "none"), help="usually suffix, target and bound")
    group.add_argument("--keep-run", type=Path, metavar="DIR", help="keep its log, its events and what they showed there")


def _add_run_trace(trace: argparse.ArgumentParser) -> None:
    trace.add_argument("path", nargs="?", type=Path, metavar="PATH", help="a submission folder or a script")
    trace.add_argument("--repo", type=Path, metavar="GITDIR", help="a clone or mirror of the contest repository")
    trace.add_argument("--pr", type=int, metavar="N", help="a pull request of --repo")
    _add_run_options(trace.add_argument_group("how to run it"))
    trace.set_defaults(run=_run_trace, refuse=trace.error)


def _audit(arguments: argparse.Namespace) -> int:
    from auditor.batch import Auditor, audit_all
    from auditor.output.progress import progress
    from auditor.registry import select_rules
    from auditor.report import FailOn, ReportSet, exit_code
    from auditor.submission.errors import SubmissionError
    from rules import ALL_RULES

    _check_usage(arguments)
    try:
        rules = select_rules(ALL_RULES, _words(arguments.select), _words(arguments.ignore))
        ruleset = _ruleset(arguments)
        run = _run_options(arguments) if arguments.is_run else None
        jobs, notices = _jobs(arguments)
        decisions = _decisions(arguments)
    except (ValueError, SubmissionError) as error:
        return _failed(str(error))
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
    found = ReportSet(tool_version=_version(), ruleset=ruleset, reports=reports, notices=tuple(notices))
    if arguments.write_baseline is not None:
        decisions = decisions.adopt(found, str(arguments.write_baseline))
    done = decisions.apply(found)
    _tell_errors(done)
    status = 0 if _is_change(arguments) and not jobs else exit_code(done.reports, FailOn(arguments.fail_on))
    return _write(done, decisions, arguments) or status


def _ruleset(arguments: argparse.Namespace) -> Ruleset:
    """How to judge; ValueError for a split that cannot be read and a row that is not on the leaderboard."""
    from auditor.reference import read_split
    from auditor.rule import Ruleset, RulesetName
    from rules.leaderboard import find_row
    from rules.limits import RULES_AS_OF

    return Ruleset(
        RulesetName(arguments.ruleset),
        arguments.as_of or RULES_AS_OF.value,
        split=read_split(arguments.split) if arguments.split else None,
        against=find_row(arguments.against).name if arguments.against else None,
    )


def _compare(row: str, scores: Sequence[tuple[float, float]]) -> list[str]:
    """Sentences for the README of a record; here since the trainer knows nothing of rules and leaderboards."""
    from rules.significance import compare

    return compare(row, scores)


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


def _decisions(arguments: argparse.Namespace) -> Decisions:
    from datetime import UTC, datetime

    from auditor.batch import change_set
    from auditor.gate.files import read_decisions
    from rules import ALL_RULES

    change = change_set(arguments.repo or Path.cwd(), arguments.base) if _is_change(arguments) else None
    rule_ids = {rule.id for rule in ALL_RULES}
    return read_decisions(arguments.waivers, arguments.baseline, change, rule_ids, datetime.now(UTC).date())


def _run_options(arguments: argparse.Namespace) -> RunOptions:
    """How to run submissions. ValueError if the Python for it cannot."""
    from auditor.run.observe import RunOptions, check_python

    python = arguments.run_python or Path(sys.executable)
    check_python(python)
    options = RunOptions(python=python, keep=arguments.keep_run)
    if arguments.run_timeout is not None:
        options = replace(options, seconds=arguments.run_timeout)
    if arguments.run_probes is not None:
        options = replace(options, probes=tuple(kind for kind in arguments.run_probes if kind != "none"))
    return options


def _run_trace(arguments: argparse.Namespace) -> int:
    from auditor.batch import PathJob, PullRequestJob
    from auditor.output.progress import progress
    from auditor.report import Unreadable
    from auditor.run.observe import observe
    from auditor.run.story import tell
    from auditor.submission.errors import SubmissionError

    if (arguments.path is None) == (arguments.pr is None or arguments.repo is None):
        arguments.refuse("name a PATH, or --repo GITDIR and --pr N")
    job = PullRequestJob(arguments.repo, arguments.pr) if arguments.path is None else PathJob(str(arguments.path))
    try:
        options = _run_options(arguments)
        found = job.open()
    except (ValueError, SubmissionError) as error:
        return _failed(str(error))
    if isinstance(found, Unreadable):
        return _failed(f"{found.path}: {found.reason}")
    with progress(1, has_phases=True) as told:
        facts = observe(found, options, told.on_phase)
    print(tell(facts))
    return 0 if facts.failure is None else 2


def _tell_errors(reports: ReportSet) -> None:
    """Name on standard error what could not be audited, whatever the format and wherever the reports go."""
    unreadable = [item for report in reports.reports for item in report.unreadable if item.fatal]
    for line in [*(f"{item.path!r}: {item.reason}" for item in unreadable), *reports.notices]:
        _failed(line)


def _write(reports: ReportSet, decisions: Decisions, arguments: argparse.Namespace) -> int:
    """Write every report that was asked for, each whole or not at all, and the baseline; 2 if one cannot be written."""
    from auditor.gate.baseline import render_baseline
    from auditor.output import render
    from rules import ALL_RULES

    for form, file in [(arguments.format, arguments.output), *arguments.also]:
        color = file is None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
        if not _written(render(reports, ALL_RULES, form, color=color), file):
            return 2
    if arguments.write_baseline is not None and decisions.baseline is not None:
        return 0 if _written(render_baseline(decisions.baseline), arguments.write_baseline) else 2
    return 0


def _written(text: str, file: Path | None) -> bool:
    """Write to `file`, or to standard output; False, and the reason on standard error, if that cannot be."""
    if file is None:
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.flush()
        return True
    try:
        _replace(file, text)
    except OSError as error:
        _failed(f"{file}: {error.strerror}")
        return False
    return True


def _replace(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise


def _rules(arguments: argparse.Namespace) -> int:
    from auditor.output.explain import list_rules
    from auditor.rule import RulesetName
    from rules import ALL_RULES

    print(list_rules(ALL_RULES, RulesetName(arguments.ruleset)))
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    from auditor.output.explain import explain
    from auditor.registry import UnknownRuleError, find_rules
    from rules import ALL_RULES

    try:
        found = find_rules(ALL_RULES, _words(arguments.rule))
    except UnknownRuleError as error:
        return _failed(str(error))
    print("\n\n".join(explain(rule, color=sys.stdout.isatty()).rstrip() for rule in found))
    return 0


def _completion(arguments: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError:
        return _failed("completion needs the package shtab: pip install 'pgolf[completion]'")
    print(shtab.complete(parser(), shell=arguments.shell))
    return 0


class _Version(argparse.Action):
    """Print the version; looked up only when asked for, since package metadata is slow to load."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"pgolf {_version()}")
        parser.exit()


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pgolf")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0+unknown"


def _words(options: Sequence[str]) -> list[str]:
    """Options that may be repeated, separated by blanks or by commas."""
    return [word for option in options for word in option.split(",") if word]


def _format_and_file(text: str) -> tuple[str, Path]:
    form, _, file = text.partition("=")
    if form not in FORMATS or not file:
        raise argparse.ArgumentTypeError(f"{text!r} is no FORMAT=FILE with one of {', '.join(FORMATS)}")
    return form, Path(file)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date such as 2026-05-02") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value


def _failed(reason: str) -> int:
    from auditor.output.sanitize import disarm_commands, plain

    print(f"pgolf: {disarm_commands(plain(reason))}", file=sys.stderr)  # it may quote a name out of a submission
    return 2


if __name__ == "__main__":
    sys.exit(main())
