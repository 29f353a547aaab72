"""How many bytes a script counts for a token, found by trying: its own code is evaluated on a few pieces of our own.

A table of bytes per token and the sum over it can be written in many ways, and each is right or wrong only together with
the other: a space that is in the table must not be added again, one that is not must be. So no spelling is compared.
The function that asks the tokenizer for its pieces is evaluated (by the evaluator of configuration code, nothing is
run) for a vocabulary of our own; then every function that the tables reach is evaluated as if the tables were asked for
one and the same token throughout, and whatever sum of bytes it forms is that token's count.

An entry of a byte table is raised by `_MARK`, so that sums that contain one tell themselves from other numbers. Where a
condition cannot be told both arms are evaluated. Not covered: tables that are loaded from files, pieces that are asked
for outside a function of their own, byte counts of C code, sums that need array operations beyond the common ones.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from auditor.finding import Location
from auditor.source.config.calls import Call
from auditor.source.config.environment import Environment
from auditor.source.config.library import BINARY, RAISES
from auditor.source.config.statements import Flow, Interpreter
from auditor.source.config.syntax import as_read
from auditor.source.config.values import Function, Namespace, Value, iterated, truth, unknown
from auditor.source.parse import lines_of, nodes_of
from auditor.source.scopes import Definition, Scope, Scopes, argument_of
from auditor.submission.script import Script

_MARK = 1_000_000_007  # ours: no other number of a script comes near it
_LONGEST = 64  # ours: bytes; sums of one token beyond it are not its count


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the vocabulary that is tried: its text as the tokenizer gives it, its bytes when decoded, its kind."""

    text: str
    num_bytes: int
    kind: str = "text"


PIECES = (
    Piece("<unk>", 0, "unknown"),
    Piece("<s>", 0, "control"),
    Piece("</s>", 0, "control"),
    Piece("<0x41>", 1, "byte"),
    Piece("\u2581the", 4),
    Piece("the", 3),
    Piece("\u00e9", 2),
)
TRIED = tuple(index for index, piece in enumerate(PIECES) if piece.kind in ("byte", "text"))

_PIECE_OF = frozenset(["id_to_piece", "IdToPiece"])
_KINDS = {
    "is_control": "control", "IsControl": "control", "is_unknown": "unknown", "IsUnknown": "unknown", "is_unused": "unused",
    "IsUnused": "unused", "is_byte": "byte", "IsByte": "byte",
}  # fmt: skip
_SIZES = frozenset(["vocab_size", "get_piece_size", "GetPieceSize", "piece_size", "VocabSize"])
_SAME = frozenset(
    """to long int float double half short astype cpu cuda numpy tolist item sum view reshape flatten ravel squeeze
    unsqueeze contiguous clone copy bool type detach byte expand clamp clip clamp_min""".split()  # noqa: SIM905
)
_PICKS = frozenset(["index_select", "gather", "take", "__getitem__"])
_WRAPPERS = frozenset(["tensor", "as_tensor", "from_numpy", "array", "asarray", "ascontiguousarray", "int64", "float64"])
_FILLED = {"zeros": 0, "empty": 0, "ones": 1}


@dataclass(frozen=True, slots=True)
class TokenCount:
    """What one function counts for one token: `table_line` made the table's entry, `sum_line` the sum."""

    function: str
    piece: Piece
    num_bytes: int
    table_line: Location
    sum_line: Location


@dataclass(frozen=True, slots=True)
class Probe:
    """Every count that could be formed; `builders` ask for pieces, `unread` are those that encode them without a table."""

    counts: tuple[TokenCount, ...]
    builders: tuple[Location, ...]
    unread: tuple[Location, ...]


def probe_byte_counts(script: Script, scopes: Scopes) -> Probe:
    """Try the script's byte counting on every piece of `PIECES` that stands for bytes."""
    builders = [scope for scope in scopes.all if _asks_for_pieces(scope)]
    places = {scope: _place(scope) for scope in builders}
    counts: list[TokenCount] = []
    made: set[Scope] = set()
    trial = _Trial(environment=Environment(), sources={module.path: module for module in script.modules})
    for builder in builders:
        found = trial.tables_of(builder)
        if found is not None:
            made.add(builder)
            counts += trial.counts_with(found, builder, scopes)
    return Probe(tuple(counts), tuple(places.values()), tuple(places[b] for b in builders if b not in made and _encodes(b)))


def _asks_for_pieces(scope: Scope) -> bool:
    return isinstance(scope.node, ast.FunctionDef) and any(
        isinstance(call.func, ast.Attribute) and call.func.attr in _PIECE_OF for call in scope.calls
    )


def _encodes(scope: Scope) -> bool:
    """Does it ask for the bytes of texts? Else its pieces serve something other than counting."""
    return any(isinstance(call.func, ast.Attribute) and call.func.attr == "encode" for call in scope.calls)


def _place(scope: Scope) -> Location:
    return Location(path=scope.module.source_path, line=getattr(scope.node, "lineno", None), symbol=scope.name)


@dataclass(slots=True)
class _Trial(Interpreter):
    """Evaluates byte counting: first the tables, then, once `names` tells where they are, one `token` at a time."""

    token: int = 0
    entries: dict[int, Location] = field(default_factory=dict)
    sums: list[tuple[float, Location]] = field(default_factory=list)
    names: dict[str, object] = field(default_factory=dict)

    # --- tables

    def tables_of(self, builder: Scope) -> object | None:
        """What the builder returns for our vocabulary, byte tables marked; None if no byte table is in it."""
        module = self.load(builder.module, "probe")
        function = Function(builder.node, module)  # type: ignore[arg-type]
        arguments = {name: Value(len(PIECES)) for name in builder.parameters if name not in ("self", "cls")}
        assert isinstance(builder.node, ast.FunctionDef)
        call = Call(ast.Name(id=builder.name), module, builder.name, keywords=arguments)
        self._statements, self._in_program = 0, False
        self.names, self.entries, self.find_attribute = {}, {}, None
        result = self.call_function(function, call).data
        marked = _marked(result)
        return marked if marked != result else None

    def counts_with(self, tables: object, builder: Scope, scopes: Scopes) -> Iterator[TokenCount]:
        """The count of every function that the tables reach."""
        self._name_tables(tables, builder, scopes)
        self.find_attribute = lambda owner, name: Value(self.names[name]) if name in self.names else None
        for scope in scopes.all:
            if scope is not builder and isinstance(scope.node, ast.FunctionDef) and self._mentions(scope):
                for self.token in TRIED:
                    found = self._count_in(scope, scope.node)
                    if found is not None:
                        table_line = self.entries.get(self.token, _place(builder))
                        yield TokenCount(scope.name, PIECES[self.token], int(found[0]) - _MARK, table_line, found[1])

    def _count_in(self, scope: Scope, node: ast.FunctionDef) -> tuple[float, Location] | None:
        """The largest sum that a function forms for the token, and where it is first formed."""
        self.sums.clear()
        self._statements, self._returned = 0, Value(None)
        self._run(node.body, self._inside(scope))
        self._note(self._returned, node, Namespace(scope.module))
        return max(self.sums, key=lambda found: found[0]) if self.sums else None

    def _inside(self, scope: Scope) -> Namespace:
        known = {name: Value(value) for name, value in self.names.items()}
        known |= {name: unknown("a parameter") for name in scope.parameters if name not in known}
        return Namespace(scope.module, known, self.load(scope.module, "probe"))

    def _mentions(self, scope: Scope) -> bool:
        first, last = getattr(scope.node, "lineno", 1), getattr(scope.node, "end_lineno", 0)
        text = "\n".join(lines_of(scope.module.source)[first - 1 : last])
        return re.search(rf"\b(?:{'|'.join(map(re.escape, self.names))})\b", text) is not None

    def _name_tables(self, tables: object, builder: Scope, scopes: Scopes) -> None:
        """Under which names the builder's result, or a part of it, is known anywhere: variables, attributes, parameters."""
        for scope in scopes.all:
            if scope.node is None and scope.module.tree is not None:
                for node in nodes_of(scope.module.tree):
                    if isinstance(node, ast.Assign) and _calls(node.value, builder.name):
                        for target in node.targets:
                            self._bind(target, tables)
        for scope in scopes.all * 2:
            for call in scope.calls:
                self._pass_on(call, scope, scopes)
            for name, definitions in scope.definitions.items():
                for definition in definitions:
                    self._rename(name, definition)

    def _rename(self, name: str, definition: Definition) -> None:
        """A table, or one part of the builder's result, goes on under another name."""
        held = self._held(definition.value)
        parts = iterated(held)
        if definition.element is None and held is not None:
            self.names.setdefault(name, held)
        elif parts is not None and definition.element is not None and definition.element < len(parts):
            self.names.setdefault(name, parts[definition.element])

    def _bind(self, target: ast.expr, value: object) -> None:
        if isinstance(target, ast.Name | ast.Attribute):
            self.names[target.id if isinstance(target, ast.Name) else target.attr] = value
        elif isinstance(target, ast.Tuple | ast.List):
            for inner, part in zip(target.elts, iterated(value) or (), strict=False):
                self._bind(inner, part)

    def _pass_on(self, call: ast.Call, scope: Scope, scopes: Scopes) -> None:
        if not any(self._held(value) is not None for value in (*call.args, *(k.value for k in call.keywords))):
            return
        for callee in scopes.callees(call.func, scope):
            for parameter in callee.parameters:
                held = self._held(argument_of(call, callee, parameter))
                if held is not None:
                    self.names.setdefault(parameter, held)

    def _held(self, node: ast.expr | None) -> object | None:
        """The table that an expression names, through conversions and attributes."""
        while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _SAME:
            node = node.func.value
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        return self.names.get(node.attr) if isinstance(node, ast.Attribute) else None

    # --- evaluation

    def evaluate(self, node: ast.expr, names: Namespace) -> Value:
        """The tokenizer answers for our vocabulary, a table under any key for the token tried."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found = self._method_of(node, node.func, names)
            if found is not None:
                return found
        if isinstance(node, ast.Subscript):
            owner = self.evaluate(node.value, names)
            if isinstance(owner.data, int | float):
                return owner
            if _is_table(owner.data):
                return self._entry_of(owner.data, node.slice, names)
        return Interpreter.evaluate(self, node, names)

    def _entry_of(self, table: list[float], key: ast.expr, names: Namespace) -> Value:
        if self._is_counting:
            return Value(table[self.token])
        index = self.evaluate(key, names).data
        return Value(table[index]) if isinstance(index, int) and index < len(table) else unknown("an entry of a table")

    @property
    def _is_counting(self) -> bool:
        return bool(self.names)

    def _method_of(self, node: ast.Call, function: ast.Attribute, names: Namespace) -> Value | None:
        name = function.attr
        if name in _PIECE_OF or name in _KINDS:
            index = self.evaluate(node.args[0], names).data if node.args else None
            if not isinstance(index, int) or not 0 <= index < len(PIECES):
                return unknown("a piece of an unknown token")
            return Value(PIECES[index].text if name in _PIECE_OF else PIECES[index].kind == _KINDS[name])
        if name in _SIZES:
            return Value(len(PIECES))
        if name in _SAME or name in _PICKS:
            owner = self.evaluate(function.value, names)
            if isinstance(owner.data, int | float):
                return owner
            if _is_table(owner.data):
                return Value(owner.data[self.token]) if name in _PICKS else owner
        return None

    def call_library(self, name: str, call: Call) -> Value | None:
        """Arrays of our vocabulary's size are lists."""
        last, values = name.rpartition(".")[2], [value.data for value in call.positional]
        first = values[0] if values else None
        size = first[0] if isinstance(first, tuple | list) and len(first) == 1 else first
        if last in _FILLED and isinstance(size, int) and size >= len(PIECES):
            return Value([_FILLED[last]] * len(PIECES))
        if last == "full" and isinstance(size, int) and size >= len(PIECES) and isinstance(values[1], int):
            return Value([values[1]] * len(PIECES))
        if last in _WRAPPERS and (_is_table(first) or isinstance(first, int | float)):
            return call.positional[0]
        if last == "where" and len(values) == 3 and isinstance(first, int):
            return call.positional[1 if first else 2]
        if last in ("logical_and", "logical_or", "logical_not") and all(isinstance(value, int) for value in values):
            return Value(int(all(values) if last == "logical_and" else any(values) if last == "logical_or" else not first))
        if last in ("index_select", "take", "gather", "embedding"):
            table = next((value for value in values if _is_table(value)), None)
            return Value(table[self.token]) if table is not None else None
        return Interpreter.call_library(self, name, call)

    def call_function(self, function: Function, call: Call) -> Value:
        """The script's functions are entered where a table or a count is handed to them."""
        if self._is_counting and not any(isinstance(value.data, tuple | list | int | float) for value in call.values):
            return unknown(f"the result of {function.name}")
        return Interpreter.call_function(self, function, call)

    # --- statements

    def _run_if(self, test: Value, body: list[ast.stmt], orelse: list[ast.stmt], names: Namespace) -> Flow:
        if truth(test) is not None:
            return Interpreter._run_if(self, test, body, orelse, names)
        before = dict(names.names)
        self._run(body, names)
        after, names.names = names.names, before
        self._run(orelse, names)
        for name, value in after.items():
            if name not in names.names or _size(value) > _size(names.names[name]):
                names.names[name] = value
        return Flow.NEXT

    def _run_for(self, target: ast.expr, source: Value, body: list[ast.stmt], names: Namespace) -> Flow:
        if iterated(source.data) is not None and not self._is_counting:
            return Interpreter._run_for(self, target, source, body, names)
        self.assign(target, unknown("an item"), names)
        self._run(body, names)
        return Flow.NEXT

    def _run_block(self, statement: ast.stmt, names: Namespace) -> Flow:
        if isinstance(statement, ast.While) and self._is_counting:
            self._run(statement.body, names)
            return Flow.NEXT
        return Interpreter._run_block(self, statement, names)

    def assign(self, target: ast.expr, value: Value, names: Namespace) -> None:
        """Bind a target, and note every sum of bytes."""
        self._note(value, target, names)
        Interpreter.assign(self, target, value, names)

    def _note(self, value: Value, node: ast.AST, names: Namespace) -> None:
        if self._is_counting and _MARK <= _size(value) < _MARK + _LONGEST:
            self.sums.append((_size(value), self.location(node, names)))

    def _augment(self, target: ast.expr, op: ast.operator, value: ast.expr, names: Namespace) -> None:
        added = self.evaluate(value, names)
        if not isinstance(target, ast.Name | ast.Attribute | ast.Subscript):
            return
        old = unknown("an item") if isinstance(target, ast.Subscript) and self._is_counting else self._old(target, names)
        if isinstance(old.data, int | float) and isinstance(added.data, int | float) and type(op) in BINARY:
            try:
                added = Value(BINARY[type(op)](old.data, added.data))
            except RAISES:
                added = unknown("an operation that raises")
        elif isinstance(old.data, int | float) and _size(old) >= _MARK:
            added = old
        self.assign(target, added, names)

    def _old(self, target: ast.Name | ast.Attribute | ast.Subscript, names: Namespace) -> Value:
        if isinstance(target, ast.Subscript):
            return self.evaluate(ast.copy_location(ast.Subscript(target.value, target.slice, ast.Load()), target), names)
        return self.evaluate(ast.copy_location(as_read(target), target), names)

    def _set_item(self, owner: Value, key: Value, value: Value, target: ast.Subscript, names: Namespace) -> None:
        if isinstance(owner.data, list) and isinstance(key.data, int) and not self._is_counting:
            if key.data < len(owner.data):
                owner.data[key.data] = value.data
                if isinstance(value.data, int) and not isinstance(value.data, bool):
                    self.entries[key.data] = self.location(target, names)
            return
        Interpreter._set_item(self, owner, key, value, target, names)


def _size(value: Value) -> float:
    return value.data if isinstance(value.data, int | float) else 0


def _is_table(data: object) -> TypeGuard[list[float]]:
    return isinstance(data, list) and len(data) == len(PIECES) and all(isinstance(item, int | float) for item in data)


def _marked(result: object) -> object:
    """The same structure with every byte table raised by the mark: a table that tells text pieces apart by length."""
    if _is_table(result):
        lengths = {result[index] for index in TRIED}
        return [item + _MARK for item in result] if max(lengths) > 1 else result
    if isinstance(result, tuple | list):
        parts: Sequence[object] = [_marked(item) for item in result]
        return tuple(parts) if isinstance(result, tuple) else parts
    if isinstance(result, dict):
        return {key: _marked(item) for key, item in result.items()}
    return result


def _calls(node: ast.expr, name: str) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    return called == name
