"""Finds the script that a submission runs, unwraps it, and follows what it takes from its own folder.

The entry point is train_gpt.py where there is one, else the best candidate by name; why is told. From there every module
that is imported, run or exec'ed out of the submission's folder is followed, packed or not. A name that is not shipped
cannot be told from a third-party package without a list of all of them, so only relative imports and files that the
script runs by name are reported as missing.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from auditor.report import Unreadable
from auditor.source.parse import last_name, nodes_of
from auditor.submission.errors import SubmissionError
from auditor.submission.script import Module, Script
from auditor.submission.tree import FileTree
from auditor.submission.unwrap import Unwrapped, unwrap

_DEFAULT_ENTRY = "train_gpt.py"
_RANKED_NAMES = (
    re.compile(r"train_gpt\.py$"),
    re.compile(r"train_gpt[\w.-]*\.py$"),
    re.compile(r"train[\w.-]*\.py$"),
    re.compile(r"(?:main|run|submission)[\w.-]*\.py$"),
)
_NEVER_ENTRY = re.compile(r"(?:^|/)(?:test_|prepare|setup|download|plot|build_|conftest)[\w.-]*\.py$|human|readable", re.I)
_MAX_NAME = 200  # ours: longer strings are no file names
_NAMED_FILE = re.compile(r"[\w./-]+\.(?:py|c|cc|cpp|cu|cuh|h|hpp|so|model|npz|npy|pt|ptz|bin|json|pkl|vocab)$")


def read_script(files: FileTree, entry: str | None) -> tuple[Script | None, tuple[Unreadable, ...]]:
    """The submission's entry point (`entry` if given), and what could not be read or parsed."""
    path, because = (entry, "named") if entry else choose_entry(files.paths())
    if path is None:
        return None, ()
    reader = _Reader(files)
    main = reader.add(path)
    if main is None:
        return None, tuple(reader.problems)
    reader.follow()
    return (
        Script(
            path=path,
            num_bytes=files.size(path),
            layers=main.layers,
            modules=tuple(reader.modules.values()),
            side_files=tuple(sorted(reader.side_files - set(reader.modules))),
            missing=tuple(sorted(reader.missing)),
            chosen_because=because,
            packed=main.packed,
        ),
        tuple(reader.problems),
    )


def read_alone(files: FileTree, path: str) -> Script | None:
    """One Python file without what it imports; None if it cannot be read."""
    reader = _Reader(files)
    main = reader.add(path)
    if main is None:
        return None
    modules = tuple(reader.modules.values())
    return Script(path=path, num_bytes=files.size(path), layers=main.layers, modules=modules, packed=main.packed)


def choose_entry(paths: Iterable[str]) -> tuple[str | None, str]:
    """The script that a folder's submission runs, by name, and why it is taken; None if no file looks like one."""
    scripts = [path for path in paths if path.endswith(".py")]
    for pattern in _RANKED_NAMES:
        fitting = [path for path in scripts if pattern.match(posixpath.basename(path)) and not _NEVER_ENTRY.search(path)]
        if fitting:
            chosen = min(fitting, key=lambda path: (path.count("/"), len(path), path))
            others = len(fitting) - 1
            more = f" (of {len(fitting)} such files)" if others else ""
            return chosen, "the usual name" if chosen == _DEFAULT_ENTRY else f"the best candidate by name{more}"
    top = [path for path in scripts if "/" not in path and not _NEVER_ENTRY.search(path)]
    return (top[0], "the only script") if len(top) == 1 else (None, "")


@dataclass(slots=True)
class _Reader:
    """Reads modules, each once, and what they refer to."""

    files: FileTree
    modules: dict[str, Module] = field(default_factory=dict)
    unpacked: dict[str, bytes] = field(default_factory=dict)
    side_files: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    problems: list[Unreadable] = field(default_factory=list)

    def add(self, path: str) -> Unwrapped | None:
        """Read, unwrap and parse one module; None if it cannot be read."""
        try:
            data = self.unpacked[path] if path in self.unpacked else self.files.read(path)
        except (SubmissionError, KeyError) as error:
            why = error.reason if isinstance(error, SubmissionError) else "is not shipped"
            self.problems.append(Unreadable(path=path, reason=why))
            return None
        unwrapped = unwrap(path, data, self._read_file)
        error_text = unwrapped.failure or unwrapped.error
        if error_text:
            self.problems.append(Unreadable(path=path, reason=error_text))
        self.modules[path] = Module(
            path=path,
            source_path=path + "!decoded" * len(unwrapped.layers),
            source=unwrapped.source,
            tree=unwrapped.tree,
            error=error_text,
        )
        for layer in unwrapped.layers:
            texts = {posixpath.normpath(f"{path}!decoded/{name}"): text for name, text in layer.files.items()}
            self.unpacked |= {name: text.encode("utf-8", "surrogateescape") for name, text in texts.items()}
        return unwrapped

    def _read_file(self, path: str) -> bytes | None:
        try:
            return self.files.read(path)
        except (SubmissionError, KeyError):
            return None

    def follow(self) -> None:
        """Read everything that the modules so far take from the folder, until nothing new is found."""
        pending = list(self.modules)
        root = posixpath.dirname(pending[0])
        shipped = set(self.files.paths())
        while pending:
            module = self.modules[pending.pop(0)]
            if module.tree is None:
                continue
            known = shipped | set(self.unpacked)
            for path in _referred(module, root, known):
                if path.endswith(".py") and path not in self.modules:
                    if self.add(path) is not None:
                        pending.append(path)
                elif path in shipped and not path.endswith(".py"):
                    self.side_files.add(path)
            self.missing |= set(_missing(module, known))


def _referred(module: Module, root: str, shipped: set[str]) -> Iterator[str]:
    """Shipped files that a module imports, runs, or names in a string, in source order; `root` is the entry's folder."""
    here = posixpath.dirname(module.path)
    folders = (f"{module.path}!decoded", root, here)
    assert module.tree is not None
    for node in nodes_of(module.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (path for path in _imported(node, here, folders) if path in shipped)
        elif isinstance(node, ast.Call) and (name := _import_by_name(node)):
            yield from (path for path in _module_files(name, *folders) if path in shipped)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < _MAX_NAME:
            named = node.value.strip()
            if _NAMED_FILE.fullmatch(named):
                yield from _named(named, folders, shipped)


def _named(text: str, folders: Iterable[str], shipped: set[str]) -> Iterator[str]:
    """The shipped files that a path in a string can mean: beside the code, else below a folder, else the only such name."""
    path = posixpath.normpath(text).lstrip("/")
    beside = [found for folder in folders if (found := posixpath.join(folder, path)) in shipped]
    if beside:
        yield beside[0]
        return
    same_path = [each for each in shipped if each.endswith(f"/{path}")] if "/" in path else []
    same_name = [each for each in shipped if posixpath.basename(each) == posixpath.basename(path)]
    yield from sorted(same_path) or (same_name if len(same_name) == 1 else [])


def _imported(node: ast.Import | ast.ImportFrom, here: str, folders: tuple[str, ...]) -> Iterator[str]:
    """The files that an import can mean: relative names from the module's own folder, absolute ones in `folders`."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _module_files(alias.name, *folders)
        return
    folders = (_package(here, node.level),) if node.level else folders
    yield from _module_files(node.module or "", *folders)
    for alias in node.names:
        yield from _module_files(".".join(filter(None, (node.module, alias.name))), *folders)


def _package(here: str, level: int) -> str:
    """The folder that a relative import of `level` dots starts from."""
    return posixpath.normpath(posixpath.join(here, *[".."] * (level - 1))).removeprefix(".")


def _module_files(name: str, *folders: str) -> Iterator[str]:
    """The files that importing a dotted name reads: the packages on the way, then the module itself."""
    parts = name.split(".") if name else []
    for folder in dict.fromkeys(folders):
        for length in range(min(1, len(parts)), len(parts) + 1):
            yield posixpath.join(folder, *parts[:length], "__init__.py")
        if parts:
            yield posixpath.join(folder, *parts) + ".py"


def _import_by_name(node: ast.Call) -> str | None:
    function = last_name(node.func)
    if function in ("import_module", "__import__", "run_module") and node.args and isinstance(node.args[0], ast.Constant):
        return str(node.args[0].value).lstrip(".")
    return None


def _missing(module: Module, shipped: set[str]) -> Iterator[str]:
    """Local modules that a module needs and nobody ships: relative imports, and scripts that it runs by name."""
    assert module.tree is not None
    here = posixpath.dirname(module.path)
    for node in nodes_of(module.tree):
        if isinstance(node, ast.ImportFrom) and node.level and node.module:
            package, itself = list(_module_files(node.module, _package(here, node.level)))[-2:]
            if package not in shipped and itself not in shipped:
                yield itself
        elif isinstance(node, ast.Call) and _runs_file(node):
            name = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
            if isinstance(name, str) and name.endswith(".py") and posixpath.join(here, name) not in shipped:
                yield name


def _runs_file(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == "run_path" and bool(node.args)
