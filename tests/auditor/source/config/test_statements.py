"""The partial evaluator: every spelling of a switch, and that what cannot be told is unknown and never wrong."""

from __future__ import annotations

import ast
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.source.config.environment import Environment, Origin
from auditor.source.config.statements import Interpreter
from auditor.source.config.values import Namespace, Unknown
from auditor.submission.script import Module


def run(source: str, **variables: str) -> Interpreter:
    source = textwrap.dedent(source)
    module = Module(path="train_gpt.py", source_path="train_gpt.py", source=source, tree=ast.parse(source))
    environment = Environment()
    environment.set_if_absent(Origin.COMMAND, variables, None)
    interpreter = Interpreter(environment, sources={module.path: module})
    interpreter.load(module)
    return interpreter


def names(source: str, **variables: str) -> Namespace:
    return run(source, **variables).modules["train_gpt.py"]


def final(source: str, **variables: str) -> object:
    return names(source, **variables).names["x"].data


@pytest.mark.parametrize(
    ("expression", "unset", "text", "set_to"),
    [
        ('os.environ.get("X", "1")', "1", "0", "0"),
        ('os.environ.get("X")', None, "0", "0"),
        ('os.getenv("X", "1")', "1", "0", "0"),
        ('getenv("X", "1")', "1", "0", "0"),
        ('env("X", "1")', "1", "0", "0"),
        ("os.environ.get(KEY, DEFAULT)", "1", "0", "0"),
        ('int(os.environ.get("X", 3))', 3, "5", 5),
        ('float(os.environ.get("X", "1e-3"))', 0.001, "2", 2.0),
        ('bool(int(os.environ.get("X", "0")))', False, "1", True),
        ('os.environ.get("X", "0") == "1"', False, "1", True),
        ('os.environ.get("X", "false").lower() in ("1", "true", "yes")', False, "TRUE", True),
        ('os.environ.get("X", "0") not in {"0", ""}', False, "2", True),
        ('os.environ.get("X", "0").strip() != "0"', False, "1", True),
        ('int(os.environ["X"]) if "X" in os.environ else 7', 7, "2", 2),
        ('os.environ.get("X") or "fallback"', "fallback", "a", "a"),
        ('not os.environ.get("X")', True, "1", False),
        ('bool(os.environ.get("X", ""))', False, "0", True),
        ('[int(p) for p in os.environ.get("X", "4,5").split(",") if p]', [4, 5], "9", [9]),
        ('tuple(map_(os.environ.get("X", "a")))', ("a", "!"), "b", ("b", "!")),
        ('env_bool("X", True)', True, "no", False),
        ('env_int("X", 11)', 11, "12", 12),
        ("f\"sp{os.environ.get('X', 1024)}\"", "sp1024", "8192", "sp8192"),
        ('os.path.join("data", os.environ.get("X", "d"))', "data/d", "e", "data/e"),
        ('max(1, 8 // int(os.environ.get("X", "2")))', 4, "8", 1),
        ('dict(on=True, off=False)[os.environ.get("X", "on")]', True, "off", False),
        ('{"on": 1, "off": 0}.get(os.environ.get("X"), 5)', 5, "off", 0),
        ("Preset().size", 10, "large", 20),
        ("Nested().inner.depth", 4, "6", 6),
        ("made.value", 2, "3", 3),
    ],
)
def test_spellings(expression: str, unset: object, text: str, set_to: object) -> None:
    source = f"""
        import os
        from os import getenv
        from dataclasses import dataclass, field
        from types import SimpleNamespace
        env = os.environ.get
        KEY, DEFAULT = "X", "1"
        def map_(text):
            return [text, "!"]
        def env_bool(name, default):
            raw = os.environ.get(name)
            if raw is None:
                return default
            return raw.strip().lower() in {{"1", "true", "yes"}}
        def env_int(name: str, default: int) -> int:
            try:
                return int(os.environ[name]) if name in os.environ else default
            except ValueError:
                return default
        @dataclass
        class Preset:
            size: int = 10
            def __post_init__(self):
                if os.environ.get("X") == "large":
                    self.size = 20
        @dataclass(frozen=True)
        class Inner:
            depth: int = int(os.environ.get("X", "4")) if os.environ.get("X", "4").isdigit() else 0
        @dataclass
        class Nested:
            inner: Inner = field(default_factory=Inner)
        made = SimpleNamespace(value=2)
        if "X" in os.environ:
            setattr(made, "value", 3)
        x = {expression}
    """
    assert final(source) == unset
    assert final(source, X=text) == set_to


def test_minified_names() -> None:
    source = (
        "_B=True\n_E='1'\nimport os\ne=os.environ.get\nclass H:a=bool(int(e('A',_E)));b=_B;c=int(e('C',a+1))\nx=H.a,H.b,H.c"
    )
    assert final(source) == (True, True, 2)
    assert final(source, A="0") == (False, True, 1)


def test_preset_function_changes_the_object_it_is_handed() -> None:
    source = """
        import os
        class Config:
            def __init__(self):
                self.mode = "plain"
                self.rescore = False
        def apply(config, preset):
            if preset == "full":
                config.mode = "two_pass"
                config.rescore = True
        config = Config()
        apply(config, os.environ.get("PRESET", "full"))
        x = (config.mode, config.rescore)
    """
    assert final(source) == ("two_pass", True)
    assert final(source, PRESET="none") == ("plain", False)


def test_program_functions_are_not_run_but_configuring_ones_are() -> None:
    source = """
        class Args: pass
        def train(model, steps):
            for step in range(steps):
                model.update(step)
            return steps * 2
        def configure(args):
            args.stride = 64
            return args
        def main():
            args = configure(Args())
            global x, y
            x = args.stride
            y = train(None, 5)
        main()
    """
    found = names(source).names
    assert found["x"].data == 64
    assert isinstance(found["y"].data, Unknown)


@pytest.mark.parametrize(
    "source",
    [
        "import time\nx = time.time()",
        "import random\nx = 1\nif random.random() > 0.5:\n    x = 2",
        "x = 0\nwhile cond():\n    x += 1",
        "x = 0\nfor item in load():\n    x = item",
        "x = 9 ** 9 ** 9",
        "x = 'a' * 10 ** 12",
        "def f():\n    return f()\nx = f()",
        "def g():\n    yield 1\nx = g()",
        "x = open('f').read()",
        "x = undefined + 1",
        "x = (lambda: (yield))()",
        "x = [*range(3)]",
    ],
)
def test_what_cannot_be_told_is_unknown(source: str) -> None:
    assert isinstance(final(source), Unknown)


def test_known_part_decides_a_condition() -> None:
    source = "import time\nt = time.time() > 5\nx = (t and False, t or True, False and t, True or t)"
    assert final(source) == (False, True, False, True)


def test_endless_work_is_bounded() -> None:
    mutual = "def f(n):\n    for i in range(200):\n        g(i)\ndef g(n):\n    for i in range(200):\n        f(i)\n"
    assert isinstance(final(f"{mutual}x = f(1)\n"), Unknown)


def test_exception_that_a_handler_catches_is_no_failure() -> None:
    interpreter = run("try:\n    x = int('a')\nexcept ValueError:\n    x = 3\n")
    assert not interpreter.failures
    assert isinstance(interpreter.modules["train_gpt.py"].names["x"].data, Unknown)


def test_value_knows_the_variables_it_rests_on() -> None:
    value = names("import os\na = os.environ.get('A', '1')\nx = int(a) + int(os.environ.get('B', '2'))\n", B="5").names["x"]
    assert value.data == 6
    assert value.reads == {"A", "B"}


_NUMBERS = st.integers(-50, 50)
_EXPRESSIONS = st.recursive(
    _NUMBERS.map(str) | st.sampled_from(["a", "b"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%", "<", "==", "and", "or"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        inner.map(lambda one: f"(not {one})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} if {parts[1]} else {parts[2]})"),
        inner.map(lambda one: f"int({one})"),
        st.tuples(inner, inner).map(lambda parts: f"max({parts[0]}, {parts[1]})"),
    ),
    max_leaves=8,
)


@given(_EXPRESSIONS, _NUMBERS, _NUMBERS)
def test_known_values_are_those_that_python_computes(expression: str, a: int, b: int) -> None:
    interpreter = run(f"a, b = {a}, {b}\nx = {expression}\n")
    found = interpreter.modules["train_gpt.py"].names["x"].data
    try:
        expected = eval(expression, {"a": a, "b": b})  # our own generated arithmetic
    except ZeroDivisionError:
        assert isinstance(found, Unknown)
        assert interpreter.failures
    else:
        assert found == expected
        assert type(found) is type(expected)


@given(st.text(max_size=200))
def test_any_text_that_parses_is_survived(text: str) -> None:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return
    run(text)
