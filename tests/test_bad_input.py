"""Bad input, through the real command: a clear message with path and reason, exit status 2, the others audited."""

from __future__ import annotations

import base64
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOG = """world_size:8 grad_accum_steps:1
seed:1337
val_loader:shards pattern=./data/fineweb_val_*.bin tokens:62021632
step:100/100 val_loss:2.0727 val_bpb:1.2275 train_time:599000ms step_avg:5990.00ms
Code size: 5 bytes
Serialized model int8+zlib: 15000000 bytes
Total submission size int8+zlib: 15000005 bytes
final_int8_zlib_roundtrip_exact val_loss:2.07269931 val_bpb:1.22754531
"""


def write_record(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "train_gpt.py").write_text("x = 1")
    (folder / "README.md").write_text("# A record\n")
    (folder / "submission.json").write_text(json.dumps({"name": "a", "val_bpb": 1.22754531, "bytes_total": 15000005}))
    (folder / "train.log").write_text(LOG)
    return folder


def audit(*paths: Path | str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "cli.py"), "audit", *map(str, paths), "--format", "json", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def packed(payload: bytes) -> str:
    return f"import lzma,base64\nexec(lzma.decompress(base64.b85decode({base64.b85encode(payload)!r})))\n"


def missing(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def huge_script(folder: Path) -> None:
    with (folder / "train_gpt.py").open("wb") as file:
        file.truncate(100_000_000)


def binary_script(folder: Path) -> None:
    (folder / "train_gpt.py").write_bytes(bytes(range(256)) * 64)


def truncated_payload(folder: Path) -> None:
    whole = lzma.compress(b"print('hello')\n" * 500)
    (folder / "train_gpt.py").write_text(packed(whole[: len(whole) // 2]))


def bomb(folder: Path) -> None:
    (folder / "train_gpt.py").write_text(packed(lzma.compress(b"#" * 300_000_000, preset=0)))


def truncated_source(folder: Path) -> None:
    (folder / "train_gpt.py").write_text("def train(:\n    if True")


def broken_json(folder: Path) -> None:
    (folder / "submission.json").write_text('{"val_bpb": 1.2,')


def list_json(folder: Path) -> None:
    (folder / "submission.json").write_text("[1, 2]")


def link_loop(folder: Path) -> None:
    (folder / "logs").symlink_to(folder, target_is_directory=True)


def link_out(folder: Path) -> None:
    (folder / "extra.log").symlink_to("/etc/hostname")


def no_permission(folder: Path) -> None:
    os.mkfifo(folder / "train_seed42.log")  # like a file without permission, but also for root


def huge_log(folder: Path) -> None:
    with (folder / "train_seed42.log").open("wb") as file:
        file.truncate(500_000_000)


def endless_numbers(folder: Path) -> None:
    (folder / "submission.json").write_text(
        f'{{"val_bpb": {"9" * 400}, "seeds": ["{"9" * 5000}"], "bytes_total": "1e999"}}'
    )
    (folder / "train_gpt.py").write_text("# coding: rot13\nx = (\n")


CASES: list[tuple[Callable[[Path], None], str, str]] = [
    (missing, "", "no such"),
    (empty, "", "empty"),
    (huge_script, "train_gpt.py", "bytes"),
    (binary_script, "train_gpt.py", ""),
    (truncated_payload, "train_gpt.py", ""),
    (bomb, "train_gpt.py", ""),
    (truncated_source, "train_gpt.py", "line 1"),
    (broken_json, "submission.json", "line 1"),
    (list_json, "submission.json", "list"),
    (link_loop, "logs", "link"),
    (link_out, "extra.log", "link"),
    (no_permission, "train_seed42.log", ""),
    (huge_log, "train_seed42.log", "bytes"),
    (endless_numbers, "train_gpt.py", "line 2"),
]


@pytest.mark.parametrize(("spoil", "file", "reason"), CASES, ids=[case[0].__name__ for case in CASES])
def test_each_is_named_with_its_reason_and_the_other_submission_is_audited(
    tmp_path: Path, spoil: Callable[[Path], None], file: str, reason: str
) -> None:
    bad, good = write_record(tmp_path / "bad"), write_record(tmp_path / "good")
    spoil(bad)
    done = audit(bad, good)
    assert done.returncode == 2, done.stderr
    reports = {Path(r["submission"]["path"]).name: r for r in json.loads(done.stdout)["reports"]}
    assert reports["good"]["unreadable"] == []
    assert reports["good"]["headline"]["line"] == 8
    told = reports["bad"]["unreadable"]
    assert [item for item in told if file in item["path"] and reason in item["reason"]], told
    assert reports["bad"]["verdict"] != "clean"


def test_a_name_with_a_newline_does_not_break_the_report(tmp_path: Path) -> None:
    folder = write_record(tmp_path / "record\nname")
    (folder / "notes\n::error::.log").write_text(LOG)
    for form in ("text", "github", "markdown", "sarif"):
        command = [sys.executable, str(ROOT / "cli.py"), "audit", str(folder), "--format", form]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode in (0, 1), done.stderr
        assert "\n::error::.log" not in done.stdout


def test_a_folder_that_is_no_git_directory(tmp_path: Path) -> None:
    done = audit("--repo", tmp_path, "--pr", "1")
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr


def test_a_pull_request_that_is_not_there(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    done = audit("--repo", tmp_path, "--pr", "7")
    assert done.returncode == 2
    assert "7" in done.stderr
