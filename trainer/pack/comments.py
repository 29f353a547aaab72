"""Carries comments through a syntax tree, which has no place for them.

A comment becomes a statement that is a single name, `COMMENT_17`, in front of the statement that it belongs to, and is
turned back when the tree has become text again. It lives and dies with the block around it. Comments for tools (noqa,
type:, fmt:) and those inside expressions, between decorators and before else are dropped.
"""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass, field

MARK = "COMMENT_"
_FOR_TOOLS = re.compile(r"#\s*(noqa|type:|fmt:|mypy:|pragma)")
_CONTINUES = re.compile(r"\s*(else|elif|except|finally|case)\b")
_MARKED = re.compile(rf"^([ \t]*){MARK}(\d+)$", re.MULTILINE)


@dataclass(slots=True)
class Comments:
    """The comments seen so far, by number."""

    texts: list[str] = field(default_factory=list)

    def mark(self, source: str) -> str:
        """The source with each comment as a statement above the one that it belongs to."""
        lines = source.splitlines()
        above: dict[int, list[str]] = {}
        starts = _logical_lines(source)
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            row = token.start[0] - 1
            if token.type != tokenize.COMMENT or _FOR_TOOLS.match(token.string) or token.string.startswith("#!"):
                continue
            target = starts[row]
            if target is not None and _may_stand_above(lines, target):
                above.setdefault(target, []).append(token.string)
        marked: list[str] = []
        for row, line in enumerate(lines):
            indent = line[: len(line) - len(line.lstrip())]
            marked += [f"{indent}{self._number(text)}" for text in above.get(row, ())]
            marked.append(line)
        return "\n".join(marked) + "\n"

    def restore(self, text: str) -> str:
        """The text of a tree with its comments back."""
        return _MARKED.sub(lambda match: match[1] + self.texts[int(match[2])], text)

    def _number(self, text: str) -> str:
        self.texts.append(text)
        return f"{MARK}{len(self.texts) - 1}"


def _logical_lines(source: str) -> list[int | None]:
    """For each line: where the statement begins that it is part of or, for a comment of its own, that follows it."""
    num_lines = len(source.splitlines())
    starts: list[int | None] = [None] * num_lines
    first: int | None = None
    waiting: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        row = token.start[0] - 1
        if token.type == tokenize.COMMENT and first is None:
            waiting.append(row)
        elif token.type == tokenize.NEWLINE:
            assert first is not None
            for line in (*waiting, *range(first, token.end[0])):
                starts[line] = first
            first, waiting = None, []
        elif token.type not in (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            first = row if first is None else first
    return starts


def _may_stand_above(lines: list[str], row: int) -> bool:
    """Could a statement stand in front of this line?"""
    before = next((line for line in reversed(lines[:row]) if line.strip() and not line.lstrip().startswith("#")), "")
    return not _CONTINUES.match(lines[row]) and not before.lstrip().startswith("@")
