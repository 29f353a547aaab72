import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainer.data import write_shard
from trainer.data_command import add_data_parser


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser(prog="pgolf")
    add_data_parser(parser.add_subparsers())
    parsed = parser.parse_args(["data", *map(str, arguments)])
    return parsed.run(parsed)


@pytest.fixture
def prepared(tmp_path, capsys):
    source = tmp_path / "docs.jsonl"
    lines = [{"body": f"Number {number} is followed by {number + 1}; the square is {number**2}."} for number in range(300)]
    source.write_text("\n".join(map(json.dumps, lines)))
    output = tmp_path / "out"
    assert run("prepare", source, "--field", "body", "--vocab-size", 300, "--val-fraction", 0.1, "--output", output) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"data.path={output}",
        f"data.tokenizer_path={output / 'tokenizer.model'}",
    ]
    return output


def test_prepared_data_pass_inspection(prepared, capsys):
    assert run("inspect", prepared) == 0
    assert "train: 1 shards" in capsys.readouterr().out


def test_inspection_of_broken_data_exits_with_1_and_says_why(prepared, capsys):
    write_shard(prepared / "fineweb_train_000000.bin", np.array([1, 400]))
    assert run("inspect", prepared) == 1
    assert "problem: " in capsys.readouterr().out


def test_replacing_needs_force(prepared, tmp_path, capsys):
    arguments = ["prepare", tmp_path / "docs.jsonl", "--field", "body", "--vocab-size", 300, "--output", prepared]
    assert run(*arguments, "--val-fraction", 0.1) == 2
    assert "not empty" in capsys.readouterr().err
    assert run(*arguments, "--val-fraction", 0.1, "--force") == 0


def test_a_tokenizer_that_loses_text_is_noted(tmp_path, capsys):
    source = tmp_path / "a.txt"
    source.write_text("\n\n".join(f"Two  spaces and {number}" for number in range(200)))
    arguments = ["--split-text", "blank-line", "--normalization", "published", "--vocab-size", 290, "--val-fraction", 0.2]
    assert run("prepare", source, *arguments, "--output", tmp_path / "out") == 0
    assert "does not give back the exact text" in capsys.readouterr().err


def test_the_arguments_need_nothing_heavy():
    script = (
        "import argparse, sys; from trainer.data_command import add_data_parser\n"
        "add_data_parser(argparse.ArgumentParser().add_subparsers())\n"
        "print([name for name in ('torch', 'numpy', 'sentencepiece', 'huggingface_hub') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    output = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["prepare", "nowhere.txt", "--output", "out"], "nowhere.txt: no such file or folder"),
        (["prepare", "a.txt", "--output", "out", "--val-fraction", "2"], "val_fraction=2.0: must be between 0 and 1"),
        (["prepare", "a.txt", "--output", "a.txt/out"], "Not a directory: 'a.txt/out'"),
        (["inspect", "."], "tokenizer.model: no such tokenizer file"),
        (["download", "--endpoint", "http://127.0.0.1:9"], "manifest.json: cannot be downloaded"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_2(tmp_path, monkeypatch, capsys, arguments, reason):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("some text")
    assert run(*arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("pgolf data: ")
    assert reason in message
    assert message.count("\n") == 1
