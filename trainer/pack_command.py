"""`pgolf pack`: the script of a run as one file, and what it counts under the cap."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.command import OK, report_errors
from trainer.config import PRESETS, Config, apply_overrides, from_dict, preset
from trainer.files import write_atomically
from trainer.run_folder import ARTIFACT_NAME, CONFIG_NAME
from trainer.size import SubmissionSize

if TYPE_CHECKING:
    from rich.table import Table

    from trainer.pack import Packed


def add_pack_parser(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """The `pack` command."""
    parser = commands.add_parser("pack", help="make one self-contained script of the trainer and a run's settings")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--preset", choices=sorted(PRESETS), help="named settings (default: tiny)")
    which.add_argument("--run", dest="run_folder", type=Path, metavar="FOLDER", help="the settings of this run")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change one setting; repeatable"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the script there; without it only tell sizes")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--readable", action="store_true", help="keep docstrings, comments, annotations and layout")
    form.add_argument("--self-extracting", action="store_true", help="compress it, behind a loader of two lines")
    parser.set_defaults(run=lambda arguments: report_errors("pack", lambda: _pack(arguments)))


def _pack(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from trainer.pack import pack
    from trainer.pack.wrap import STANDARD_LIBRARY

    config = apply_overrides(_config(arguments), arguments.set)
    packed = pack(config, readable=arguments.readable)
    artifact = None if arguments.run_folder is None else arguments.run_folder / ARTIFACT_NAME
    model_bytes = artifact.stat().st_size if artifact is not None and artifact.is_file() else None
    Console().print(size_table(packed, model_bytes))
    if arguments.output is not None:
        code = packed.self_extracting.code if arguments.self_extracting else packed.plain
        write_atomically(arguments.output, code)
        print(f"{arguments.output}: {len(code):,} bytes")
        needs = packed.self_extracting.needs
        if arguments.self_extracting and needs not in STANDARD_LIBRARY:
            print(f"pgolf pack: {arguments.output} needs the package {needs} where it runs", file=sys.stderr)
    return OK


def _config(arguments: argparse.Namespace) -> Config:
    if arguments.run_folder is None:
        return preset(arguments.preset or "tiny")
    path = arguments.run_folder / CONFIG_NAME
    try:
        return from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{path}: the settings of the run cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: not the settings of a run: {error}") from error


def size_table(packed: Packed, model_bytes: int | None) -> Table:
    """Bytes of each form, and what it leaves under the cap beside an artifact of so many bytes."""
    from rich.table import Table

    table = Table("form", "needs")
    table.add_column("bytes", justify="right")
    table.add_column("left under the cap" if model_bytes is None else "left beside the artifact", justify="right")
    for form, needs, code_bytes in _forms(packed):
        size = SubmissionSize(code_bytes=code_bytes, model_bytes=model_bytes or 0)
        table.add_row(form, needs, f"{code_bytes:,}", f"{size.cap_bytes - size.total_bytes:,}")
    return table


def _forms(packed: Packed) -> Iterator[tuple[str, str, int]]:
    yield "readable" if packed.is_readable else "plain", "", len(packed.plain)
    if not packed.is_readable:
        for form in sorted(packed.forms.values(), key=lambda form: len(form.code)):
            chosen = " (chosen)" if form == packed.self_extracting else ""
            yield f"self-extracting{chosen}", form.needs, len(form.code)
