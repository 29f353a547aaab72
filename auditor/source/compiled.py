"""What is read of C code: where it lets a property of a token decide what it writes for that token, and where it
divides a token's loss over a count.

A loop over positions reads ``tokens[i]`` (or a variable that holds it), asks an array what kind of token it is, and
writes ``out[i]`` under a condition on the answer. Each loop is read on its own, by its text, with comments blanked; what
is written before the condition or after it is no matter. Not covered: properties passed to functions, conditions that
leave the turn, and whether the output is used.

A byte mixture begins with ``loss[i] / count`` (or the root of ``p[i]``) in a loop over tokens, in a source that takes
exponentials and logarithms; this is looked for in shipped files and in C code that a Python string holds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from auditor.finding import Location
from auditor.source.parse import lines_of, nodes_of, snippet_at
from auditor.submission.errors import SubmissionError
from auditor.submission.script import Module
from auditor.submission.tree import FileTree

SOURCES = (".c", ".cc", ".cpp", ".cxx", ".cu")
_MAX_BYTES = 1024 * 1024  # ours: far above any hand-written helper
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_LOOP = re.compile(r"\bfor\s*\(\s*(?:[\w ]+\s)?(\w+)\s*=[^;]*;[^;]*;[^)]*\)\s*\{")
_IF = re.compile(r"\bif\s*\(")


def find_gates(files: FileTree) -> tuple[Location, ...]:
    """The conditions in shipped C files under which an entry is written that depend on the token of that entry."""
    return tuple(gate for path in files.paths() if path.endswith(SOURCES) for gate in _gates_in(path, _text(files, path)))


def find_spreads(files: FileTree, modules: Iterable[Module]) -> tuple[Location, ...]:
    """Where C code, shipped or held in a string, divides a token's loss or probability over a count, and mixes it."""
    sources = [(path, 1, _text(files, path)) for path in files.paths() if path.endswith(SOURCES)]
    sources += [
        (module.source_path, node.lineno, node.value)
        for module in modules
        if module.tree is not None
        for node in nodes_of(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _LOOP.search(node.value)
    ]
    return tuple(spread for path, first_line, text in sources for spread in _spreads_in(path, first_line, text))


def _spreads_in(path: str, first_line: int, source: str) -> Iterator[Location]:
    text = _COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), source)
    if not (re.search(r"\bexpf?\s*\(", text) and re.search(r"\blogf?\s*\(", text)):
        return
    for loop in _LOOP.finditer(text):
        body = text[loop.end() : _closing(text, loop.end() - 1, "{}")]
        here = rf"\b({'|'.join(_float_arrays(text)) or '$'})\s*\[\s*{loop[1]}\s*\]"
        for spread in re.finditer(rf"{here}\s*/(?!/)|\bpowf?\s*\(\s*{here}\s*,[^;]*/", body):
            line = text.count("\n", 0, loop.end() + spread.start())
            snippet = lines_of(source)[line].strip()
            at = max(snippet.find(spread[0]) - 40, 0)
            yield Location(path=path, line=first_line + line, snippet=snippet[at : at + 160])


def _float_arrays(text: str) -> list[str]:
    """The names of arrays of floating-point numbers that the functions of a C source are given."""
    return sorted(set(re.findall(r"\b(?:double|float)\s*\*\s*(?:__restrict(?:__)?\s*|restrict\s+)?(\w+)\s*[,)]", text)))


def _text(files: FileTree, path: str) -> str:
    try:
        return files.read(path).decode("utf-8", "replace") if files.size(path) <= _MAX_BYTES else ""
    except SubmissionError:
        return ""


def _gates_in(path: str, source: str) -> Iterator[Location]:
    text = _COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), source)
    seen: set[int] = set()
    for loop in _LOOP.finditer(text):
        body = text[loop.end() : _closing(text, loop.end() - 1, "{}")]
        for offset in _tests(body, loop[1]):
            line = text.count("\n", 0, loop.end() + offset) + 1
            if line not in seen:
                seen.add(line)
                yield Location(path=path, line=line, snippet=snippet_at(source, line))


def _tests(body: str, counter: str) -> Iterator[int]:
    """Where in a loop's body a property of the counter's token decides what is written at the counter."""
    here = rf"\w+\s*\[\s*{counter}\s*\]"
    names = re.findall(rf"\b(\w+)\s*=\s*(?:\([\w ]+\)\s*)?{here}\s*;", body)
    token = "|".join([here, *(rf"\b{name}\b" for name in names)])
    kind = rf"\w+\s*\[\s*(?:\([\w ]+\)\s*)?(?:{token})\s*\]"
    flags = re.findall(rf"\b(\w+)\s*=[^=;]*{kind}[^;]*;", body)
    test = re.compile("|".join([kind, *(rf"\b{flag}\b" for flag in flags)]))
    written = re.compile(rf"{here}\s*=(?!=)")
    for branch in _IF.finditer(body):
        end = _closing(body, branch.end() - 1, "()")
        if test.search(body, branch.end(), end) and written.search(_arm(body, end + 1)):
            yield branch.start()
    for entry in re.finditer(rf"{here}\s*=(?!=)([^;?]*)\?", body):
        if test.search(entry[1]):
            yield entry.start()


def _arm(text: str, start: int) -> str:
    """The statement or block that a condition decides."""
    rest = re.compile(r"\s*").match(text, start)
    first = rest.end() if rest else start
    end = _closing(text, first, "{}") if text[first : first + 1] == "{" else text.find(";", first)
    return text[first : end + 1]


def _closing(text: str, start: int, pair: str) -> int:
    """Where the bracket that opens at `start` is closed; the text's end if it is not."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == pair[0]) - (text[place] == pair[1])
        if depth == 0:
            return place
    return len(text)
