"""The demo's own parts; the commands that it strings together are run by the test of the tutorial."""

from __future__ import annotations

import pytest

import cli
from trainer import demo as demo_module
from trainer.demo import CHEAT, MARK


def test_a_folder_with_files_that_no_demo_made_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert cli.main(["demo", "--output", str(tmp_path)]) == 2
    assert "has files in it that no demo made" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()


def test_the_folder_of_an_earlier_demo_is_emptied(tmp_path):
    (tmp_path / MARK).touch()
    (tmp_path / "seed1").mkdir()
    demo_module._empty(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [MARK]


@pytest.mark.parametrize(
    ("log", "done"),
    [
        (None, 0.0),
        ("step:0/40 val_loss:6.9\n", 0.0),
        ("step:20/40 train_loss:5.0 \nswa:start step:25\n", 0.25),
        ("step:40/40 val_loss:5.0 \nttt_chunk:3/12 tokens:1-9 \n", 0.625),
    ],
)
def test_progress_is_read_from_the_log(tmp_path, log, done):
    if log is not None:
        (tmp_path / "train.log").write_text(log)
    share, last = demo_module._progress(tmp_path)
    assert share == done
    assert last == (log.splitlines()[-1] if log else "")


def test_the_fixture_lies_where_the_audit_looks(tmp_path):
    root, path = demo_module._lay_out_cheat(tmp_path / "fixture")
    assert path.parts[:2] == ("records", "track_10min_16mb")
    assert path.name.endswith(CHEAT.partition("-")[2])
    assert (root / path / "train_gpt.py").exists()


def test_an_installation_without_fixtures_leaves_that_step_out(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_module, "COMMAND_LINE", tmp_path / "cli.py")
    assert demo_module._lay_out_cheat(tmp_path / "fixture") is None
    assert not (tmp_path / "fixture").exists()


@pytest.mark.parametrize(("statuses", "ended"), [((0, 1), 0), ((1, 1), 1), ((0, 0), 1)])
def test_it_fails_if_an_audit_comes_to_something_else(tmp_path, capsys, statuses, ended):
    from rich.console import Console

    outcomes = [("the record", 0, statuses[0]), ("the fixture", 1, statuses[1])]
    pages = [tmp_path / "record.html", tmp_path / "cheat.html"]
    assert demo_module._conclude(outcomes, pages, demo_module._Show(Console(), 0.0)) == ended
    said = capsys.readouterr().out
    assert str(pages[1]) in said
    assert ("where" in said) == bool(ended)
