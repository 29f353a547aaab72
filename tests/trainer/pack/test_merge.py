"""Modules become one, every name means what it meant."""

from __future__ import annotations

import pytest

from tests.trainer.pack.pack_case import executed, make_package, packed_source
from trainer.pack.modules import collect

FIRST = """
    import math
    SIZE = 1
    class _Group:
        def area(self): return math.pi * SIZE
    def make(): return _Group()
    def unused(): return never
"""
SECOND = """
    from own.first import make as make_first
    SIZE = 2
    class _Group:
        def area(self): return SIZE
    def areas(SIZE_OF=lambda group: group.area()):
        return [SIZE_OF(group) for group in (make_first(), _Group())]
"""


def test_names_that_two_modules_define_stay_apart(tmp_path):
    source = packed_source(
        tmp_path, first=FIRST, second=SECOND, main="from own.second import areas\nresult = areas()\nprint(result)"
    )
    assert executed(source)["result"] == [pytest.approx(3.14159, abs=1e-5), 2]
    assert "second_Group" in source
    assert "unused" not in source


def test_a_module_that_is_named_gives_its_members(tmp_path):
    main = "from own import first as f\ndef g(first): return f.make().area() + first\nresult = [g(1), g(2)]\nprint(result)"
    source = packed_source(tmp_path, first=FIRST, main=main)
    assert executed(source)["result"] == pytest.approx([4.14159, 5.14159], abs=1e-5)


def test_what_hides_a_builtin_is_renamed(tmp_path):
    modules = {
        "first": "def max(a): return 'own'",
        "main": "from own.first import max\nresult = max(1)\nother = min(2, 3)\nprint(result, other)",
    }
    names = executed(packed_source(tmp_path, **modules))
    assert (names["result"], names["other"]) == ("own", 2)


def test_a_local_name_that_would_hide_a_renamed_one_is_an_error(tmp_path):
    main = "from own.first import _Group\nfrom own import second\ndef f(second_Group): return second._Group()\n"
    main += "print(_Group, f(1))"
    with pytest.raises(ValueError, match=r"main.py:3: a local variable second_Group hides what second._Group becomes"):
        packed_source(tmp_path, first=FIRST, second=SECOND, main=main)


NUMPY_X = "import numpy as x\ndef f(): return x"
MATH_X = "import math as x\nfrom own.a import f\nprint(x, f())"
CYCLE = ("from own.main import g\ndef f(): return g()", "from own.a import f\ndef g(): return f()\nprint(g())")


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        ({"a": NUMPY_X, "main": MATH_X}, "of one name"),
        ({"a": CYCLE[0], "main": CYCLE[1]}, "imports itself"),
        ({"main": "from own.a import f\nprint(f)"}, "cannot be read"),
        ({"a": "", "main": "from own.a import f\nprint(f)"}, "a has no f of its own to import"),
        ({"main": "from math import *\nprint(pi)"}, r"import \* cannot be packed"),
        ({"main": "def f():\n  global x\n  x = 1\nprint(f())"}, "global x"),
        ({"a": "if 1:\n  def f(): pass", "main": "from own.a import f\nprint(f)"}, "under a condition"),
        ({"main": "print(missing)"}, "uses missing, which nothing defines"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_packed_is_told(tmp_path, modules, reason):
    with pytest.raises(ValueError, match=reason):
        packed_source(tmp_path, **modules)


def test_a_module_of_which_nothing_is_needed_is_not_read(tmp_path):
    package = make_package(
        tmp_path, main="from own.a import f\nfrom own.b import g\nprint(f())", a="def f(): return 1", b="not python"
    )
    assert [module.name for module in collect(package, "main")] == ["a", "main"]
