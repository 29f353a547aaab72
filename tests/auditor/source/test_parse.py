"""Source to a tree: Python of any version, and the reason where there is none."""

from __future__ import annotations

import ast
import sys

import pytest

from auditor.source.parse import (
    MAX_DEPTH,
    MAX_SOURCE_BYTES,
    children,
    decode_source,
    nodes_of,
    parents,
    parse_source,
    walk,
)


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n",
        "\ufeffx = 1\r\ny = 2\r\n",
        "x = 1\ry = 2\r",
        "f'{x!r:>{width}}'\n",
        "f'{'nested'}'\n",
        'print(f"{"\\n".join(lines)}")\n',
        "f'{f'{f'{1}'}'}'\n",
        "x = '''a\nb''' f\"{d[\"k\"]}\"\ny = 3\n",
        "print('x'if 1else'y')\n",
    ],
)
def test_python_of_any_version_parses_and_keeps_its_lines(source: str) -> None:
    tree, reason = parse_source(source)
    assert reason is None
    assert tree is not None
    lines = source.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    assert max(node.end_lineno or 0 for node in ast.walk(tree) if isinstance(node, ast.stmt)) == lines


@pytest.mark.parametrize(
    "source", ["def f(:\n", "print 'x'\n", "x = 'unterminated\n", "f'{'\n", "\0", "#!/bin/sh\nset -euo pipefail\n"]
)
def test_what_is_no_python_has_a_reason(source: str) -> None:
    tree, reason = parse_source(source)
    assert tree is None
    assert reason


def test_chains_and_sizes_beyond_measure_are_refused() -> None:
    terms = MAX_DEPTH + 10
    assert parse_source("x = " + " + ".join(["'a'"] * (MAX_DEPTH // 2)))[0] is not None
    for source in ("x = " + " + ".join(["'a'"] * terms), "if a:\n  b\n" + "elif a:\n  b\n" * terms, "a" + ".b" * terms):
        tree, reason = parse_source(source)
        assert tree is None
        assert reason is not None
        assert "nested" in reason
    assert "characters of source" in (parse_source("#" * (MAX_SOURCE_BYTES + 1))[1] or "")


def test_recursion_in_the_parser_itself_is_a_reason() -> None:
    tree, reason = parse_source("x = " + "+".join(["1"] * (sys.getrecursionlimit() * 10)))
    assert tree is None
    assert reason


def test_bytes_are_decoded_by_their_cookie() -> None:
    assert decode_source(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n").endswith("x = '\u00e9'\n")
    assert decode_source(b"x = '\xe9'\n") == "x = '\\xe9'\n"
    assert decode_source("x = 1\n".encode("utf-16")).endswith("x = 1\n")


EVERY_STATEMENT = """
@cache
async def f(a, /, b: int = 1, *c, d=2, **e) -> None:
    async with a as g, b:
        return await (yield a)
class C(A, metaclass=M):
    x: int = 3
    y += lambda z, *w: z[1:2, ::w] if not z else {**z, 'k': -1}
try:
    import m as n, o
except (E, F) as error:
    raise G from error
else:
    del h.i
finally:
    global j
while k < l <= m: break
for p, *q in [r for s in t if u for r in {v, w}]: continue
match a:
    case {'k': B(x, y=[1, *z]), **rest} | None: assert rest, f'{x!r:>{w}}'
"""


def test_a_walk_goes_through_a_tree_as_that_of_the_standard_library() -> None:
    tree = ast.parse(EVERY_STATEMENT)
    assert walk(tree) == list(ast.walk(tree))
    assert nodes_of(tree) == tuple(ast.walk(tree))


def test_every_node_but_the_module_stands_below_its_parent() -> None:
    tree = ast.parse(EVERY_STATEMENT)
    around = parents(tree)
    assert set(around) == set(ast.walk(tree)) - {tree}
    assert all(child in children(parent) for child, parent in around.items())


def test_a_node_made_by_hand_may_lack_a_field() -> None:
    assert [type(node) for node in walk(ast.Subscript(ast.Name("x")))] == [ast.Subscript, ast.Name]


@pytest.mark.parametrize("coding", ["rot13", "hex", "zlib", "undefined", "idna"])
def test_a_cookie_that_names_no_text_encoding_is_passed_over(coding: str) -> None:
    assert decode_source(f"# coding: {coding}\nx = 1\n".encode()).endswith("x = 1\n")


def test_a_file_with_null_bytes_is_no_python_on_no_line() -> None:
    tree, reason = parse_source("x = 1\0")
    assert tree is None
    assert reason is not None
    assert "null bytes" in reason
    assert "None" not in reason
