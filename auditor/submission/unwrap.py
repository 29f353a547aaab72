"""Undoes the packing of self-extracting scripts without executing anything.

A packed script decodes its source at run time and hands it to `exec`, or writes it to a file and runs that. The statements
are followed in order, names are bound symbolically (`folding`), and what reaches a call that runs code is the next layer,
if it came through a decoder. Locations in the decoded source are named ``FILE!decoded``, further files that the wrapper
writes ``FILE!decoded/NAME``; the layer keeps the outer file's line. A payload that is marshalled or pickled code is
reported and never loaded. Branches are not decided: every one is followed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from auditor.source.parse import decode_source, parse_source, walk
from auditor.submission.decoders import DecodeError
from auditor.submission.folding import Folder, ReadFile, Symbol, UnfoldableError, Value
from auditor.submission.script import Layer

MAX_LAYERS = 8
_MAX_ITEMS = 256  # ours: no wrapper unpacks so many files; a longer loop is followed once
_RUNS_TEXT = frozenset(["exec", "eval", "builtins.exec", "builtins.eval"])
_RUNS_FILES = frozenset(
    [
        *("runpy.run_path", "importlib.util.spec_from_file_location", "importlib.machinery.SourceFileLoader"),
        *("subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.Popen", "os.execv", "os.execvp"),
    ]
)
_REPLACES_SCRIPT = "runpy.run_path"
_LAST_NAMES = frozenset(name.rpartition(".")[2] for name in _RUNS_TEXT | _RUNS_FILES)
_MENTIONS_EXEC = re.compile(r"(?<![.\w])(?:exec|eval)\s*\(|builtins|=\s*exec\b")
_MENTIONS_FILES = re.compile(r"run_path|spec_from_file_location|SourceFileLoader|subprocess|execv")
_TEXT_DECODERS = ("b85decode", "b64decode", "a85decode", "unhexlify", "fromhex", "marshal")
_SIMPLE = (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Import, ast.ImportFrom, ast.Assert)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwrapped:
    """The layers of one file, outermost first, and its innermost source as text and tree.

    `failure` says why a layer could not be undone, `error` why `source` is no Python (`tree` is None then).
    """

    layers: tuple[Layer, ...]
    source: str
    tree: ast.Module | None
    packed: bool
    failure: str | None = None
    error: str | None = None


def unwrap(path: str, data: bytes, read_file: ReadFile) -> Unwrapped:
    """Unwrap the Python file `path`; `read_file` gives the bytes of a shipped file, None if there is none."""
    source = decode_source(data)
    layers: list[Layer] = []
    failure = None
    while True:
        tree, error = parse_source(source)
        if tree is None or len(layers) == MAX_LAYERS or not _may_be_packed(source):
            break
        try:
            layer = _Wrapper(path + "!decoded" * len(layers), Folder(read_file, path)).follow(tree.body)
        except (DecodeError, UnfoldableError) as reason:
            failure = f"packed code that could not be unwrapped: {reason}"
            break
        if layer is None:
            break
        layers.append(layer)
        source = layer.source
    packed = bool(layers) or failure is not None
    return Unwrapped(layers=tuple(layers), source=source, tree=tree, packed=packed, failure=failure, error=error)


def _may_be_packed(source: str) -> bool:
    """A quick look that spares most scripts being followed statement by statement."""
    decodes_text = any(word in source for word in _TEXT_DECODERS)
    if (decodes_text and _MENTIONS_FILES.search(source)) or ("run_path" in source and ".write" in source):
        return True
    return (decodes_text or "decompress" in source) and _MENTIONS_EXEC.search(source) is not None


class _Wrapper:
    """Follows a packed script, statement by statement, until it runs what it decoded."""

    def __init__(self, path: str, folder: Folder) -> None:
        self.path = path
        self.folder = folder
        self.environment: dict[str, str] = {}

    def follow(self, body: list[ast.stmt]) -> Layer | None:
        """The layer that the statements unpack and run; None if they run none."""
        for statement in body:
            layer = self._loop(statement) if isinstance(statement, ast.For) else self._statement(statement)
            if layer is not None:
                return layer
        return None

    def _statement(self, statement: ast.stmt) -> Layer | None:
        if isinstance(statement, _SIMPLE):
            for node in walk(statement):
                if isinstance(node, ast.Call) and (layer := self._layer(node)):
                    return layer
        self._bind(statement)
        return next((layer for block in _blocks(statement) if (layer := self.follow(block))), None)

    def _loop(self, loop: ast.For) -> Layer | None:
        """A loop over items that can be told is followed once for each of them, any other loop once."""
        try:
            items = self.folder.fold(loop.iter)
        except (UnfoldableError, DecodeError):
            return self._statement(loop)
        if not isinstance(items.data, list) or len(items.data) > _MAX_ITEMS:
            return self._statement(loop)
        for item in items.data:
            self._bind_item(loop.target, Value(item, items.how))
            if layer := self.follow(loop.body):
                return layer
        return self.follow(loop.orelse)

    def _layer(self, call: ast.Call) -> Layer | None:
        """What a call runs, if that came through a decoder."""
        callee = self._callee(call.func)
        if callee in _RUNS_TEXT and call.args:
            value = self._argument(call.args[0])
        elif callee in _RUNS_FILES:
            value = next(self._written_files(call), None)
        else:
            return None
        if value is None or value.how.startswith("file ") or not isinstance(value.data, str | bytes):
            return None  # code made at run time, or a shipped sibling: `entry` follows that as a module
        if not value.how and callee != _REPLACES_SCRIPT:
            return None  # plain text: a small program that a script writes and runs beside itself
        source = _text(value.data)
        return Layer(
            method=f"{callee.rpartition('.')[2]}({value.how or 'text'})",
            source=source,
            outer_path=self.path,
            outer_line=call.lineno,
            environment=dict(self.environment),
            files={name: text for name, text in self._unpacked() if text != source},
        )

    def _callee(self, function: ast.expr) -> str:
        """The real name of the function that is called, where it can be one that runs code; else empty."""
        last = function.attr if isinstance(function, ast.Attribute) else None
        if last not in _LAST_NAMES and not isinstance(function, ast.Name):
            return ""
        try:
            called = self.folder.fold(function).data
        except (UnfoldableError, DecodeError):
            return ""
        return called.name if isinstance(called, Symbol) else ""

    def _argument(self, argument: ast.expr) -> Value | None:
        try:
            return self.folder.fold(argument)
        except UnfoldableError:
            text = ast.unparse(argument)
            if any(word in text for word in (*_TEXT_DECODERS, "decompress")):
                raise
            return None

    def _written_files(self, call: ast.Call) -> Iterator[Value]:
        """The files written before that a call names, alone or in a list of words."""
        arguments = [*call.args, *(word.value for word in call.keywords)]
        for argument in [item for each in arguments for item in (each.elts if isinstance(each, ast.List) else [each])]:
            try:
                path = self.folder.path_of(self.folder.fold(argument))
            except (UnfoldableError, DecodeError):
                continue
            if path in self.folder.written:
                yield self.folder.written[path]

    def _unpacked(self) -> Iterator[tuple[str, str]]:
        """The names and texts of the files that were written."""
        for path, value in self.folder.written.items():
            if isinstance(value.data, str | bytes):
                yield path.removeprefix(Folder.TEMPORARY).lstrip("/"), _text(value.data)

    def _bind(self, statement: ast.stmt) -> None:
        folder = self.folder
        match statement:
            case ast.Import() | ast.ImportFrom():
                folder.names |= {name: Value(Symbol(real)) for name, real in _imported(statement)}
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, value)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._assign(target, value)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=ast.Add(), value=value):
                folder.bind(name, ast.copy_location(ast.BinOp(ast.Name(name), ast.Add(), value), target))
            case ast.With(items=items):
                for item in items:
                    if item.optional_vars is not None:
                        self._assign(item.optional_vars, item.context_expr)
            case ast.Expr(value=ast.Call() as call):
                self._note_environment(call)
                folder.note_written(call)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        match target, value:
            case ast.Name(id=name), _:
                self.folder.bind(name, value)
            case (ast.Tuple(elts=names), ast.Tuple(elts=values)) if len(names) == len(values):
                for name_node, item in zip(names, values, strict=True):
                    self._assign(name_node, item)
            case ast.Subscript(value=owner, slice=key), _ if ast.unparse(owner) in ("os.environ", "environ"):
                self._set_variable(key, value)

    def _bind_item(self, target: ast.expr, item: Value) -> None:
        if isinstance(target, ast.Name):
            self.folder.names[target.id] = item
        elif isinstance(target, ast.Tuple) and isinstance(item.data, list):
            for inner, part in zip(target.elts, item.data, strict=False):
                self._bind_item(inner, Value(part, item.how))

    def _note_environment(self, call: ast.Call) -> None:
        function = ast.unparse(call.func) if isinstance(call.func, ast.Attribute) else ""
        if function in ("os.environ.setdefault", "environ.setdefault", "os.putenv") and len(call.args) == 2:
            self._set_variable(call.args[0], call.args[1])
        elif function in ("os.environ.update", "environ.update"):
            for word in call.keywords:
                if word.arg:
                    self._set_variable(ast.Constant(word.arg), word.value)
            for table in call.args:
                if isinstance(table, ast.Dict):
                    for key, value in zip(table.keys, table.values, strict=True):
                        if key is not None:
                            self._set_variable(key, value)

    def _set_variable(self, key: ast.expr, value: ast.expr) -> None:
        try:
            self.environment[str(self.folder.fold(key).data)] = str(self.folder.fold(value).data)
        except (UnfoldableError, DecodeError):
            return  # set from something that only running would tell; it is no part of the prelude


def _text(data: object) -> str:
    return decode_source(data) if isinstance(data, bytes) else str(data)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks of statements inside a statement, those of functions included, in source order."""
    yield getattr(statement, "body", [])
    for handler in getattr(statement, "handlers", []):
        yield handler.body
    yield getattr(statement, "orelse", [])
    yield getattr(statement, "finalbody", [])


def _imported(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    for alias in statement.names:
        if isinstance(statement, ast.ImportFrom):
            yield alias.asname or alias.name, f"{statement.module or ''}.{alias.name}"
        elif alias.asname:
            yield alias.asname, alias.name
        else:
            yield alias.name.split(".")[0], alias.name.split(".")[0]
