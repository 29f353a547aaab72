"""Evaluates the few expressions that packed scripts decode their source with, and nothing else.

A closed, symbolic evaluator over the syntax tree: constants, names bound on the way, string and bytes methods, and the
known decoders. It calls no code of the submission. What it cannot evaluate raises `UnfoldableError`, which names the
construct and its line: unknown is said, never guessed.
"""

from __future__ import annotations

import ast
import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from auditor.submission import decoders
from auditor.submission.decoders import DecodeError
from auditor.submission.text_methods import apply_method

_MAX_TEXT = decoders.MAX_DECODED_BYTES


class UnfoldableError(Exception):
    """An expression that cannot be evaluated without running it."""

    def __init__(self, node: ast.AST, what: str) -> None:
        super().__init__(f"{what} (line {getattr(node, 'lineno', '?')})")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A module or something in one, by its real dotted name: ``lzma.decompress``."""

    name: str


@dataclass(frozen=True, slots=True)
class Value:
    """A value and how it was decoded, innermost first in parentheses: ``lzma(b85)``."""

    data: object
    how: str = ""


@dataclass(frozen=True, slots=True)
class ShippedFile:
    """The path of a file of the submission, as the script names it relative to itself; opened for bytes or for text."""

    path: str
    binary: bool = False


@dataclass(frozen=True, slots=True)
class Decompressor:
    """A decompressor object: the module that it comes from, and the options that it was made with."""

    module: str
    options: Mapping[str, object]


ReadFile = Callable[[str], bytes | None]
_Decoder = Callable[..., bytes]
_DECODERS: Mapping[str, tuple[str, _Decoder]] = {
    "lzma.decompress": ("lzma", decoders.decompress_lzma),
    "zlib.decompress": ("zlib", decoders.decompress_zlib),
    "gzip.decompress": ("gzip", decoders.decompress_gzip),
    "bz2.decompress": ("bz2", decoders.decompress_bz2),
    "brotli.decompress": ("brotli", decoders.decompress_brotli),
    "zstandard.decompress": ("zstd", decoders.decompress_zstd),
    "zstd.decompress": ("zstd", decoders.decompress_zstd),
    "base64.b64decode": ("b64", decoders.decode_b64),
    "base64.standard_b64decode": ("b64", decoders.decode_b64),
    "base64.urlsafe_b64decode": ("b64", decoders.decode_urlsafe_b64),
    "base64.b85decode": ("b85", decoders.decode_b85),
    "base64.a85decode": ("a85", decoders.decode_a85),
    "base64.b32decode": ("b32", decoders.decode_b32),
    "base64.b16decode": ("hex", decoders.decode_hex),
    "base64.decodebytes": ("b64", decoders.decode_b64),
    "binascii.a2b_base64": ("b64", decoders.decode_b64),
    "binascii.unhexlify": ("hex", decoders.decode_hex),
    "bytes.fromhex": ("hex", decoders.decode_hex),
}
_CONSTANT_MODULES: Mapping[str, object] = {"lzma": lzma, "zlib": zlib, "bz2": bz2}
_DECOMPRESSORS = frozenset(
    [
        "lzma.LZMADecompressor",
        "zlib.decompressobj",
        "bz2.BZ2Decompressor",
        "brotli.Decompressor",
        "zstandard.ZstdDecompressor",
    ]
)
# the parameters after the payload, by position; those with an empty name change nothing about what comes out
_PARAMETERS = {"lzma": ("container", "", "filters"), "zlib": ("wbits", "", "")}
_KEYWORDS = {"format": "container", "filters": "filters", "wbits": "wbits"}
_IDENTITY = frozenset(
    ["compile", "bytes", "str", "bytearray", "memoryview", "io.BytesIO", "io.StringIO", "textwrap.dedent"]
)
_TEMPORARY_FOLDERS = frozenset(["tempfile.mkdtemp", "tempfile.gettempdir", "tempfile.TemporaryDirectory"])
_READING = frozenset(["read", "read_text", "read_bytes"])
_WRITING = frozenset(["write", "write_text", "write_bytes"])


class Folder:
    """Evaluates expressions with the names bound so far; `read_file` reads a shipped file by its relative path.

    `written` holds what the script has written to files so far, by path; `TEMPORARY` is where temporary files lie.
    """

    TEMPORARY = "/tmp"

    def __init__(self, read_file: ReadFile, own_path: str) -> None:
        self.read_file = read_file
        self.names: dict[str, Value | UnfoldableError] = {"__file__": Value(ShippedFile(own_path))}
        self.written: dict[str, Value] = {}

    def bind(self, name: str, node: ast.expr) -> None:
        """Bind a name to an expression's value, or to the reason why it has none."""
        try:
            self.names[name] = self.fold(node)
        except UnfoldableError as reason:
            self.names[name] = reason.with_traceback(None)
        except DecodeError as error:
            self.names[name] = UnfoldableError(node, str(error))

    def note_written(self, call: ast.Call) -> None:
        """Keep what a call writes to a file, if both can be told."""
        if not isinstance(call.func, ast.Attribute) or call.func.attr not in _WRITING or not call.args:
            return
        try:
            file, data = self.fold(call.func.value).data, self.fold(call.args[0])
        except (UnfoldableError, DecodeError):
            return
        if isinstance(file, ShippedFile):
            self.written[file.path] = data

    def path_of(self, value: Value) -> str | None:
        """The path that a value names, if it is one."""
        if isinstance(value.data, ShippedFile):
            return value.data.path
        return str(PurePosixPath(value.data)) if isinstance(value.data, str) else None

    def fold(self, node: ast.expr) -> Value:
        """An expression's value. `UnfoldableError` if none can be told, `DecodeError` if its data are broken."""
        match node:
            case ast.Constant(value=value):
                return Value(value)
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.Attribute(value=owner, attr=attribute):
                return self._attribute(node, self.fold(owner), attribute)
            case ast.BinOp(left=left, op=operation, right=right):
                return self._operation(node, self.fold(left), operation, self.fold(right))
            case ast.List(elts=items) | ast.Tuple(elts=items):
                values = [self.fold(item) for item in items]
                return Value([value.data for value in values], _first_how(*values))
            case ast.Dict(keys=keys, values=items) if None not in keys:
                return self._table(node, [key for key in keys if key], items)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))):
                return Value(-number)
            case ast.Subscript(value=owner, slice=index):
                return self._item(node, self.fold(owner), index)
            case ast.Call():
                return self._call(node)
            case _:
                raise UnfoldableError(node, f"a {type(node).__name__} expression")

    def _name(self, node: ast.AST, name: str) -> Value:
        bound = self.names.get(name)
        if isinstance(bound, UnfoldableError):
            raise bound.with_traceback(None)
        return bound if bound is not None else Value(Symbol(name))

    def _attribute(self, node: ast.AST, owner: Value, attribute: str) -> Value:
        if isinstance(owner.data, Symbol):
            whole = f"{owner.data.name}.{attribute}"
            module, _, name = whole.rpartition(".")
            constant = getattr(_CONSTANT_MODULES.get(module), name, None)
            return Value(constant) if isinstance(constant, int) else Value(Symbol(whole), owner.how)
        if isinstance(owner.data, ShippedFile) and attribute == "parent":
            return Value(ShippedFile(str(PurePosixPath(owner.data.path).parent)))
        if isinstance(owner.data, ShippedFile) and attribute == "name":
            is_temporary = owner.data.path.startswith(self.TEMPORARY)
            return Value(owner.data.path if is_temporary else PurePosixPath(owner.data.path).name)
        raise UnfoldableError(node, f"the attribute {attribute!r}")

    def _operation(self, node: ast.AST, left: Value, operation: ast.operator, right: Value) -> Value:
        how = _first_how(left, right)
        match operation, left.data, right.data:
            case ast.Add(), str(one), str(other) if len(one) + len(other) <= _MAX_TEXT:
                return Value(one + other, how)
            case ast.Add(), bytes(one), bytes(other) if len(one) + len(other) <= _MAX_TEXT:
                return Value(one + other, how)
            case ast.Div(), ShippedFile(path=folder), str(name):
                return Value(ShippedFile(str(PurePosixPath(folder) / name)))
            case ast.BitOr(), int(one), int(other):
                return Value(one | other)
            case ast.Add() | ast.Sub() | ast.LShift(), int(one), int(other) if abs(one) < 2**40 and 0 <= other < 64:
                return Value({ast.Add: one + other, ast.Sub: one - other}.get(type(operation), one << other))
        raise UnfoldableError(node, "an operation on values that cannot be told")

    def _item(self, node: ast.AST, owner: Value, index: ast.expr) -> Value:
        try:
            if isinstance(index, ast.Slice):
                bounds = [None if edge is None else self.fold(edge).data for edge in (index.lower, index.upper, index.step)]
                return Value(owner.data[slice(*bounds)], owner.how)  # type: ignore[index]
            return Value(owner.data[self.fold(index).data], owner.how)  # type: ignore[index]
        except (TypeError, IndexError, KeyError, ValueError) as error:
            raise UnfoldableError(node, "an item that cannot be told") from error

    def _table(self, node: ast.AST, keys: list[ast.expr], items: list[ast.expr]) -> Value:
        try:
            values = [self.fold(item) for item in items]
            table = {self.fold(key).data: value.data for key, value in zip(keys, values, strict=True)}
            return Value(table, _first_how(*values))
        except TypeError as error:
            raise UnfoldableError(node, f"a table fails: {error}") from error

    def _call(self, node: ast.Call) -> Value:
        if isinstance(node.func, ast.Attribute) and not self._is_symbolic(node.func):
            return self._method(node, self.fold(node.func.value), node.func.attr)
        called = self.fold(node.func)
        if not isinstance(called.data, Symbol):
            raise UnfoldableError(node, "a call of something that cannot be told")
        name = called.data.name
        if name in _DECODERS:
            return self._decoded(node, name)
        if name in _DECOMPRESSORS:
            module = name.split(".")[0]
            return Value(Decompressor(module, self._options(module, node.args, node.keywords)))
        if name == "zip":
            return self._zipped(node)
        if name in ("__import__", "importlib.import_module") and node.args:
            return Value(Symbol(str(self.fold(node.args[0]).data)))
        if name in _IDENTITY and node.args:
            value = self.fold(node.args[0])
            return self._bytes(node, value) if name in ("bytes", "bytearray") else value
        return self._path_call(node, name)

    def _zipped(self, node: ast.Call) -> Value:
        columns = [self.fold(argument) for argument in node.args]
        lists = [column.data for column in columns if isinstance(column.data, list)]
        if len(lists) < len(columns):
            raise UnfoldableError(node, "a zip of something that is no list")
        return Value([list(row) for row in zip(*lists, strict=False)], _first_how(*columns))

    def _bytes(self, node: ast.Call, value: Value) -> Value:
        if not isinstance(value.data, list):
            return value
        try:
            return Value(bytes(value.data), value.how)
        except (TypeError, ValueError) as error:
            raise UnfoldableError(node, f"bytes of a list fail: {error}") from error

    def _is_symbolic(self, node: ast.Attribute) -> bool:
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Call):
            return isinstance(root.func, ast.Name) and root.func.id in ("__import__",)
        bound = self.names.get(root.id) if isinstance(root, ast.Name) else None
        return isinstance(root, ast.Name) and (
            bound is None or (isinstance(bound, Value) and isinstance(bound.data, Symbol))
        )

    def _decoded(self, node: ast.Call, name: str) -> Value:
        module = name.split(".")[0]
        payload = node.args[0] if node.args else next((word.value for word in node.keywords if word.arg == "data"), None)
        if payload is None:
            raise UnfoldableError(node, f"{name} of nothing")
        return self._decode(node, name, self.fold(payload), self._options(module, node.args[1:], node.keywords))

    def _options(self, module: str, positional: list[ast.expr], keywords: list[ast.keyword]) -> dict[str, object]:
        """What a call tells a decoder beside its payload, by our decoders' parameter names."""
        named = [(_KEYWORDS.get(word.arg or "", ""), word.value) for word in keywords]
        named += zip(_PARAMETERS.get(module, ()), positional, strict=False)
        return {name: self.fold(value).data for name, value in named if name in _PARAMETERS.get(module, ()) and name}

    def _decode(self, node: ast.Call, name: str, payload: Value, options: Mapping[str, object]) -> Value:
        label, decode = _DECODERS[name]
        if not isinstance(payload.data, bytes | str):
            raise UnfoldableError(node, f"{name} of something that is neither bytes nor text")
        inner = f"({payload.how})" if payload.how else ""
        return Value(decode(payload.data, **options), label + inner)

    def _method(self, node: ast.Call, owner: Value, method: str) -> Value:
        if isinstance(owner.data, ShippedFile) or method in _READING:
            return self._file_method(node, owner, method)
        if isinstance(owner.data, Decompressor) and method in ("decompress", "process") and node.args:
            return self._decode(node, f"{owner.data.module}.decompress", self.fold(node.args[0]), owner.data.options)
        if isinstance(owner.data, dict) and method == "items":
            return Value([list(pair) for pair in owner.data.items()], owner.how)
        if not isinstance(owner.data, str | bytes):
            raise UnfoldableError(node, f"the method {method!r} of a value that cannot be told")
        arguments = [self.fold(argument) for argument in node.args]
        try:
            result = apply_method(owner.data, method, [argument.data for argument in arguments])
        except (AttributeError, TypeError, ValueError, LookupError) as error:
            raise UnfoldableError(node, f"{method!r} fails: {error}") from error
        return Value(result, _first_how(owner, *arguments))

    def _file_method(self, node: ast.Call, owner: Value, method: str) -> Value:
        if isinstance(owner.data, ShippedFile) and method in _READING:
            as_bytes = method == "read_bytes" or (method == "read" and owner.data.binary)
            return self._content(node, owner.data.path, as_bytes)
        if isinstance(owner.data, ShippedFile) and method in ("with_name", "joinpath", "resolve", "absolute"):
            path = PurePosixPath(owner.data.path)
            folder = path.parent if method == "with_name" else path
            return Value(ShippedFile(str(folder.joinpath(*(str(self.fold(argument).data) for argument in node.args)))))
        if method in _READING and isinstance(owner.data, str | bytes):
            return owner
        raise UnfoldableError(node, f"the method {method!r} of a value that cannot be told")

    def _content(self, node: ast.AST, path: str, as_bytes: bool) -> Value:
        """What a file holds: what the script wrote to it before, else what is shipped."""
        value = self.written.get(path) or Value(self.read_file(path), f"file {path}")
        match value.data, as_bytes:
            case bytes(data), False:
                return Value(data.decode("utf-8", "replace"), value.how)
            case str(text), True:
                return Value(text.encode("utf-8", "surrogateescape"), value.how)
            case None, _:
                raise UnfoldableError(node, f"{path} is not shipped")
            case _:
                return value

    def _path_call(self, node: ast.Call, name: str) -> Value:
        if name in _TEMPORARY_FOLDERS:
            return Value(self.TEMPORARY)
        if name == "tempfile.NamedTemporaryFile":
            return Value(ShippedFile(f"{self.TEMPORARY}/{node.lineno}.py", binary=True))
        values = [self.fold(argument).data for argument in node.args[: 2 if name == "open" else None]]
        parts = [value.path if isinstance(value, ShippedFile) else value for value in values]
        if name in ("open", "io.open", "pathlib.Path", "Path") and parts and isinstance(parts[0], str):
            mode = parts[1] if len(parts) > 1 else next((word.value for word in node.keywords if word.arg == "mode"), "r")
            mode = mode.value if isinstance(mode, ast.Constant) else mode
            return Value(ShippedFile(str(PurePosixPath(parts[0])), binary=isinstance(mode, str) and "b" in mode))
        if name == "os.path.dirname" and parts and isinstance(parts[0], str):
            return Value(ShippedFile(str(PurePosixPath(parts[0]).parent)))
        if name in ("os.path.abspath", "os.path.realpath") and parts and isinstance(parts[0], str):
            return Value(ShippedFile(parts[0]))
        if name == "os.path.join" and all(isinstance(part, str) for part in parts):
            return Value(ShippedFile(str(PurePosixPath(*parts))))  # type: ignore[arg-type]
        raise UnfoldableError(node, f"a call of {name}")


def _first_how(*values: Value) -> str:
    return next((value.how for value in values if value.how), "")
