import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.source.templates import Hole, Template, hole_of_format, matches, split_lines, split_percent_format

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="{}%\n\r"), max_size=12)
FLOATS = st.floats(-1e9, 1e9) | st.sampled_from([float("nan"), float("inf"), 0.0])
INTEGERS = st.integers(-(10**12), 10**12)
FLOAT_SPECS = st.sampled_from([".4f", ".8f", ".0f", ",.2f", ">12.3f", "<9.1f", ".2e", ".3%", ".5g", "+.4f", "012.4f", "f"])
INTEGER_SPECS = st.sampled_from(["d", ",", "5d", "<8d", "^7d", "x", "03d", "_"])
HOLES = st.tuples(FLOATS, FLOAT_SPECS) | st.tuples(INTEGERS, INTEGER_SPECS) | st.tuples(WORDS, st.just(""))


@given(st.lists(st.tuples(WORDS, HOLES), min_size=1, max_size=6), WORDS)
def test_whatever_python_formats_is_matched(pieces: list[tuple[str, tuple[object, str]]], tail: str):
    template: list[str | Hole] = []
    text = ""
    for literal, (value, spec) in pieces:
        template += [literal, hole_of_format("x", spec)]
        text += literal + format(value, spec)
    assert matches((*template, tail), text + tail)


@given(st.floats(0, 1e6), st.integers(0, 9), st.integers(0, 9))
def test_number_of_decimals_is_held_to(value: float, printed: int, expected: int):
    template: Template = ("val_bpb:", hole_of_format("x", f".{expected}f"))
    assert matches(template, f"val_bpb:{value:.{printed}f}") is (printed == expected)


@given(FLOATS, st.integers(-9999, 9999), WORDS)
def test_percent_formats_match_what_python_formats(number: float, count: int, word: str):
    template: list[str | Hole] = []
    for literal, hole, _ in split_percent_format("at %s step %5d loss %.3f (%d%%)"):
        template += [literal, *([hole] if hole else [])]
    printed = f"at {word} step {count:5d} loss {number:.3f} ({count}%)"
    assert matches(tuple(template), printed)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["a", "aa", "1", " ", Hole(), Hole(pattern=r"\d+"), Hole(pattern=r" *")]), max_size=40))
@pytest.mark.parametrize("line", ["a" * 4000, "1" * 4000, "a1 " * 1300])
def test_no_template_makes_matching_slow(line: str, template: list[str | Hole]):
    started = time.process_time()
    matches(tuple(template), line)
    assert time.process_time() - started < 5


def test_print_of_several_lines_leaves_several_lines():
    assert split_lines(("first\nsecond ", Hole("x"), "\n")) == [("first",), ("second ", Hole("x")), ()]
