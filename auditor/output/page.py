"""A page of terminal text: paragraphs with hanging indents, quoted lines and tables, at a fixed width.

The only module that knows rich. Text is never read as rich markup, and nothing is asked of the environment, so that a
page of one width is the same text everywhere.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_DEFAULT_WIDTH = 100
_WIDEST = 120  # ours: longer lines are hard to read
_MAX_QUOTED_LINES = 3  # ours: enough for a metric line; a minified script has lines of kilobytes

_BLANKS_AT_END = re.compile(r"(?: |\x1b\[[\d;]*m)+$", re.MULTILINE)  # also between the codes that end a style

Styled = str | tuple[str, str]


def terminal_width() -> int:
    """The columns of the terminal, or of what COLUMNS says, at most 120; 100 where there is none."""
    return min(shutil.get_terminal_size((_DEFAULT_WIDTH, 24)).columns, _WIDEST)


def break_name(name: str, width: int) -> str:
    """`name` on lines of at most `width` characters if it can be broken so, which is after ``/``, ``_`` and ``-``."""
    lines = [""]
    for part in re.findall(r"[^/_-]*[/_-]|[^/_-]+", name):
        if len(lines[-1]) + len(part) > width and lines[-1]:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


class Page:
    """Collects text; `text()` returns it. A part of a line is a string, or a string with a style such as ``bold red``."""

    def __init__(self, width: int | None = None, *, color: bool = False) -> None:
        self.width = max(width or terminal_width(), 20)
        self._buffer = io.StringIO()
        self._console = Console(
            file=self._buffer,
            width=self.width,
            color_system="standard" if color else None,
            force_terminal=color,
            no_color=not color,
            markup=False,
            highlight=False,
            emoji=False,
            legacy_windows=False,
            _environ={},
        )

    def paragraph(self, *parts: Styled, indent: int = 0, bullet: str = "") -> None:
        """A paragraph, wrapped; lines after the first stand under the text, not under the bullet."""
        self._lines(Text.assemble(*parts), " " * indent + bullet, " " * (indent + len(bullet)))

    def quote(self, text: str, indent: int) -> None:
        """A quoted line of a file after a bar; what does not fit in three lines is cut off."""
        margin = " " * indent + "| "
        room = (self.width - len(margin)) * _MAX_QUOTED_LINES
        cut = text if len(text) <= room else f"{text[: room - 3]}..."
        self._lines(Text(cut, "dim"), margin, margin)

    def gap(self) -> None:
        """An empty line."""
        self._buffer.write("\n")

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[Styled]]) -> None:
        """A table without rules; the last column takes what is left of the width."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for number, head in enumerate(heads, start=1):
            table.add_column(head, overflow="fold", no_wrap=number < len(heads))
        for row in rows:
            table.add_row(*(Text.assemble(cell) for cell in row))
        self._console.print(table)

    def text(self) -> str:
        """Everything so far, without blanks at the ends of lines."""
        return _BLANKS_AT_END.sub(lambda match: match[0].replace(" ", ""), self._buffer.getvalue())

    def _lines(self, text: Text, first_margin: str, margin: str) -> None:
        lines = text.wrap(self._console, max(self.width - len(margin), 10), overflow="fold")
        for number, line in enumerate(lines):
            line.rstrip()
            self._console.print(Text.assemble(margin if number else first_margin, line), soft_wrap=True)
