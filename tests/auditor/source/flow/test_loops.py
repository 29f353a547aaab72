"""What the syntax of a loop tells."""

from __future__ import annotations

import ast

import pytest

from auditor.source.flow.loops import breaks_off


def body_of(source: str) -> list[ast.stmt]:
    loop = ast.parse(source).body[0]
    assert isinstance(loop, ast.For | ast.While)
    return loop.body


@pytest.mark.parametrize(
    "source",
    [
        "for a in b:\n    break",
        "while a:\n    if b:\n        pass\n    elif c:\n        break",
        "for a in b:\n    with c:\n        try:\n            d()\n        except e:\n            break",
        "for a in b:\n    for c in d:\n        pass\n    else:\n        break",
        "for a in b:\n    match c:\n        case 1:\n            break",
    ],
)
def test_a_break_ends_the_loop_that_it_stands_in(source: str):
    assert breaks_off(body_of(source))


@pytest.mark.parametrize(
    "source",
    [
        "for a in b:\n    continue",
        "for a in b:\n    while c:\n        break",
        "for a in b:\n    def f():\n        for c in d:\n            break",
    ],
)
def test_a_break_of_an_inner_loop_is_none_of_the_outer(source: str):
    assert not breaks_off(body_of(source))
