"""A data set from text that every Python installation has, so that training can be tried without a download.

The language reference that `help()` shows (`pydoc_data.topics`) and the docstrings of the standard library's modules are
read from their source files; nothing is imported for it, nothing fetched. It is the same for the same version of Python
and of SentencePiece, so a loss measured on it can be compared, but only then. It is small and technical: good to try
and test a run, no measure of language modelling.
"""

from __future__ import annotations

import ast
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from trainer.prepare import MANIFEST, PrepareSettings, prepare

DEMO_VERSION = 2  # changes with the text and with what is written, so that an old cache is not taken for the new
SETTINGS = PrepareSettings(vocab_size=1024, val_fraction=0.07)

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Log = Callable[[str], None]


def demo_folder() -> Path:
    """Where the data set of this Python is kept: in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "pgolf" / f"demo-v{DEMO_VERSION}-{_python()}"


def demo_source() -> str:
    """Where the text is from, in words."""
    return f"docstrings and language reference of {_python()}"


def _python() -> str:
    return f"{sys.implementation.name}-{'.'.join(map(str, sys.version_info[:3]))}"


def ensure_demo(folder: Path | None = None, log: Log = lambda line: None) -> Path:
    """The folder with the demo's shards and tokenizer.model, made if it is not there. Several processes may ask at once.

    ValueError if the folder holds something else, or if this Python comes without its sources.
    """
    folder = folder or demo_folder()
    if (folder / MANIFEST).is_file():
        return folder
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder}: not empty and without {MANIFEST}; remove it or name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        prepare(list(demo_documents()), own, SETTINGS, name=demo_folder().name, source=demo_source(), log=log)
        own.chmod(0o755)
        own.rename(folder)
    except OSError:
        if not (folder / MANIFEST).is_file():  # else another process was faster, and its result is the same
            raise
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return folder


def demo_documents() -> Iterator[str]:
    """One document for each topic of the reference, each module, and each of a module's functions and classes."""
    library = Path(sysconfig.get_path("stdlib"))
    topics = library / "pydoc_data" / "topics.py"
    modules = sorted(library.glob("*.py"))
    if not modules or not topics.is_file():
        raise ValueError(f"{library}: this Python has no sources of its standard library to make demo data from")
    yield from _topics(topics)
    for path in modules:
        yield from _docstrings(path)


def _topics(path: Path) -> Iterator[str]:
    """The texts of the one dictionary in this module."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Dict):
            yield from (str(ast.literal_eval(value)) for value in node.values)


def _docstrings(path: Path) -> Iterator[str]:
    module = ast.parse(path.read_bytes())
    if text := ast.get_docstring(module):
        yield f"{path.stem}\n\n{text}\n"
    for node in module.body:
        if isinstance(node, Definition):
            document = "".join(_described(node, path.stem))
            if document:
                yield document


def _described(node: Definition, scope: str) -> Iterator[str]:
    """A definition that has a docstring, then those inside it, each under its qualified name."""
    name = f"{scope}.{node.name}"
    if text := ast.get_docstring(node):
        yield f"{name}\n\n{text}\n\n\n"
    for inner in node.body:
        if isinstance(inner, Definition):
            yield from _described(inner, name)
