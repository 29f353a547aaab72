"""The page around the reports: one file that loads nothing, with its own style sheet and script and a policy that forbids
everything else.

The content security policy names the style sheet and the script by their hashes. Should a text of a submission ever reach
the page as markup, a browser would still run and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from auditor.output.html.markup import Markup, element, join
from auditor.output.html.symbols import PATTERNS


@cache
def _part(name: str) -> str:
    return (files("auditor.output.html") / name).read_text(encoding="utf-8").strip()


def page(title: str, subtitle: str, *content: str) -> Markup:
    """A whole document, ending in a newline. `content` is what stands in the landmark ``main``."""
    style, script = _part("page.css"), _part("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        Markup(f"<style>{style}</style>"),
    )
    body = element(
        "body",
        PATTERNS,
        element("a", "Skip to the content", href="#main", class_="skip"),
        element("header", element("p", subtitle), _THEME, class_="top"),
        element("main", *content, id="main", tabindex="-1"),
        Markup(f"<script>{script}</script>"),
    )
    return join(("", Markup("<!doctype html>\n"), element("html", head, "\n", body, lang="en"), "\n"))


_THEME = element("button", "Dark", type="button", id="theme", aria_pressed="false", hidden=True)


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"
