"""Undoes the packing of self-extracting scripts without executing anything.

A packed script decodes its source at run time and hands it to `exec`. The statements are read in order, names are bound
symbolically (`folding`), and what reaches an `exec` is the next layer, if it came through a decoder. Locations in the
decoded source are named ``FILE!decoded``; the layer keeps the outer file's line. A payload that is marshalled or pickled
code is reported and never loaded.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from auditor.source.parse import decode_source, parse_source
from auditor.submission.decoders import DecodeError
from auditor.submission.folding import Folder, ReadFile, Symbol, UnfoldableError, Value
from auditor.submission.script import Layer

MAX_LAYERS = 8
_RUNNERS = frozenset(["exec", "eval", "builtins.exec", "builtins.eval"])
_RUNS_CODE = re.compile(r"(?<![.\w])(?:exec|eval)\s*\(|builtins|=\s*exec\b")
_PACKING_WORDS = ("b85decode", "b64decode", "a85decode", "decompress", "unhexlify", "marshal", "fromhex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwrapped:
    """The layers of one file, outermost first, and its innermost source. `failure` says why a layer could not be undone."""

    layers: tuple[Layer, ...]
    source: str
    packed: bool
    failure: str | None = None


def unwrap(path: str, data: bytes, read_file: ReadFile) -> Unwrapped:
    """Unwrap the Python file `path`; `read_file` gives the bytes of a shipped file, None if there is none."""
    source = decode_source(data)
    layers: list[Layer] = []
    failure = None
    while len(layers) < MAX_LAYERS:
        try:
            layer = _next_layer(path + "!decoded" * len(layers), source, read_file)
        except (DecodeError, UnfoldableError) as error:
            failure = f"packed code that could not be unwrapped: {error}"
            break
        if layer is None:
            break
        layers.append(layer)
        source = layer.source
    return Unwrapped(layers=tuple(layers), source=source, packed=bool(layers) or failure is not None, failure=failure)


def _next_layer(path: str, source: str, read_file: ReadFile) -> Layer | None:
    """The layer that `source` unpacks, None if it is not packed."""
    if not _RUNS_CODE.search(source) or not any(word in source for word in _PACKING_WORDS):
        return None  # most scripts: spares them a second parse
    tree, _ = parse_source(source)
    if tree is None:
        return None
    own = path.removesuffix("!decoded").split("!")[0]
    folder = Folder(read_file, own)
    environment: dict[str, str] = {}
    for statement in _statements(tree.body):
        for payload in _payloads(statement, folder):
            layer = _layer(path, payload, folder, environment)
            if layer is not None:
                return layer
        _bind(statement, folder, environment)
    return None


def _layer(path: str, payload: ast.Call, folder: Folder, environment: dict[str, str]) -> Layer | None:
    try:
        value = folder.fold(payload.args[0])
    except UnfoldableError:
        if any(word in ast.unparse(payload.args[0]) for word in _PACKING_WORDS):
            raise
        return None
    if not value.how or value.how.startswith("file ") or not isinstance(value.data, str | bytes):
        return None  # code made at run time, or a shipped sibling: `entry` follows that as a module
    text = value.data if isinstance(value.data, str) else decode_source(value.data)
    return Layer(
        method=f"exec({value.how})",
        source=text,
        outer_path=path,
        outer_line=payload.lineno,
        environment=dict(environment),
    )


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements in source order, those inside blocks and functions included."""
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body)


def _payloads(statement: ast.stmt, folder: Folder) -> Iterator[ast.Call]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.If | ast.With | ast.Try | ast.For | ast.While):
        return  # their statements come on their own
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and node.args and _runs_code(node.func, folder):
            yield node


def _runs_code(function: ast.expr, folder: Folder) -> bool:
    try:
        called = folder.fold(function)
    except (UnfoldableError, DecodeError):
        return False
    return isinstance(called.data, Symbol) and called.data.name in _RUNNERS


def _bind(statement: ast.stmt, folder: Folder, environment: dict[str, str]) -> None:
    match statement:
        case ast.Import() | ast.ImportFrom():
            folder.names |= {name: Value(Symbol(real)) for name, real in _imported(statement)}
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                _assign(target, value, folder, environment)
        case ast.AnnAssign(target=target, value=value) if value is not None:
            _assign(target, value, folder, environment)
        case ast.AugAssign(target=ast.Name(id=name) as target, op=ast.Add(), value=value):
            _bind_safely(name, ast.copy_location(ast.BinOp(ast.Name(name), ast.Add(), value), target), folder)
        case ast.With(items=items):
            for item in items:
                if item.optional_vars is not None:
                    _assign(item.optional_vars, item.context_expr, folder, environment)
        case ast.Expr(value=ast.Call() as call):
            _note_environment(call, folder, environment)


def _imported(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    for alias in statement.names:
        if isinstance(statement, ast.ImportFrom):
            yield alias.asname or alias.name, f"{statement.module or ''}.{alias.name}"
        elif alias.asname:
            yield alias.asname, alias.name
        else:
            yield alias.name.split(".")[0], alias.name.split(".")[0]


def _assign(target: ast.expr, value: ast.expr, folder: Folder, environment: dict[str, str]) -> None:
    match target, value:
        case ast.Name(id=name), _:
            _bind_safely(name, value, folder)
        case (ast.Tuple(elts=names), ast.Tuple(elts=values)) if len(names) == len(values):
            for name_node, item in zip(names, values, strict=True):
                _assign(name_node, item, folder, environment)
        case ast.Subscript(value=owner, slice=key), _ if ast.unparse(owner) in ("os.environ", "environ"):
            _set_variable(key, value, folder, environment)


def _bind_safely(name: str, value: ast.expr, folder: Folder) -> None:
    try:
        folder.bind(name, value)
    except DecodeError as error:
        folder.names[name] = UnfoldableError(value, str(error))


def _note_environment(call: ast.Call, folder: Folder, environment: dict[str, str]) -> None:
    function = ast.unparse(call.func)
    if function in ("os.environ.setdefault", "environ.setdefault", "os.putenv") and len(call.args) == 2:
        _set_variable(call.args[0], call.args[1], folder, environment)
    elif function in ("os.environ.update", "environ.update"):
        for word in call.keywords:
            if word.arg:
                _set_variable(ast.Constant(word.arg), word.value, folder, environment)
        for table in call.args:
            if isinstance(table, ast.Dict):
                for key, value in zip(table.keys, table.values, strict=True):
                    if key is not None:
                        _set_variable(key, value, folder, environment)


def _set_variable(key: ast.expr, value: ast.expr, folder: Folder, environment: dict[str, str]) -> None:
    try:
        environment[str(folder.fold(key).data)] = str(folder.fold(value).data)
    except (UnfoldableError, DecodeError):
        return  # set from something that only running would tell; it is no part of the prelude
