"""What a printed line says about the expression in its hole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from auditor.finding import Location
from auditor.source.config.captures import RunLine, gather_printed
from auditor.source.config.commands import find_mentions
from auditor.source.config.logged import read_as
from auditor.source.config.values import Unknown
from auditor.source.prints import PrintSite
from auditor.source.templates import Hole, Part
from auditor.submission.readme import Readme, find_commands

PLACE = Location(path="train.log", line=3)


def shown(parts: tuple[Part, ...], line: str) -> dict[str, str]:
    site = PrintSite(location=Location(path="train_gpt.py", line=1), parts=parts)
    return {name: each.text for name, each in gather_printed([site], [RunLine(line, PLACE)]).items()}


def test_attribute_and_constant_are_read_by_their_own_names() -> None:
    parts = ("extras: ttt=", Hole("args.ttt_enabled"), " fa3=", Hole("USE_FA3"), " loss=", Hole("loss"))
    assert shown(parts, "extras: ttt=False fa3=True loss=2.0") == {"ttt_enabled": "False", "use_fa3": "True"}


def test_rounded_numbers_and_neighbouring_holes_are_not_settings() -> None:
    assert shown(("lr:", Hole("args.lr", r"[-+]?\d+\.\d{3}")), "lr:0.001") == {}
    assert shown(("lr:", Hole("args.a"), Hole("args.b")), "lr:12") == {}


@given(st.lists(st.from_regex(r"[a-z0-9.]{1,8}", fullmatch=True), min_size=1, max_size=4))
def test_values_between_words_come_back(values: list[str]) -> None:
    parts: list[Part] = ["Settings"]
    for index in range(len(values)):
        parts += [f" | name {index} = ", Hole(f"args.v{index}")]
    line = "Settings" + "".join(f" | name {index} = {value}" for index, value in enumerate(values))
    assert shown(tuple(parts), line) == {f"v{index}": value for index, value in enumerate(values)}


@given(st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False))
def test_printed_constant_is_read_back(value: object) -> None:
    assert read_as(str(value), value) == value


@given(st.text(max_size=30), st.sampled_from([True, 3, 0.5, "word", (1, 2), None, Unknown("?")]))
def test_any_text_is_read_as_the_kind_that_is_asked_for_or_not_at_all(text: str, like: object) -> None:
    found = read_as(text, like)
    assert like is None or isinstance(found, Unknown) or isinstance(like, Unknown) or type(found) is type(like)


def test_mentions_are_taken_where_they_are_values_and_agree() -> None:
    text = """
| `TABLE` | `1` |
| PROSE | Layers 1-10 |
- LISTED=2
```
FENCED=3 SHELL=$SHELL HOME=$(pwd)
```
SENTENCE=1 is slower
| TWICE | 1 |
| TWICE | 2 |
"""
    names = ["TABLE", "PROSE", "LISTED", "FENCED", "SHELL", "HOME", "SENTENCE", "TWICE"]
    found = find_mentions(Readme(path="README.md", text=text), names)
    assert {name: (each.line, each.value) for name, each in found.items()} == {
        "TABLE": (2, "1"),
        "LISTED": (4, "2"),
        "FENCED": (6, "3"),
    }


def test_block_with_a_command_speaks_of_that_run_only() -> None:
    text = "```\nABLATED=1 python train_gpt.py\n```\n"
    readme = Readme(path="README.md", text=text, commands=tuple(find_commands("README.md", text)))
    assert find_mentions(readme, ["ABLATED"]) == {}
