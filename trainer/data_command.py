"""`pgolf data`: make, fetch and look at training data. Arguments to calls; whatever is heavy is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from trainer.command import report_errors

OK, PROBLEMS = 0, 1

Command = Callable[[argparse.Namespace], int]


def add_data_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `data` with its subcommands. Each sets `run`: arguments in, exit code out."""
    description = "Make, fetch and look at training data."
    data = commands.add_parser("data", help=description, description=description)
    subcommands = data.add_subparsers(dest="data_command", required=True, metavar="COMMAND")
    _add_demo(subcommands)
    _add_prepare(subcommands)
    _add_download(subcommands)
    _add_inspect(subcommands)


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: Command, description: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=description, description=description)
    parser.set_defaults(run=lambda arguments: report_errors("data", lambda: run(arguments)))
    return parser


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "demo", _demo, "Make the embedded data set, from text that this Python comes with.")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to; default is the user's cache folder")


def _add_prepare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "prepare", _prepare, "Make a tokenizer and shards from text, JSON lines or parquet.")
    parser.add_argument("inputs", nargs="+", type=Path, metavar="PATH", help="files, or folders of them")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="where to")
    parser.add_argument("--vocab-size", type=int, default=1024, metavar="N", help="pieces to learn (default: 1024)")
    parser.add_argument("--tokenizer", type=Path, metavar="FILE", help="use this SentencePiece model, learn none")
    parser.add_argument(
        "--normalization",
        choices=("none", "published"),
        default="none",
        help="none keeps text as it is; published is that of the contest's tokenizers (default: none)",
    )
    parser.add_argument("--val-fraction", type=float, default=0.01, metavar="F", help="of the documents (default: 0.01)")
    parser.add_argument("--shard-tokens", type=int, default=100_000_000, metavar="N", help="default: 100000000")
    parser.add_argument("--field", default="text", help="of JSON lines and parquet (default: text)")
    parser.add_argument(
        "--split-text",
        choices=("file", "blank-line"),
        default="file",
        help="what is a document of a text file: all of it, or each block between blank lines (default: file)",
    )
    parser.add_argument("--force", action="store_true", help="replace shards, tokenizer and manifest that are there")


def _add_download(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "download", _download, "Fetch published FineWeb shards with their tokenizer, checked.")
    parser.add_argument("variant", nargs="?", default="sp1024", help="tokenizer family (default: sp1024)")
    parser.add_argument("--output", type=Path, default=Path("data"), metavar="DIR", help="default: data")
    parser.add_argument("--train-shards", type=int, default=80, metavar="N", help="of 100 million tokens (default: 80)")
    parser.add_argument("--repository", metavar="OWNER/NAME", help="default: the contest's")
    parser.add_argument("--prefix", metavar="FOLDER", help="of the export in the repository (default: datasets)")
    parser.add_argument("--revision", help="branch, tag or commit (default: main)")
    parser.add_argument("--endpoint", metavar="URL", help="of the hub or a mirror of it (default: HF_ENDPOINT)")


def _add_inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "inspect", _inspect, "Check the shards of a folder: headers, digests, overlap of the splits.")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--tokenizer", type=Path, metavar="FILE", help="default: tokenizer.model in the folder")


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_settings(data_path: Path, tokenizer_path: Path) -> None:
    print(f"data.path={data_path}")
    print(f"data.tokenizer_path={tokenizer_path}")


def _tell_split(folder: Path) -> None:
    from trainer.prepare import SPLIT

    _log(f"to audit a record of runs on these data: pgolf audit --split {folder / SPLIT} RECORD")


def _demo(arguments: argparse.Namespace) -> int:
    from trainer.demo_data import ensure_demo
    from trainer.prepare import TOKENIZER

    folder = ensure_demo(arguments.output, _log)
    _print_settings(folder, folder / TOKENIZER)
    _tell_split(folder)
    return OK


def _prepare(arguments: argparse.Namespace) -> int:
    from trainer.documents import DocumentFiles, find_files
    from trainer.prepare import TOKENIZER, PrepareSettings, prepare

    settings = PrepareSettings(
        vocab_size=arguments.vocab_size,
        tokenizer=arguments.tokenizer,
        normalization=arguments.normalization,
        val_fraction=arguments.val_fraction,
        shard_tokens=arguments.shard_tokens,
    )
    documents = DocumentFiles(paths=find_files(arguments.inputs), field=arguments.field, split_text=arguments.split_text)
    source = f"text of {', '.join(map(str, arguments.inputs))}"
    manifest = prepare(documents, arguments.output, settings, source=source, force=arguments.force, log=_log)
    if not manifest["decodes_exactly"]:
        _log("note: this tokenizer does not give back the exact text; val_bpb is per byte of what it gives back")
    _print_settings(arguments.output, arguments.output / TOKENIZER)
    _tell_split(arguments.output)
    return OK


def _download(arguments: argparse.Namespace) -> int:
    from trainer.download import Source, download

    given = {name: getattr(arguments, name) for name in ("repository", "prefix", "revision", "endpoint")}
    source = Source(**{name: value for name, value in given.items() if value is not None})
    result = download(arguments.variant, arguments.output, num_train_shards=arguments.train_shards, source=source, log=_log)
    _print_settings(result.data_path, result.tokenizer_path)
    return OK


def _inspect(arguments: argparse.Namespace) -> int:
    from trainer.inspection import inspect_folder

    inspection = inspect_folder(arguments.folder, arguments.tokenizer)
    for fact in inspection.facts:
        print(fact)
    for problem in inspection.problems:
        print(f"problem: {problem}")
    return PROBLEMS if inspection.problems else OK
