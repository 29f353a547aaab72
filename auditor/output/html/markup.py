"""HTML that is safe by construction: text is escaped where it enters, and only what came through here is markup.

`element` takes text and markup as children and escapes the text, so that no caller can forget to. Text is expected to be
plain (see `sanitize`). Colons and hashes that a CI runner might read as the start of a command are written as character
references, since a page can go to standard output.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape as escape_html

_VOID = frozenset({"meta", "link", "input"})

Attribute = str | int | bool | None


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


EMPTY = Markup()


def escape(text: str) -> Markup:
    """`text` as HTML that shows it as it is, in an element as well as in an attribute."""
    if isinstance(text, Markup):
        return text
    return Markup(escape_html(text, quote=True).replace("::", "&#58;:").replace("##[", "&#35;#["))


def element(name: str, /, *children: str, **attributes: Attribute) -> Markup:
    """An element. Children that are no markup are escaped; ``class_`` and ``aria_label`` are spelled without underscore.

    An attribute that is None or False is left out, True stands without a value.
    """
    start = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Markup(start) if name in _VOID else Markup(f"{start}{''.join(map(escape, children))}</{name}>")


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    spelled = name.rstrip("_").replace("_", "-")
    return f" {spelled}" if value is True else f' {spelled}="{escape(str(value))}"'


def join(parts: Iterable[str], between: str = "") -> Markup:
    """The parts one after the other, with `between` them; text among them is escaped."""
    return Markup(escape(between).join(map(escape, parts)))
