"""`pgolf train` and `pgolf eval`: arguments, calls, exit code.

Imports nothing heavy until a command runs, so that the audit and `--help` need no torch.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import PRESETS, Config, apply_overrides, describe_settings, preset

if TYPE_CHECKING:
    from trainer.evaluate import EvalResult

OK, INTERRUPTED, FAILED = 0, 1, 2
INSTALL = "pip install 'pgolf[train]'"
# OpenMP reads it when torch is loaded. Threads that spin while they wait for each other take the core that the other one
# needs: on two cores with other work a step then takes ten times as long. Without other work spinning saves a quarter.
WAITING = ("OMP_WAIT_POLICY", "PASSIVE")

Commands = Any  # what add_subparsers returns has no public name


def add_train_parser(commands: Commands) -> None:
    """The `train` command."""
    parser = commands.add_parser("train", help="train a model and write a whole submission")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="named settings (default: tiny, for a CPU)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change one setting; repeatable"
    )
    parser.add_argument("--settings", action="store_true", help="print all settings with their meaning, and stop")
    parser.add_argument("--resume", type=Path, metavar="FOLDER", help="continue the run of this folder")
    parser.add_argument("--overwrite", action="store_true", help="replace a run that the output folder holds")
    parser.add_argument("--quiet", action="store_true", help="print the results only; the log file has everything")
    parser.set_defaults(run=_train)


def add_eval_parser(commands: Commands) -> None:
    """The `eval` command."""
    parser = commands.add_parser("eval", help="measure val_bpb of an artifact")
    parser.add_argument("artifact", type=Path, help="a file that `train` wrote")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="settings of evaluation and data (default: tiny)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change one of them; repeatable"
    )
    parser.set_defaults(run=_eval)


def _train(arguments: argparse.Namespace) -> int:
    return report_errors("train", lambda: _train_or_raise(arguments))


def _train_or_raise(arguments: argparse.Namespace) -> int:
    if arguments.settings:
        for name, value, sentence in describe_settings(_config(arguments)):
            print(f"{name} = {value or repr(value)}  # {sentence}")
        return OK
    from trainer import pipeline

    if arguments.resume is not None:
        if arguments.preset or arguments.set or arguments.overwrite:
            raise ValueError(
                "--resume takes the settings of the run that it continues: leave out --preset, --set, --overwrite"
            )
        outcome = pipeline.resume(arguments.resume, quiet=arguments.quiet)
    else:
        outcome = pipeline.run(_config(arguments), overwrite=arguments.overwrite, quiet=arguments.quiet)
    if outcome.folder is None:
        return OK
    for line in outcome.summary():
        print(line)
    return INTERRUPTED if outcome.is_interrupted else OK


def _eval(arguments: argparse.Namespace) -> int:
    return report_errors("eval", lambda: _eval_or_raise(arguments))


def _eval_or_raise(arguments: argparse.Namespace) -> int:
    from trainer import pipeline
    from trainer.evaluate import log_result

    results: dict[str, EvalResult] = pipeline.evaluate_artifact(arguments.artifact, _config(arguments))
    for label, result in results.items():
        log_result(print, label, result)
    return OK


def _config(arguments: argparse.Namespace) -> Config:
    return apply_overrides(preset(arguments.preset or "tiny"), arguments.set)


def report_errors(command: str, call: Callable[[], int]) -> int:
    """What a user can mend is one line on standard error; anything else is a defect and keeps its traceback."""
    os.environ.setdefault(*WAITING)
    try:
        return call()
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "numpy", "sentencepiece"):
            raise
        print(f"pgolf {command}: {error.name} is not installed: {INSTALL}", file=sys.stderr)
    except BrokenPipeError:
        raise  # the reader of our output has seen enough: for the command line to handle
    except (ValueError, OSError) as error:
        print(f"pgolf {command}: {error}", file=sys.stderr)
    return FAILED
