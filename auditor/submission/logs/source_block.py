"""The source that scripts print into their own logs: where it begins, where it ends.

Scripts print themselves before anything else, and that text is full of things that look like facts (``val_bpb`` in format
strings, default seeds). So it is found first and taken out. The format of the end differs (a line of ``=``, the
interpreter's version, or nothing at all), therefore each line is asked whether it can stand in Python source at its place:
indented, a statement, a comment, or inside a string. A block is only believed if it holds several definitions or imports,
or unpacks packed code.

Nothing is parsed or executed: sources written for another Python version, and truncated ones, are found too.

Not covered: source printed with line numbers or as one escaped string.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from auditor.submission.logs.lines import Line

_STRONG = re.compile(
    r"(?:import \w[\w.]*(?: as \w+)?\s*(?:[,;#].*)?|from [\w.]+ import .+|(?:async )?def \w+\s*\(.*|class \w+\s*[(:].*)$"
)
_STATEMENT = re.compile(
    r"""(?:import\ |from\ |def\ |class\ |async\ |@\w|(?:if|elif|for|while|with|except)\b.*:|(?:else|try|finally)\s*:
        |(?:return|pass)\b|(?:raise|del|global|assert)\ |[)\]}]|"{3}|'{3}|[rfb]{1,2}["']|\#
        |[A-Za-z_][\w.]*\(                                                                  # a call
        |[A-Za-z_][\w.]*(?:\[[^\]]*\])?(?:\s*,\s*\*?[A-Za-z_][\w.]*)*\s*(?:[-+*/|&@]|//)?=(?!=)  # an assignment
        |[A-Za-z_]\w*:\s*[A-Za-z_][\w\[\],.|\ ]*\s=\s)                                      # an annotated one
    """,
    re.VERBOSE,
)
_PACKED = re.compile(r"exec\(|b85decode|b64decode|decompress\(")
_SEPARATOR = re.compile(r"={60,}\s*$")
_OPENING = ('"""', "'''", "import ", "from ", "def ", "class ", "#!", "async def ")
_MIN_STRONG = 3
_MAX_DOCSTRING = 200  # lines; a log whose first lines were overwritten may hold one quote of a pair
_MAX_GAP = 2  # lines that look like output between two pieces of source


@dataclass(frozen=True, slots=True)
class SourceSpan:
    """Indices of the first and last line of a printed source."""

    first: int
    last: int


def find_sources(lines: Sequence[Line]) -> tuple[SourceSpan, ...]:
    """Every printed source, in order."""
    spans: list[SourceSpan] = []
    index = 0
    while index < len(lines):
        if not _opens(lines, index):
            index += 1
            continue
        end, strong, packed = _extent(lines, index)
        if strong >= _MIN_STRONG or packed:
            first = _with_cut_head(lines, index, spans[-1].last + 1 if spans else 0)
            spans.append(SourceSpan(first, _without_blanks(lines, end)))
        index = max(end, index + 1)
    return tuple(_joined(spans, lines))


def _opens(lines: Sequence[Line], index: int) -> bool:
    """Whether a source may begin here: with a definition, an import, or a docstring that is soon closed."""
    text = lines[index].text
    if not text.startswith(_OPENING):
        return False
    quote = _open_quote(text, "")
    for line in lines[index + 1 : index + 1 + _MAX_DOCSTRING]:
        if not quote:
            return True
        quote = _open_quote(line.text, quote)
    return not quote


def _extent(lines: Sequence[Line], start: int) -> tuple[int, int, bool]:
    """The index after the last line that can be source, its number of definitions and imports, whether it unpacks code."""
    strong, packed, quote = 0, False, ""
    for index in range(start, len(lines)):
        text = lines[index].text
        if _SEPARATOR.match(text) and (not quote or _is_end(lines, index)):
            return index, strong, packed
        if not quote and text and not text[0].isspace() and not _STATEMENT.match(text):
            return index, strong, packed
        if not quote and not text[:1].isspace():
            strong += bool(_STRONG.match(text))
            packed = packed or (strong > 0 and bool(_PACKED.search(text)))
        quote = _open_quote(text, quote)
    return len(lines), strong, packed


def _is_end(lines: Sequence[Line], index: int) -> bool:
    """Whether a separator is the log's and not part of a string: the next text is the interpreter's version."""
    following = lines[index + 1].text if index + 1 < len(lines) else ""
    return following.startswith("Running ")


def _open_quote(text: str, quote: str) -> str:
    """The triple quote that is open after a line, given the one that was open before it."""
    if '"""' not in text and "'''" not in text:
        return quote
    position = 0
    while position < len(text):
        if quote:
            end = text.find(quote, position)
            if end < 0:
                return quote
            position, quote = end + 3, ""
            continue
        double, single = text.find('"""', position), text.find("'''", position)
        starts = [at for at in (double, single) if at >= 0]
        if not starts or "#" in text[position : min(starts)]:
            return ""
        position = min(starts)
        quote = text[position : position + 3]
        position += 3
    return quote


def _with_cut_head(lines: Sequence[Line], first: int, limit: int) -> int:
    """The source's first line: comments above it belong to it, and the body of a definition whose head was overwritten."""
    start = index = first
    while index > limit:
        index -= 1
        text = lines[index].text
        if text.startswith("#") or (text[:1].isspace() and _STATEMENT.match(text.lstrip())):
            start = index
        elif text.strip():
            break
    return start


def _without_blanks(lines: Sequence[Line], end: int) -> int:
    while not lines[end - 1].text.strip():
        end -= 1
    return end - 1


def _joined(spans: Sequence[SourceSpan], lines: Sequence[Line]) -> list[SourceSpan]:
    """Pieces that only a line or two keep apart are one source, unless a separator stands between them."""
    joined: list[SourceSpan] = []
    for span in spans:
        between = lines[joined[-1].last + 1 : span.first] if joined else ()
        texts = [line.text for line in between if line.text.strip()]
        if joined and len(texts) <= _MAX_GAP and not any(_SEPARATOR.match(text) for text in texts):
            joined[-1] = SourceSpan(joined[-1].first, span.last)
        else:
            joined.append(span)
    return joined
