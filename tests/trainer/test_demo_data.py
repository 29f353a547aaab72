import hashlib
import json
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from trainer import demo_data
from trainer.demo_data import demo_documents, demo_folder, ensure_demo
from trainer.inspection import inspect_folder
from trainer.prepare import prepare


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def documents():
    return list(demo_documents())


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return ensure_demo(tmp_path_factory.mktemp("cache") / "demo")


def test_it_is_a_sound_data_set_of_a_few_hundred_thousand_tokens(demo):
    splits = json.loads((demo / "manifest.json").read_text())["splits"]
    assert 200_000 < splits["train"]["num_tokens"] < 1_000_000
    assert 20_000 < splits["val"]["num_tokens"] < 150_000
    assert splits["val"]["counted_bytes"] == splits["val"]["text_bytes"]
    assert inspect_folder(demo).problems == ()


def test_it_holds_the_language_reference_and_docstrings(documents):
    assert any('The "assert" statement' in text for text in documents)
    assert any(text.startswith("argparse\n\nCommand-line parsing library") for text in documents)
    assert any("textwrap.TextWrapper.wrap\n\nwrap(text : string)" in text for text in documents)
    assert all(text.strip() for text in documents)


def test_the_same_text_makes_the_same_files(demo, documents, tmp_path):
    prepare(documents, tmp_path, demo_data.SETTINGS, name=demo_folder().name, source=demo_data.demo_source())
    assert digests(tmp_path) == digests(demo)


def test_one_that_is_there_is_used_as_it_is(demo, monkeypatch):
    monkeypatch.setattr(demo_data, "prepare", lambda *args, **kwargs: pytest.fail("made again"))
    assert ensure_demo(demo) == demo


def test_of_two_processes_that_ask_at_once_the_slower_takes_the_other_one_s(demo, tmp_path, monkeypatch):
    folder = tmp_path / "cache" / "demo"

    def overtaken(documents, own, settings, **_):
        shutil.copytree(demo, own, dirs_exist_ok=True)
        shutil.copytree(demo, folder)
        (folder / "by_the_other").touch()

    monkeypatch.setattr(demo_data, "prepare", overtaken)
    monkeypatch.setattr(demo_data, "demo_documents", lambda: [])
    assert ensure_demo(folder) == folder
    assert (folder / "by_the_other").exists()
    assert list(folder.parent.iterdir()) == [folder]


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(documents, own, settings, **_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo_data, "prepare", full)
    monkeypatch.setattr(demo_data, "demo_documents", lambda: [])
    with pytest.raises(OSError, match="No space left"):
        ensure_demo(tmp_path / "cache" / "demo")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty and without manifest"):
        ensure_demo(tmp_path)


def test_a_python_without_sources_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(ValueError, match="has no sources of its standard library"):
        ensure_demo(tmp_path / "demo")


def test_each_python_has_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = demo_folder()
    assert here.parent == tmp_path / "pgolf"
    monkeypatch.setattr(sys, "version_info", (3, 99, 1, "final", 0))
    assert demo_folder().name != here.name
