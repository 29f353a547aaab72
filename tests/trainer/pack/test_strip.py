"""Layout goes and comes back without changing what is said."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import trainer
from tests.trainer.pack.pack_case import executed, packed_source
from trainer.pack.comments import MARK, Comments
from trainer.pack.strip import squeeze

MODULES = sorted(Path(trainer.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_squeezed_modules_are_the_same_program(path):
    source = ast.unparse(ast.parse(path.read_text()))
    squeezed = squeeze(source)
    assert ast.dump(ast.parse(squeezed)) == ast.dump(ast.parse(source))
    assert len(squeezed) <= len(source) + 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_marked_modules_are_the_same_program_and_their_comments_come_back(path):
    source = path.read_text()
    comments = Comments()
    marked = ast.parse(comments.mark(source))
    text = comments.restore(ast.unparse(marked))
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(source))
    assert not re.search(rf"^\s*{MARK}\d+$", text, re.MULTILINE)
    assert all(comment in text for comment in comments.texts)


MAIN = '''
    """What this is."""
    from dataclasses import dataclass
    from typing import ClassVar, NamedTuple
    # about the pair
    class Pair(NamedTuple):
        """Two."""
        left: "list[int]"
        right: int = 2  # the other
    @dataclass(slots=True)
    class Box:
        kind: ClassVar[str] = "box"
        size: dict[str, int]
        def grown(self, by: int) -> "Box":
            """Larger."""
            total: int = self.size["a"] + by
            return Box({"a": total})
    result = (Pair([1]).right, Box({"a": 0}).grown(1).grown(2).size, Box.kind)
    print(result)
'''


def test_fields_survive_without_what_their_annotations_name(tmp_path):
    source = packed_source(tmp_path, main=MAIN)
    assert executed(source)["result"] == (2, {"a": 3}, "box")
    assert not any(word in source for word in ("ClassVar", "list", "Larger", "about", "->"))


def test_the_readable_form_keeps_what_people_read(tmp_path):
    source = packed_source(tmp_path, readable=True, main=MAIN)
    assert executed(source)["result"] == (2, {"a": 3}, "box")
    for word in ("What this is.", "# about the pair", "# the other", "Larger.", "by: int", "ClassVar[str]"):
        assert word in source
