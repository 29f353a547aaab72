"""Which script a submission runs, what it takes from its folder, and what it misses."""

from __future__ import annotations

import zlib
from base64 import b85encode
from collections.abc import Mapping

import pytest

from auditor.report import Unreadable
from auditor.submission.entry import read_script
from auditor.submission.errors import SubmissionError
from auditor.submission.script import Script


class Folder:
    """A submission folder in memory."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self.files = {path: text if isinstance(text, bytes) else text.encode() for path, text in files.items()}

    def paths(self) -> tuple[str, ...]:
        return tuple(sorted(self.files))

    def size(self, path: str) -> int:
        return len(self.files[path])

    def read(self, path: str) -> bytes:
        if path.startswith("huge"):
            raise SubmissionError(path, "too large")
        return self.files[path]

    def problems(self) -> tuple[Unreadable, ...]:
        return ()


def script_of(files: Mapping[str, str | bytes], entry: str | None = None) -> Script:
    script, _ = read_script(Folder(files), entry)
    assert script is not None
    return script


def modules_of(files: Mapping[str, str | bytes]) -> list[str]:
    return [module.path for module in script_of(files).modules]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["train_gpt.py", "train_gpt_human.py", "prepare_data.py"], "train_gpt.py"),
        (["train_gpt_v5.py", "build_wrapper.py"], "train_gpt_v5.py"),
        (["train_gpt_human.py", "train_gpt_cuda_ternary.py"], "train_gpt_cuda_ternary.py"),
        (["train.py", "run_eval.py"], "train.py"),
        (["train_gpt.py", "ablation/train_gpt.py"], "train_gpt.py"),
        (["src/train_gpt.py", "prepare.py"], "src/train_gpt.py"),
        (["golf.py", "test_golf.py"], "golf.py"),
    ],
)
def test_entry_is_chosen_by_its_name(names: list[str], chosen: str) -> None:
    script = script_of(dict.fromkeys(names, "x = 1\n"))
    assert script.path == chosen
    assert script.chosen_because


@pytest.mark.parametrize("names", [[], ["README.md"], ["prepare_data.py"], ["one.py", "other.py"], ["test_train.py"]])
def test_no_entry_is_guessed(names: list[str]) -> None:
    assert read_script(Folder(dict.fromkeys(names, "x = 1\n")), None) == (None, ())


def test_imports_are_followed_through_siblings_packages_and_names() -> None:
    files = {
        "train_gpt.py": "import torch\nimport model\nfrom blocks.attention import Attention\nfrom . import optim\n",
        "model.py": "from importlib import import_module\nimport_module('losses')\n",
        "blocks/__init__.py": "",
        "blocks/attention.py": "from ..shared import norm\n",
        "shared.py": "",
        "losses.py": "",
        "optim.py": "",
        "unused.py": "",
    }
    assert sorted(modules_of(files)) == sorted(set(files) - {"unused.py"} | set())


@pytest.mark.parametrize(
    "loader",
    [
        "exec(open('real.py').read())",
        "import runpy; runpy.run_path('real.py', run_name='__main__')",
        "import os,subprocess,sys; subprocess.run([sys.executable, 'real.py'])",
        "from pathlib import Path\nexec(compile((Path(__file__).parent / 'real.py').read_text(), 'real.py', 'exec'))",
        "import importlib.util as u; u.spec_from_file_location('real', 'real.py')",
        "import real",
        "__import__('real').main()",
    ],
)
def test_loader_leads_to_the_script_that_it_runs(loader: str) -> None:
    files = {"train_gpt.py": loader, "real.py": "import helper\n", "helper.py": "", "other.py": ""}
    assert modules_of(files) == ["train_gpt.py", "real.py", "helper.py"]


def test_packed_siblings_are_unwrapped_and_followed() -> None:
    payload = b85encode(zlib.compress(b"import helper\nX = 1\n")).decode()
    packed = f"import zlib,base64\nexec(zlib.decompress(base64.b85decode({payload!r})))\n"
    script = script_of({"train_gpt.py": "import model\n", "model.py": packed, "helper.py": ""})
    assert [(module.path, module.source_path) for module in script.modules] == [
        ("train_gpt.py", "train_gpt.py"),
        ("model.py", "model.py!decoded"),
        ("helper.py", "helper.py"),
    ]


def test_modules_that_a_wrapper_unpacks_go_before_shipped_ones() -> None:
    main, inner = "import train_gpt, helper\n", "import tables\n"
    payload = b85encode(zlib.compress(f"{main}---{inner}".encode())).decode()
    wrapper = (
        f"import zlib, base64\nparts = zlib.decompress(base64.b85decode({payload!r})).decode().split('---')\n"
        "for name, text in zip(['run.py', 'train_gpt.py'], parts):\n    open('/tmp/' + name, 'w').write(text)\n"
        "exec(open('/tmp/run.py').read())\n"
    )
    script = script_of({"train_gpt.py": wrapper, "helper.py": "", "tables.py": ""})
    assert [(module.path, module.source) for module in script.modules] == [
        ("train_gpt.py", main),
        ("train_gpt.py!decoded/train_gpt.py", inner),
        ("helper.py", ""),
        ("tables.py", ""),
    ]


def test_side_files_are_those_that_the_code_names() -> None:
    files = {
        "train_gpt.py": "KERNEL = 'ngram.cpp'\nopen('tables/pieces.json')\nTOKENIZER = './tokenizer.model'\n# other.cu\n",
        "ngram.cpp": "",
        "tables/pieces.json": "{}",
        "tokenizer.model": b"\0",
        "other.cu": "",
    }
    assert script_of(files).side_files == ("ngram.cpp", "tables/pieces.json", "tokenizer.model")


def test_what_is_needed_and_not_shipped_is_told() -> None:
    files = {
        "train_gpt.py": "from .model import GPT\nfrom .pkg.deep import f\nimport runpy, numpy\nrunpy.run_path('real.py')\n",
        "pkg/__init__.py": "from ..beside import g\n",
        "beside.py": "",
    }
    assert script_of(files).missing == ("model.py", "pkg/deep.py", "real.py")


def test_unreadable_files_are_told_and_stop_nothing() -> None:
    files = {"train_gpt.py": "import broken, huge, fine\n", "broken.py": "def f(:\n", "huge.py": "", "fine.py": "x = 1\n"}
    script, problems = read_script(Folder(files), None)
    assert script is not None
    assert {module.path: module.tree is not None for module in script.modules} == {
        "train_gpt.py": True,
        "broken.py": False,
        "fine.py": True,
    }
    assert {(problem.path, problem.reason.split(":")[0]) for problem in problems} == {
        ("broken.py", "no Python"),
        ("huge.py", "too large"),
    }


def test_named_entry_that_is_not_there() -> None:
    assert read_script(Folder({"train_gpt.py": ""}), "other.py") == (
        None,
        (Unreadable(path="other.py", reason="is not shipped"),),
    )


def test_modules_that_import_each_other_end() -> None:
    assert modules_of({"train_gpt.py": "import a", "a.py": "import b", "b.py": "import a, train_gpt"}) == [
        "train_gpt.py",
        "a.py",
        "b.py",
    ]
