"""Shortened programs do what they did."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given

from tests.trainer.pack.pack_case import executed
from tests.trainer.pack.test_fold import BLOCKS, _indented, results
from trainer.pack.shorten import shorten
from trainer.pack.strip import squeeze

PROGRAM = """
import math
from functools import partial
TABLE = {"rank": 3}
class Base:
    def __init__(self, rank, *, scale=1.0): self.rank = rank; self.scale = scale
    def area(self, radius):
        try:
            return [math.pi * self.scale * size ** 2 for size in (radius, *(other for other in range(self.rank)))]
        except ValueError as error:
            raise TypeError(f"bad {radius}") from error
def rank(): return TABLE["rank"]
def build(rank=1, scale=2.0):
    inner = lambda size, rank=rank: Base(rank, scale=scale).area(size)
    def outer(size):
        nonlocal inner
        inner = partial(inner, rank=2)
        return inner(size)
    return outer(3), max(rank, 0)
def fail(value):
    if value > 0: raise ValueError(f"{value} is too large")
    return value
main = (build(), build(rank=rank()), Base(2, scale=0.5).area(1), fail(0))
fail_too = fail
"""


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@given(BLOCKS)
def test_a_shortened_function_does_what_it_did(lines):
    source = "def function(x, y, seen):\n" + "\n".join(_indented(lines)) + "\nmain = function"
    assert results(squeeze(shorten(source)), "main") == results(source, "main")


def test_scopes_keywords_and_closures_keep_their_meaning():
    short = squeeze(shorten(PROGRAM))
    assert executed(short)["main"] == executed(PROGRAM)["main"]
    assert len(short) < 0.75 * len(PROGRAM)
    assert "radius" not in short
    assert "scale=" in short  # passed by keyword


def test_an_error_keeps_its_type():
    names = executed(shorten(PROGRAM + "main_fail = fail\n"))
    with pytest.raises(ValueError, match=r"^$"):
        names["main_fail"](1)


def test_what_prints_keeps_its_name():
    short = shorten(
        "def log_result(log, label, value): log(f'{label} {value}')\ndef evaluate_all(): return 1\nmain = log_result"
    )
    assert ast.unparse(ast.parse(short).body[0]).startswith("def log_result(log, ")
    assert "def evaluate_all" in short
