"""The toy world has the challenge's layout and says the same every time; appended text leaves line numbers alone."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from auditor.run.world import BOS_ID, HEADER_INTS, shard
from tools.lay_out_fixtures import SHARED, Case, lay_out
from tools.toy_world import pieces, tokens, write_world


def read_shard(content: bytes) -> list[int]:
    header = struct.unpack_from(f"<{HEADER_INTS}i", content)
    assert header[:2] == (20240520, 1)
    return list(struct.unpack_from(f"<{header[2]}H", content, 4 * HEADER_INTS))


def test_shard_comes_back() -> None:
    assert read_shard(shard([5, 1, 300])) == [5, 1, 300]


def test_world_is_the_same_every_time_and_its_tokens_are_in_the_vocabulary(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_world(tmp_path / name, num_train_documents=8, num_val_documents=4)
    files = {path.relative_to(tmp_path / "one"): path.read_bytes() for path in (tmp_path / "one").rglob("*.*")}
    assert files == {path.relative_to(tmp_path / "other"): path.read_bytes() for path in (tmp_path / "other").rglob("*.*")}
    assert len(files) == 4
    for path, content in files.items():
        if path.suffix == ".bin":
            values = read_shard(content)
            assert values[0] == BOS_ID
            assert max(values) < len(pieces())


def test_training_and_validation_do_not_share_documents() -> None:
    def documents(seed: int) -> set[str]:
        return set("".join(map(chr, tokens(seed, num_documents=30))).split(chr(BOS_ID))) - {""}

    assert not documents(0) & (documents(1) | documents(2))


@pytest.mark.torch
def test_tokenizer_is_read_by_sentencepiece(tmp_path: Path) -> None:
    spm = pytest.importorskip("sentencepiece")
    write_world(tmp_path, num_train_documents=2, num_val_documents=2)
    processor = spm.SentencePieceProcessor(model_file=str(tmp_path / "data/tokenizers/toy.model"))
    assert processor.vocab_size() == len(pieces())
    assert processor.is_control(BOS_ID)
    assert [index for index in range(len(pieces())) if processor.is_byte(index)] == list(range(4, 260))
    words = [index for index, (piece, _) in enumerate(pieces()) if piece.startswith("\u2581")][:3]
    assert processor.decode(words) == "kaka kalo kami"


def test_appended_text_follows_the_case_and_marks_keep_their_lines(tmp_path: Path) -> None:
    folder = tmp_path / "PG701_rule" / "bad_case"
    folder.mkdir(parents=True)
    (folder / "train_gpt.py").write_text("import os\n\nstep()  # expect: PG701\n")
    generate = {"train_gpt.py": {"append": "toy_base.py.txt"}}
    case = Case(folder, "why", "records/x", (), (), None, None, generate)
    laid_out = lay_out(case, tmp_path / "out")
    text = (tmp_path / "out/train_gpt.py").read_text()
    assert text == "import os\n\nstep()\n" + (SHARED / "toy_base.py.txt").read_text()
    assert [(mark.path, mark.line) for mark in laid_out.expected] == [("train_gpt.py", 3)]
