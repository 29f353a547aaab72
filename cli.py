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
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.command import add_eval_parser, add_train_parser
from trainer.data_command import add_data_parser
from trainer.pack_command import add_pack_parser
from trainer.record import add_record_parser

if TYPE_CHECKING:
    from auditor.batch import Job
    from auditor.report import Report, ReportSet, Unreadable

FORMATS = ("text", "json", "sarif", "markdown", "github")
RULESETS = ("practice", "readme")
FAIL_ON = ("violation", "review", "open")


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
    add_train_parser(commands)
    add_eval_parser(commands)
    add_data_parser(commands)
    add_pack_parser(commands)
    add_record_parser(commands)
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
    what.add_argument("--base", metavar="REF", help="what HEAD adds to REF, in --repo or here")
    how = audit.add_argument_group("how to judge")
    how.add_argument("--ruleset", choices=RULESETS, default="practice", help="rules as practised (default) or as written")
    how.add_argument("--as-of", type=_day, metavar="DATE", help="leave out rules that came into force later")
    how.add_argument("--select", action="extend", nargs="+", default=[], metavar="RULE", help="only these rules")
    how.add_argument("--ignore", action="extend", nargs="+", default=[], metavar="RULE", help="all but these rules")
    how.add_argument("--fail-on", choices=FAIL_ON, default="violation", help="from what on the exit status is 1")
    out = audit.add_argument_group("what to write")
    out.add_argument("--format", choices=FORMATS, default="text")
    out.add_argument("--output", type=Path, metavar="FILE", help="write there instead of to standard output")
    out.add_argument("--explain-flow", action="store_true", help="tell the evaluation as a story, in program order")
    out.add_argument("--jobs", type=_positive, default=1, metavar="N", help="audit N submissions side by side")
    audit.set_defaults(run=_audit, refuse=audit.error)


def _audit(arguments: argparse.Namespace) -> int:
    from auditor.batch import Auditor, audit_all
    from auditor.output.progress import progress
    from auditor.registry import select_rules
    from auditor.report import FailOn, ReportSet, exit_code
    from auditor.rule import Ruleset, RulesetName
    from auditor.submission.errors import SubmissionError
    from rules import ALL_RULES
    from rules.limits import RULES_AS_OF

    _check_usage(arguments)
    try:
        rules = select_rules(ALL_RULES, _words(arguments.select), _words(arguments.ignore))
        jobs = _jobs(arguments)
    except (ValueError, SubmissionError) as error:
        return _failed(str(error))
    if not jobs and arguments.base is not None:
        print(f"pgolf: nothing to audit: the change against {arguments.base} touches no submission", file=sys.stderr)
        return 0
    ruleset = Ruleset(RulesetName(arguments.ruleset), arguments.as_of or RULES_AS_OF.value)
    auditor = Auditor(rules, ruleset, keep_empty=not arguments.all_prs, explain_flow=arguments.explain_flow)
    with progress(len(jobs)) as on_done:
        reports = audit_all(auditor, jobs, arguments.jobs, on_done)
    for report in reports:
        _tell_errors(report)
    done = ReportSet(tool_version=_version(), ruleset=ruleset, reports=reports)
    return _write(done, arguments) or exit_code(reports, FailOn(arguments.fail_on))


def _check_usage(arguments: argparse.Namespace) -> None:
    """Exit with the usage where the options do not say what to audit."""
    named = bool(arguments.pr) or arguments.all_prs
    if named and arguments.repo is None:
        arguments.refuse("--pr and --all-prs need --repo GITDIR")
    if arguments.folder is not None and len(arguments.pr or ()) != 1:
        arguments.refuse("--folder needs one --pr N")
    if arguments.repo is not None and not named and arguments.base is None:
        arguments.refuse("--repo needs --pr N, --all-prs or --base REF")
    if not arguments.paths and not named and arguments.base is None:
        arguments.refuse("name something to audit: a PATH, --repo GITDIR with --pr N or --all-prs, or --base REF")


def _jobs(arguments: argparse.Namespace) -> list[Job | Unreadable]:
    from auditor.batch import jobs_for_change, jobs_for_path, jobs_for_pull_requests

    jobs = [job for path in arguments.paths for job in jobs_for_path(path)]
    if arguments.pr or arguments.all_prs:
        numbers = () if arguments.all_prs else arguments.pr
        jobs += jobs_for_pull_requests(arguments.repo, numbers, arguments.folder and arguments.folder.rstrip("/"))
    if arguments.base is not None:
        jobs += jobs_for_change(arguments.repo or Path(), arguments.base)
    return jobs


def _tell_errors(report: Report) -> None:
    """Name on standard error what could not be audited, whatever the format and wherever the report goes."""
    for item in report.unreadable:
        if item.fatal:
            print(f"pgolf: {item.path!r}: {item.reason}", file=sys.stderr)


def _write(reports: ReportSet, arguments: argparse.Namespace) -> int:
    """Render to standard output or to --output, whole or not at all; 2 if that cannot be written."""
    from auditor.output import render
    from rules import ALL_RULES

    color = arguments.output is None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    text = render(reports, ALL_RULES, arguments.format, color=color)
    if arguments.output is None:
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.flush()
        return 0
    try:
        _replace(arguments.output, text)
    except OSError as error:
        return _failed(f"{arguments.output}: {error.strerror}")
    return 0


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


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date such as 2026-05-02") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _failed(reason: str) -> int:
    print(f"pgolf: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
