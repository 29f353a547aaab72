"""Whatever a submission writes into its names, logs and code, it stays text: property tests over every format.

The same reports are rendered once with harmless words and once with hostile ones in every place that a submission can have
a hand in. Structure must not change: no annotation more, no element of Markdown more, no line that a runner obeys.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from auditor.output import FORMATS, render
from auditor.output.markdown import code, escape, fenced
from auditor.output.sanitize import disarm_commands, plain
from auditor.report import ReportSet

FRAGMENTS = (
    *(
        "\n",
        "\r\n",
        "\r",
        "\t",
        "\x0b",
        "\x0c",
        "\x85",
        "\u2028",
        "\0",
        "\x07",
        "\x1b[31m",
        "\x1b]8;;http://x\x1b\\",
        "\x9b31m",
    ),
    *(
        "\u202e",
        "\u200b",
        "\u00a0",
        "\udc80",
        "\ud800",
        "\N{PILE OF POO}",
        "%0A",
        "%",
        ",line=1",
        "::",
        "::error::x",
        "\n::error::x",
    ),
    *(
        "##[error]x",
        "::stop-commands::t",
        "|",
        "||",
        "`",
        "``",
        "```",
        "~~~",
        "\\",
        "*",
        "**",
        "_",
        "__",
        "~~",
        "[a](http://b)",
    ),
    *("<script>", "<b>", "</details>", "<!--", "-->", "&lt;", "&#64;", "@everyone", "#1", "GH-1", "a/b#1", "www.x.org"),
    *(
        "http://x.org",
        "https://x.org/?a=b",
        "[bold red]",
        "[/]",
        "[link=x]",
        "$x$",
        "# ",
        "\n# h",
        "- ",
        "> ",
        "---",
        "    ",
    ),
    *(":boom:", "!", "![a](b)", "[x]: y", "'", '"', " ", "x", "Z9"),
)
hostile = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=4)), max_size=8).map("".join)
COMMAND = re.compile(r"::(error|warning|notice) (file=[^,\n]*,)?(line=\d+,)?title=[^,:\n]*::[^\n]*")


@pytest.fixture(scope="module")
def spoiled(samples: Callable[..., Any]) -> Callable[[str], ReportSet]:
    def make(text: str) -> ReportSet:
        made = samples(lambda harmless: f"{text}{harmless}{text}")
        return made.set(made.violation(), made.clean(), made.error())  # type: ignore[no-any-return]

    return make


@pytest.mark.parametrize("form", FORMATS)
@example(text="\ud800")
@example(text="##[error]x")
@example(text="::error::x")
@example(text=" ::error::x")
@given(text=hostile)
def test_no_format_holds_a_control_character_or_a_line_that_a_runner_obeys(
    text: str, form: str, spoiled: Callable[[str], ReportSet]
):
    rendered = render(spoiled(text), (), form, width=60)
    rendered.encode("utf-8")
    assert all(character.isprintable() or character in "\n\N{ZERO WIDTH SPACE}" for character in rendered)
    if form != "github":
        assert "##[" not in rendered
        assert not [line for line in rendered.split("\n") if line.lstrip().startswith("::")]


@given(text=hostile)
def test_colour_lets_no_escape_sequence_through(text: str, spoiled: Callable[[str], ReportSet]):
    coloured = render(spoiled(text), (), "text", width=60, color=True)
    assert "\x1b" not in re.sub(r"\x1b\[(0|1|2|4|3\d|;)+m", "", coloured)


@given(text=hostile)
def test_annotations_stay_as_many_and_each_stays_one_command(text: str, spoiled: Callable[[str], ReportSet]):
    lines = render(spoiled(text), (), "github").split("\n")
    assert len(lines) == len(render(spoiled(""), (), "github").split("\n"))
    assert [line for line in lines[:-2] if not COMMAND.fullmatch(line)] == []
    assert lines[-2:] == ["pgolf: 3 submissions: 1 violation, 1 clean, 1 error", ""]


@given(text=hostile)
def test_annotations_say_what_the_submission_said(text: str, spoiled: Callable[[str], ReportSet]):
    first = render(spoiled(text), (), "github").split("\n")[0]
    properties, _, data = first.removeprefix("::error ").partition("::")
    assert unescaped(data) == plain(f"{text}model.bin{text}") + ": " + plain(f"{text}too large{text}")
    told = dict(entry.split("=", 1) for entry in properties.split(","))
    assert unescaped(told["file"]).endswith(plain(f"/{text}model.bin{text}"))


@example(text="- x")
@example(text="1. x")
@example(text="# x")
@example(text="---")
@example(text="    x")
@given(text=hostile)
def test_markdown_keeps_its_structure(text: str, spoiled: Callable[[str], ReportSet]):
    assert list(structure(render(spoiled(text), (), "markdown"))) == list(structure(render(spoiled(""), (), "markdown")))


@given(text=hostile)
def test_html_keeps_its_structure(text: str, spoiled: Callable[[str], ReportSet]):
    assert tags(render(spoiled(text), (), "html")) == tags(render(spoiled(""), (), "html"))


@given(text=hostile)
def test_json_says_what_the_submission_said(text: str, spoiled: Callable[[str], ReportSet]):
    data = json.loads(render(spoiled(text), (), "json"))
    told = data["reports"][0]["unreadable"][0]["path"]
    assert told == f"{text}model.bin{text}".encode("utf-8", "backslashreplace").decode()


@given(text=hostile.map(plain))
def test_escaped_text_reads_as_it_was_and_makes_no_element(text: str):
    [paragraph, inline, end] = MarkdownIt("commonmark").enable("table").parse(f"x{escape(text)}x")
    shown = "".join(child.content for child in inline.children or () if child.type in ("text", "softbreak"))
    assert [token.type for token in (paragraph, end)] == ["paragraph_open", "paragraph_close"]
    assert {child.type for child in inline.children or ()} == {"text"}
    assert shown.replace("\N{ZERO WIDTH SPACE}", "") == f"x{text.strip()}x"


@given(text=hostile.map(plain))
def test_escaped_text_holds_no_mention_reference_or_address(text: str):
    shown = html.unescape(re.sub(r"\\(?=[!-/:-@\[-`{-~])", "", escape(text)))
    assert not re.search(r"[@#]\w|\bgh-\d", shown, re.IGNORECASE)
    assert not re.search(r"://|www\.", escape(text), re.IGNORECASE)


@given(text=hostile.map(plain))
def test_a_code_span_cannot_be_ended_from_within(text: str):
    [_, inline, _] = MarkdownIt("commonmark").parse(f"x {code(text)} x")
    assert [child.type for child in inline.children or ()] == ["text", "code_inline", "text"]


@given(text=hostile.map(plain))
def test_a_table_cell_cannot_be_ended_from_within(text: str):
    table = f"| a | b |\n|---|---|\n| {escape(text)} | {code(text)} |"
    tokens = MarkdownIt("commonmark").enable("table").parse(table)
    assert sum(token.type == "td_open" for token in tokens) == 2
    assert tokens[-1].type == "table_close"


@given(text=hostile)
def test_a_code_block_cannot_be_ended_from_within(text: str):
    text = "\n".join(map(plain, text.split("\n")))
    [block] = MarkdownIt("commonmark").parse(fenced(text))
    assert (block.type, block.content) == ("fence", f"{text}\n")


@given(text=st.text())
def test_plain_text_is_one_printable_line_and_plain_already(text: str):
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a name\twith\N{NO-BREAK SPACE}blanks", "a name with blanks"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("exe.\u202eyp", "exe.\\u202eyp"),
        ("bytes \udc80", "bytes \\udc80"),
        ("na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve", "na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve"),
        ("x" * 5000, "x" * 4000 + "..."),
    ],
)
def test_plain_text_shows_what_is_not_printable(text: str, shown: str):
    assert plain(text) == shown


def test_commands_are_disarmed_and_ordinary_colons_are_not():
    assert disarm_commands("a::b\n  ::error::x\n##[error]\n:x\n") == "a::b\n  \\::error::x\n#\\#[error]\n:x\n"


class Tags(HTMLParser):
    """Notes every tag with the names of its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(f"{tag} {[name for name, _ in attrs]}")

    def handle_endtag(self, tag: str) -> None:
        self.found.append(f"/{tag}")


def tags(page: str) -> list[str]:
    """The tags of a page; a quotation has a line more for each line break, so the lines of quotations are left out."""
    parser = Tags()
    parser.feed(re.sub(r'(?s)<pre class="lines">.*?</pre>', "<pre></pre>", page))
    parser.close()
    return parser.found


def unescaped(text: str) -> str:
    """What a runner makes of an escaped value, in its order."""
    for code_, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code_, character)
    return text


def structure(text: str) -> Iterator[str]:
    """The types of all tokens; neighbouring texts count once."""
    before = ""
    for token in _flat(MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(text)):
        if token.type != before or token.type != "text":
            yield token.type
        before = token.type


def _flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _flat(token.children or [])
