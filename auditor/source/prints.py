"""Where the shipped script prints, and which logged lines each place can produce.

A *site* is a call that writes text (`print`, a logger, ``.write``) seen through the script's own wrappers: the ``print``
inside a ``log0`` is no site of its own, each call of ``log0`` is one. Where a text depends on a parameter, every call of
the function is followed, so that ``f"{label} val_bpb:{x:.8f}"`` becomes one site per label. A text that stays a mere hole
(``print(result)``) matches every line and proves nothing; such sites are `opaque`, and a line that only they match
is neither printable nor unprintable. Not seen: text built by loops, by C extensions, or by libraries.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from auditor.finding import Location
from auditor.source.evaluations import Evaluation, find_evaluation
from auditor.source.origins import words_behind
from auditor.source.scopes import Scope, Scopes
from auditor.source.templates import (
    ANYTHING,
    Hole,
    Part,
    Template,
    count_letters,
    is_opaque,
    joined,
    matches,
    matches_cut_off,
    split_lines,
    stripped,
)
from auditor.source.texts import Alternatives, Context, Texts
from auditor.submission.logs.model import LogFact

_MAX_CHAIN = 5  # how many calls a text is followed through
_MAX_CONTEXTS = 4000  # per script; a bound against generated code, real scripts need a few hundred
_DECISIVE = 10**6  # letters: the level that names a bpb beside its value outweighs any label that is handed to it
_MAX_PREFIXES = 3
_MIN_REPEATED = 5  # characters that a text must begin with to be recognised where it stands again
_LOGGER_METHODS = frozenset(["debug", "info", "warning", "warn", "error", "critical", "exception", "log"])
_PRINTING_NAME = re.compile(r"(?:^|_)(?:log|logger|print|printf|echo|say|emit|report|write|writeln|msg)\d*(?:_|$)", re.I)
_CONSOLES = frozenset({"stdout", "stderr"})
_NOT_PRINTING = frozenset(["np", "numpy", "math", "torch", "F", "dist", "nn", "struct", "wandb"])
_MEASURED_BPB = re.compile(r"bpb.{0,30}?\d\.\d\d", re.I)
_QUOTED = frozenset({"__file__", "nvidia-smi", "getsource"})
_COMPRESSORS = frozenset({"compress", "b85encode", "lzma", "brotli", "zlib", "zstd", "LZMACompressor", "minify"})
_CODE_SIZE = re.compile(r"code.{0,20}(?:size|bytes)|(?:size|bytes).{0,20}code", re.IGNORECASE)
_LABEL_END = re.compile(r"[\s:=]")
_LEAST_ECHOED = 16  # ours: letters; shorter texts ("val_loss:{} val_bpb:{}") stand in lines of any script
_MAX_ECHO_PREFIX = 80
_AFTER_WORDS = re.compile(r"[:\]|>-]\s+")
_LAUNCHER_PREFIX = re.compile(
    r"\s*(?:\[[^\[\]]{1,60}\]:?|\(\w+ pid=\d+[^)]*\)|\d{1,3}:|[\d\-T:.,/]{8,32}(?:Z| \|)?)\s+|\[\w+\d\]:"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintSite:
    """One way in which one call writes one line: where it stands, and its text as literal parts with holes between them.

    `location` is the call that contributes the words (for ``log0(f"{label} ...")`` that call, not its callers), and
    `called_from` the call that supplied the rest, if another function did. `evaluation` is the function that computes
    the val_bpb printed here and `evaluated_at` its call, as far as they can be told. `quotes`: the hole of an opaque site
    holds the script's own source or a system tool's table, in which no measured bpb can stand. `compresses`: a code size
    printed here is that of something compressed.
    """

    location: Location
    parts: tuple[Part, ...]
    opaque: bool = False
    quotes: bool = False
    compresses: bool = False
    called_from: Location | None = None
    evaluation: str | None = None
    evaluated_at: Location | None = None
    longest_literal: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        literals = (part for part in self.parts if isinstance(part, str))
        object.__setattr__(self, "longest_literal", max(literals, key=len, default=""))

    @property
    def text(self) -> str:
        """The text with each hole as the expression in braces that fills it."""
        return "".join(part if isinstance(part, str) else f"{{{part.source}}}" for part in self.parts)

    @property
    def label(self) -> str:
        """The words before the first key of a metric line: what the line is called; empty if a hole comes first."""
        first = self.parts[0] if self.parts else ""
        return _LABEL_END.split(first, maxsplit=1)[0] if isinstance(first, str) else ""

    def matches(self, line: str) -> bool:
        """Can this site print `line`, or a launcher that prefixes ranks and times print it through?"""
        if self.longest_literal not in line:  # nearly always: spares the walk over the parts
            return False
        if self.quotes and _MEASURED_BPB.search(line):
            return False
        text = line.rstrip() if self.opaque else line.strip()
        return any(matches(self.parts, text) for text in _without_prefixes(text)) or self._matches_run_together(text)

    def _matches_run_together(self, line: str) -> bool:
        """Several ranks may print the text at once: then it stands on one line more than once, the last one cut off."""
        first = self.parts[0] if self.parts else ""
        if self.opaque or not isinstance(first, str) or len(first) < _MIN_REPEATED or line.count(first) < 2:
            return False
        return matches(joined((*self.parts, first, ANYTHING)), line)


def find_print_sites(scopes: Scopes) -> tuple[PrintSite, ...]:
    """Every call in a script's functions that writes a line, once per text that it can write."""
    finder = _Finder(scopes)
    return tuple(sorted(dict.fromkeys(finder.sites()), key=lambda site: (site.location.path, site.location.line or 0)))


def find_printer(sites: Iterable[PrintSite], line: str) -> tuple[bool | None, PrintSite | None]:
    """Whether `line` can be printed, and the site that does it; None where only opaque sites match."""
    opaque = None
    for site in sites:
        if site.matches(line):
            if not site.opaque:
                return True, site
            opaque = opaque or site
    return (None, opaque) if opaque else (False, None)


def find_printer_of(
    sites: Sequence[PrintSite], fact: LogFact, lines: Sequence[str]
) -> tuple[bool | None, PrintSite | None]:
    """As `find_printer`, for a fact of a log with the given lines.

    A time stamp that was cleaned away may be the script's own, so the whole line is tried after the fact's text. That a
    launcher repeats a line of the script after words of its own (``best run: final_exact val_bpb:1.1``) does not make it
    foreign.
    """
    as_text, as_line = (find_printer(sites, text) for text in (fact.text, lines[fact.line - 1]))
    if as_text[0] or as_line[0]:
        return as_text if as_text[0] else as_line
    if as_text[0] is None or as_line[0] is None:
        return as_text if as_text[0] is None else as_line
    telling = [site for site in sites if count_letters(site.parts) >= _LEAST_ECHOED]
    ends = [match.end() for match in _AFTER_WORDS.finditer(fact.text, 0, _MAX_ECHO_PREFIX)]
    found = (find_printer(telling, fact.text[end:]) for end in ends)
    return next((each for each in found if each[0]), (False, None))


def is_cut_off(sites: Iterable[PrintSite], line: str) -> bool:
    """Is `line` the beginning of what some site prints, with words missing at its end?"""
    return any(matches_cut_off(site.parts, line.strip()) for site in sites if not site.opaque)


def _without_prefixes(line: str) -> Iterator[str]:
    """`line` as it stands, then without what launchers put before it: a rank, a date, a time."""
    yield line
    for _ in range(_MAX_PREFIXES):
        prefix = _LAUNCHER_PREFIX.match(line)
        if prefix is None:
            return
        line = line[prefix.end() :]
        yield line


@dataclass(frozen=True, slots=True)
class _Work:
    """A sink in a context; `words` and `place` are the level that contributed most letters so far."""

    context: Context
    letters: int
    gain: int
    place: tuple[ast.Call, Scope]


@dataclass(slots=True)
class _Finder:
    """Collects the sites of one script."""

    scopes: Scopes
    texts: Texts = field(init=False)
    numeric: frozenset[str] = field(init=False)
    budget: int = _MAX_CONTEXTS

    def __post_init__(self) -> None:
        self.texts = Texts(self.scopes)
        self.numeric = frozenset(name for scope in self.scopes.all for name in _numeric_names(scope))

    def sites(self) -> Iterator[PrintSite]:
        for scope in self.scopes.all:
            for call in scope.calls:
                if isinstance(call.func, ast.Name) and call.func.id in self.numeric:
                    continue
                text = _printed(call, bool(self.scopes.callees(call.func, scope)))
                if text is not None:
                    yield from self._sites_of(call, text, scope)

    def _sites_of(self, call: ast.Call, text: _Printed, scope: Scope) -> Iterator[PrintSite]:
        start = Context(((scope, None),))
        pending = [_Work(start, 0, -1, (call, scope))]
        while pending:
            work = pending.pop()
            templates = text.templates(self.texts, work.context)
            work = self._weighed(work, templates, call)
            deeper = self._specialised(work) if _depends_on_caller(templates) else []
            if deeper:
                pending.extend(deeper)
            else:
                yield from self._made(work, templates, text)

    def _weighed(self, work: _Work, templates: Alternatives, call: ast.Call) -> _Work:
        letters = max((count_letters(template) for template in templates), default=0)
        measures = any(_bpb_source(template) for template in templates)
        gain = _DECISIVE if measures else letters - work.letters
        if gain < work.gain or (gain == work.gain and letters):
            return _Work(work.context, letters, work.gain, work.place)
        chain = work.context.chain
        place = (call, chain[0][0]) if len(chain) == 1 or chain[-2][1] is None else (chain[-2][1], chain[-1][0])
        return _Work(work.context, letters, gain, place)

    def _specialised(self, work: _Work) -> list[_Work]:
        if len(work.context.chain) >= _MAX_CHAIN or self.budget <= 0:
            return []
        inside = {scope for scope, _ in work.context.chain}
        callers = [site for site in self.scopes.callers(work.context.outermost) if site.scope not in inside]
        self.budget -= len(callers)
        return [
            _Work(work.context.called_from(site.call, site.scope), work.letters, work.gain, work.place) for site in callers
        ]

    def _made(self, work: _Work, templates: Alternatives, text: _Printed) -> Iterator[PrintSite]:
        call, scope = work.place
        outer = work.context.chain[-2][1] if len(work.context.chain) > 1 else None
        called_from = _location(outer, work.context.outermost) if outer is not None and outer is not call else None
        for line in (line for template in templates for line in split_lines(template)):
            opaque = is_opaque(line)
            line = line if opaque else stripped(line)
            if opaque and text.to_file:
                continue  # a table, a blob, a checkpoint: nothing says that it is a log line
            found = self._evaluation(line, work, call)
            yield PrintSite(
                location=_location(call, scope),
                parts=line,
                opaque=opaque,
                quotes=opaque and self._quotes(line, work.context),
                compresses=_is_code_size(line) and self._compresses(line, work.context),
                called_from=called_from,
                evaluation=found.function if found else None,
                evaluated_at=_location(found.call, found.scope) if found else None,
            )

    def _quotes(self, line: Template, context: Context) -> bool:
        holes = [part.source for part in line if isinstance(part, Hole) and "dumps(" not in part.source]
        return any(_is_quoted(words_behind(source, context, self.scopes)) for source in holes)

    def _compresses(self, line: Template, context: Context) -> bool:
        """Is a number in the line made by compressing something? A hole may stand at any level of the calls."""
        holes = [part.source for part in line if isinstance(part, Hole)]
        levels = [Context(context.chain[level:]) for level in range(len(context.chain))]
        return any(words_behind(hole, level, self.scopes) & _COMPRESSORS for hole in holes for level in levels)

    def _evaluation(self, line: Template, work: _Work, call: ast.Call) -> Evaluation | None:
        levels = [level for level, (scope, _) in enumerate(work.context.chain) if scope is work.place[1]]
        source = _bpb_source(line)
        if not source or not levels:
            return None
        return find_evaluation(source, call, Context(work.context.chain[levels[0] :]), self.scopes)


@dataclass(frozen=True, slots=True)
class _Printed:
    """What a printing call writes: the expressions joined by `separator`, or a ``%`` format with its arguments.

    `continued`: it ends no line, so that the next call's text follows on the same one.
    """

    values: Sequence[ast.expr]
    separator: ast.expr | None = None
    prefixed: bool = False
    to_file: bool = False
    continued: bool = False

    def templates(self, texts: Texts, context: Context) -> Alternatives:
        """Every text the call can write in `context`, trailing line end removed."""
        between = self.separator or ast.Constant(" ")
        items: ast.expr = ast.List(elts=list(self.values))
        call = ast.Call(func=ast.Attribute(value=between, attr="join"), args=[items], keywords=[])
        whole = texts.texts(call, context) if len(self.values) != 1 else texts.texts(self.values[0], context)
        whole = tuple(_without_line_end(template) for template in whole)
        if self.continued:
            whole += tuple(joined((*template, ANYTHING)) for template in whole)
        return whole + tuple(joined((ANYTHING, *template)) for template in whole) if self.prefixed else whole


def _numeric_names(scope: Scope) -> Iterator[str]:
    """What is bound to a function of a library that does not print: by ``from math import log`` or ``_log = math.log``."""
    for name, definitions in scope.definitions.items():
        if definitions and all(_is_of_library(definition.value) for definition in definitions):
            yield name
    if scope.node is None and scope.module.tree is not None:
        for node in scope.module.tree.body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _NOT_PRINTING:
                yield from (alias.asname or alias.name for alias in node.names)


def _is_of_library(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id in _NOT_PRINTING


def _printed(call: ast.Call, is_own: bool) -> _Printed | None:
    """What `call` writes if it is a printing call; `is_own`: it calls a function of the script, which is followed."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    if name == "print" and not is_own:
        return _Printed(call.args, _keyword(call, "sep"), continued=_is_continued(call)) if call.args else None
    if is_own or not call.args:
        return None
    if isinstance(call.func, ast.Attribute):
        return _printed_by_method(call, call.func)
    return _Printed(call.args[:1]) if _PRINTING_NAME.search(name) else None


def _printed_by_method(call: ast.Call, method: ast.Attribute) -> _Printed | None:
    owner = method.value.id if isinstance(method.value, ast.Name) else ""
    if owner in _NOT_PRINTING:
        return None
    if method.attr in _LOGGER_METHODS:
        values = call.args[1:] if method.attr == "log" and len(call.args) > 1 else call.args
        if len(values) > 1:
            values = [ast.BinOp(left=values[0], op=ast.Mod(), right=ast.Tuple(elts=list(values[1:])))]
        return _Printed(values, prefixed=True)
    to_file = method.attr.startswith("write") and not (isinstance(method.value, ast.Attribute) or owner in _CONSOLES)
    return _Printed(call.args[:1], to_file=to_file) if _PRINTING_NAME.search(method.attr) else None


def _is_continued(call: ast.Call) -> bool:
    end = _keyword(call, "end")
    return isinstance(end, ast.Constant) and isinstance(end.value, str) and "\n" not in end.value


def _is_code_size(line: Template) -> bool:
    """Does a line print a size of code that may be one of compressed code, for all that it says?"""
    words = " ".join(part for part in line if isinstance(part, str)).lower()
    return bool(_CODE_SIZE.search(words)) and "uncompressed" not in words and "raw" not in words


def _is_quoted(words: frozenset[str]) -> bool:
    return any(mark in word for word in words for mark in _QUOTED)


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _without_line_end(template: Template) -> Template:
    last = template[-1] if template else ""
    return joined((*template[:-1], last.rstrip())) if isinstance(last, str) else template


def _depends_on_caller(templates: Alternatives) -> bool:
    return any(isinstance(part, Hole) and part.parameter for template in templates for part in template)


def _bpb_source(line: Template) -> str:
    """The expression that fills the first hole after a key that ends in ``bpb``; empty if there is none."""
    for before, part in itertools.pairwise(line):
        if isinstance(part, Hole) and isinstance(before, str) and re.search(r"bpb\W*$", before):
            return part.source
    return ""


def _location(call: ast.Call, scope: Scope) -> Location:
    return Location(
        path=scope.module.source_path,
        line=call.lineno,
        column=call.col_offset + 1,
        end_line=call.end_lineno,
        symbol=None if scope.node is None else scope.name,
    )
