"""Folding keeps what code does: generated functions give the same results before and after, whatever is open."""

from __future__ import annotations

import ast
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pack.fold import Folder, Tidier
from trainer.pack.kinds import Kinds
from trainer.pack.strip import squeeze

ATOMS = st.sampled_from(["x", "y", "True", "False", "None", "0", "1", "2.5", "''", "'a'", "()", "('a', 'b')", "-1"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {} or {})".format, inner, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({} == {})".format, inner, inner),
        st.builds("({} is not None)".format, inner),
        st.builds("({} in {})".format, inner, inner),
        st.builds("max({}, {})".format, inner, inner),
        st.builds("f'a{{{}}}b'".format, ATOMS.filter(lambda atom: "'" not in atom)),
    ),
    max_leaves=12,
)
BLOCKS = st.recursive(
    st.one_of(
        st.builds("return {}".format, EXPRESSIONS),
        st.builds("seen.append({})".format, EXPRESSIONS),
        st.just("pass"),
    ).map(lambda line: [line]),
    lambda inner: st.one_of(
        st.builds(lambda test, body: [f"if {test}:", *_indented(body)], EXPRESSIONS, inner),
        st.builds(
            lambda test, body, other: [f"if {test}:", *_indented(body), "else:", *_indented(other)],
            EXPRESSIONS, inner, inner,
        ),
        st.builds(
            lambda items, body: [f"for item in {items}:", *_indented(body)], st.sampled_from(["()", "(1, 2)"]), inner
        ),
        st.builds(lambda one, other: [*one, *other], inner, inner),
    ),
    max_leaves=8,
)  # fmt: skip


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def folded(source: str) -> str:
    tree = ast.parse(source)
    for _ in range(3):
        Folder(Kinds(tree), {}, set(), {}).visit(tree)
        Tidier().visit(tree)
    return squeeze(ast.unparse(ast.fix_missing_locations(tree)))


def results(source: str, name: str = "f") -> list[object]:
    """What a function does for several arguments: result and calls, or the kind of error."""
    names: dict[str, object] = {}
    exec(source, names)
    found: list[object] = []
    for x, y in itertools.product((0, 1, None, "a", ()), repeat=2):
        seen: list[object] = []
        try:
            found.append((repr(names[name](x, y, seen)), repr(seen)))
        except TypeError:
            found.append(TypeError)
    return found


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@given(BLOCKS)
def test_a_folded_function_does_what_it_did(lines):
    source = "def f(x, y, seen):\n" + "\n".join(_indented(lines))
    assert results(folded(source)) == results(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("if 'swa' == 'off':\n  a()\nelif 3 > 2:\n  b()\nelse:\n  c()", "b()"),
        ("x = y if False else z", "x=z"),
        ("with nullcontext():\n  a()", "a()"),
        ("with nullcontext() as b:\n  a()", "with nullcontext()as b:a()"),
        ("if x and False:\n  a()", ""),
        ("if a() and False:\n  b()", "if a()and False:b()"),
        ("x = f'{1}{y}{\"s\"}'", "x=f'1{y}s'"),
        ("x = f'{1:3d}'", "x=f'{1:3d}'"),
        ("x = any(a in b for a in ())", "x=False"),
        ("def f():\n  a = 'int6'\n  return g(a)", "def f():return g('int6')"),
        ("def f():\n  a = 1\n  a += 1\n  return a", "def f():a=1;a+=1;return a"),
        ("def f():\n  if True:\n    return 1\n  return 2", "def f():return 1"),
    ],
)
def test_what_is_decided_is_gone(source, expected):
    assert folded(source).strip() == expected
