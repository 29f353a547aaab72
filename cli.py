"""The command line: what there is to call, and what the two halves hand each other.

0: clean; 1: findings; 2: the job could not be done, or not all of it. The commands stand in `auditor.commands` and in
`trainer`; they import what they need when they run, so that ``--help`` answers at once and the audit never loads what only
the trainer needs. The auditor does not know the contest's rules, nor the trainer its leaderboard: both are handed in here.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from auditor.commands.audit import add_audit_parser
from auditor.commands.contest import Contest
from auditor.commands.rules import add_rules_parsers
from auditor.commands.running import add_run_trace_parser
from auditor.commands.writing import failed
from trainer.command import add_eval_parser, add_train_parser
from trainer.data_command import add_data_parser
from trainer.demo import add_demo_parser
from trainer.pack_command import add_pack_parser
from trainer.record import add_record_parser


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
    add_audit_parser(commands, _contest, _version)
    add_rules_parsers(commands, _contest)
    add_run_trace_parser(commands)
    add_train_parser(commands)
    add_eval_parser(commands)
    add_data_parser(commands)
    add_pack_parser(commands)
    add_record_parser(commands, _compare)
    add_demo_parser(commands)
    completion = commands.add_parser("completion", help="print a shell's completion script")
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    completion.set_defaults(run=_completion)
    return whole


def _contest() -> Contest:
    from rules import ALL_RULES
    from rules.leaderboard import find_row
    from rules.limits import RULES_AS_OF

    return Contest(rules=ALL_RULES, as_of=RULES_AS_OF.value, find_row=lambda name: find_row(name).name)


def _compare(row: str, scores: Sequence[tuple[float, float]]) -> list[str]:
    """Sentences for the README of a record."""
    from rules.significance import compare

    return compare(row, scores)


def _completion(arguments: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError:
        return failed("completion needs the package shtab: pip install 'pgolf[completion]'")
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


if __name__ == "__main__":
    sys.exit(main())
