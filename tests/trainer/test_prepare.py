import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from auditor.reference import read_split
from trainer import prepare as prepare_module
from trainer.data import find_shards, open_train_shards, open_validation, train_pattern, val_pattern, write_shard
from trainer.documents import DocumentFiles, find_files
from trainer.inspection import document_digests, inspect_folder
from trainer.prepare import PrepareSettings, document_key, is_validation, prepare
from trainer.tokens import load_tokenizer

WORDS = "the cat sat on a mat while rain fell 12 times; né 漢字 \U0001f600 def f(x): return x".split(" ")  # noqa: SIM905
SETTINGS = PrepareSettings(vocab_size=300, val_fraction=0.2, shard_tokens=1000)


def documents(num_documents: int = 200, seed: int = 0) -> list[str]:
    choice = random.Random(seed)
    return [" ".join(choice.choices(WORDS, k=choice.randint(3, 40))) + "\n  end" for _ in range(num_documents)]


def read_back(folder: Path, pattern: str) -> list[str]:
    """Documents as text, from the tokens of all shards."""
    processor = load_tokenizer(folder / "tokenizer.model")
    stream = np.concatenate([shard.tokens() for shard in find_shards(pattern)])
    pieces = np.split(stream, np.flatnonzero(stream == processor.bos_id()))[1:]
    return [processor.decode(piece[1:].tolist()) for piece in pieces]


def test_every_document_is_in_one_split_byte_for_byte(tmp_path):
    texts = documents()
    manifest = prepare(texts, tmp_path / "out", SETTINGS)
    train, val = (read_back(tmp_path / "out", pattern(tmp_path / "out")) for pattern in (train_pattern, val_pattern))
    assert train == [text for text in texts if not is_validation(text, 0.2)]
    assert val == [text for text in texts if is_validation(text, 0.2)]
    assert 20 < len(val) < 60
    assert manifest["decodes_exactly"]
    for name, split in (("train", train), ("val", val)):
        described = manifest["splits"][name]
        assert described["num_documents"] == len(split)
        assert described["counted_bytes"] == described["text_bytes"] == sum(len(text.encode()) for text in split)


def test_the_split_is_described_for_an_audit_by_what_its_tokens_decode_to(tmp_path):
    texts = list(documents())
    manifest = prepare(texts, tmp_path / "mine", SETTINGS, source="texts of a test")
    split = read_split(tmp_path / "mine" / "split.json")
    tokenizer = load_tokenizer(tmp_path / "mine" / "tokenizer.model")
    tokens = open_validation(val_pattern(tmp_path / "mine")).tokens.tolist()
    assert (split.name, split.source) == ("mine", "texts of a test")
    assert split.num_bytes == len(tokenizer.decode(tokens).encode())
    assert split.num_tokens == len(tokens) == manifest["splits"]["val"]["num_tokens"]
    assert (split.tokenizer_sha256, split.vocab_size) == (manifest["tokenizer"]["sha256"], tokenizer.vocab_size())


def test_the_manifest_describes_the_files(tmp_path):
    prepare(documents(), tmp_path, SETTINGS)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    shards = manifest["splits"]["train"]["shards"]
    assert len(shards) > 2
    assert {shard["num_tokens"] for shard in shards[:-1]} == {1000}
    for shard in shards:
        assert hashlib.sha256((tmp_path / shard["file"]).read_bytes()).hexdigest() == shard["sha256"]
    assert sum(shard["num_tokens"] for shard in shards) == open_train_shards(train_pattern(tmp_path)).num_tokens
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["manifest.json", "split.json", "tokenizer.model", "fineweb_val_000000.bin", *(shard["file"] for shard in shards)]
        + [shard["file"] for shard in manifest["splits"]["val"]["shards"][1:]]
    )


def test_copies_of_a_document_land_on_one_side(tmp_path):
    texts = documents(60)
    copies = texts + [f"  {text}\n\n" for text in texts] + [text.replace(" ", "\u3000") for text in texts]
    copies += [text.replace("1", "\uff11").replace("f(", "\uff46(") for text in texts]
    assert len({document_key(text) for text in copies}) == len(set(texts)) < len(set(copies)) / 3
    settings = PrepareSettings(vocab_size=300, val_fraction=0.3, normalization="published")
    prepare(copies, tmp_path, settings)
    bos = load_tokenizer(tmp_path / "tokenizer.model").bos_id()
    train = set(document_digests([shard.tokens() for shard in find_shards(train_pattern(tmp_path))], bos))
    val = set(document_digests([open_validation(val_pattern(tmp_path)).tokens], bos))
    assert train
    assert val
    assert not train & val
    assert inspect_folder(tmp_path).problems == ()


def test_a_published_normalisation_says_what_it_loses(tmp_path):
    manifest = prepare(documents(), tmp_path, PrepareSettings(vocab_size=300, val_fraction=0.2, normalization="published"))
    assert not manifest["decodes_exactly"]
    assert manifest["splits"]["val"]["counted_bytes"] < manifest["splits"]["val"]["text_bytes"]


def test_the_tokenizer_sees_no_validation_document(tmp_path):
    texts = documents()
    prepare(texts, tmp_path / "all", SETTINGS)
    train_only = [text for text in texts if not is_validation(text, 0.2)]
    alone = prepare_module.train_tokenizer(train_only, 300, "none")
    assert (tmp_path / "all" / "tokenizer.model").read_bytes() == alone.serialized_model_proto()


def test_a_given_tokenizer_is_used_as_it_is(tmp_path):
    prepare(documents(), tmp_path / "first", SETTINGS)
    tokenizer = tmp_path / "first" / "tokenizer.model"
    prepare(documents(seed=1), tmp_path / "second", PrepareSettings(tokenizer=tokenizer, val_fraction=0.2))
    assert (tmp_path / "second" / "tokenizer.model").read_bytes() == tokenizer.read_bytes()
    assert inspect_folder(tmp_path / "second").problems == ()


def test_what_is_there_is_kept_until_the_new_is_complete(tmp_path):
    prepare(documents(), tmp_path, SETTINGS)
    (tmp_path / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken():
        yield from documents(150, seed=1)
        raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match=r"not empty, has .*; --force replaces"):
        prepare(documents(), tmp_path, SETTINGS)
    with pytest.raises(OSError, match="No space left"):
        prepare(broken(), tmp_path, PrepareSettings(tokenizer=tmp_path / "tokenizer.model"), force=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    prepare(documents(60, seed=1), tmp_path, SETTINGS, force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert len(list(tmp_path.glob("fineweb_train_*.bin"))) < len([name for name in before if "train" in name])
    assert inspect_folder(tmp_path).problems == ()


def test_a_killed_preparation_leaves_the_old_shards_and_the_next_one_clears_up(tmp_path):
    prepare(documents(), tmp_path, SETTINGS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    script = (
        "import os, signal, pathlib\n"
        "from tests.trainer.test_prepare import SETTINGS, documents\n"
        "from trainer.prepare import prepare\n"
        "def log(line):\n"
        "    if 'documents' in line: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"prepare(documents(seed=1), pathlib.Path({str(tmp_path)!r}), SETTINGS, force=True, log=log)\n"
    )
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", script], cwd=root, env=os.environ | {"PYTHONPATH": "."}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert list(tmp_path.glob(".partial-*"))
    prepare(documents(seed=1), tmp_path, SETTINGS, force=True)
    assert not list(tmp_path.glob(".partial-*"))


@pytest.mark.parametrize(
    ("settings", "texts", "reason"),
    [
        ({"vocab_size": 5000}, documents(20), "this text makes no more than"),
        ({"vocab_size": 100}, documents(20), "Increase vocab_size"),
        ({"vocab_size": 300}, [], "no text to learn from"),
        ({"vocab_size": 300, "val_fraction": 1e-9}, documents(20), "the val split has no document"),
    ],
)
def test_text_that_does_not_do_is_said_so(tmp_path, settings, texts, reason):
    with pytest.raises(ValueError, match=reason):
        prepare(texts, tmp_path, PrepareSettings(**settings))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("settings", [{"val_fraction": 0.0}, {"vocab_size": 65537}, {"shard_tokens": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        PrepareSettings(**settings)


class TestInspection:
    @pytest.fixture
    def folder(self, tmp_path):
        prepare(documents(), tmp_path, SETTINGS)
        return tmp_path

    def test_facts(self, folder):
        text_bytes = sum(len(text.encode()) for text in documents() if is_validation(text, 0.2))
        facts = inspect_folder(folder).facts
        assert any(f"{text_bytes:,} bytes to predict" in fact for fact in facts)

    def test_a_shared_document_is_found_across_shards(self, folder):
        validation = open_validation(val_pattern(folder)).tokens
        document = validation[: np.flatnonzero(validation == 1)[1]]
        number = len(find_shards(train_pattern(folder)))
        write_shard(folder / f"fineweb_train_{number:06d}.bin", document[:3])
        write_shard(folder / f"fineweb_train_{number + 1:06d}.bin", np.append(document[3:], 1))
        assert "1 training documents are in the validation split too" in inspect_folder(folder).problems

    def test_files_that_are_not_those_of_the_manifest(self, folder):
        (folder / "fineweb_train_000001.bin").write_bytes((folder / "fineweb_train_000000.bin").read_bytes())
        assert any("fineweb_train_000001.bin: is not the file" in problem for problem in inspect_folder(folder).problems)

    def test_tokens_of_another_tokenizer(self, folder):
        write_shard(folder / "fineweb_train_000000.bin", np.array([1, 300]))
        assert any("token 300 is outside the vocabulary of 300" in p for p in inspect_folder(folder).problems)


class TestDocumentFiles:
    def test_text_is_a_document_per_file_or_per_block(self, tmp_path):
        (tmp_path / "b.txt").write_bytes(b"one\r\ntwo\n\n\nthree")
        (tmp_path / "a.md").write_text("first")
        (tmp_path / "ignored.bin").write_bytes(b"\xff")
        paths = find_files([tmp_path])
        assert list(DocumentFiles(paths=paths)) == ["first", "one\r\ntwo\n\n\nthree"]
        assert list(DocumentFiles(paths=paths, split_text="blank-line")) == ["first", "one\r\ntwo\n", "three"]

    def test_json_lines(self, tmp_path):
        path = tmp_path / "docs.jsonl"
        path.write_text('{"body": "a"}\n\n{"body": "b\\u00e9\\nc"}\n{"body": "  "}\n')
        assert list(DocumentFiles(paths=(path,), field="body")) == ["a", "bé\nc"]

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("{", "not JSON"),
            ("[1]", "no text in field 'text'"),
            ('{"text": 3}', "no text in field 'text'"),
            ('{"text": "\\ud800"}', "not Unicode text: surrogates not allowed"),
        ],
    )
    def test_a_bad_line_is_named(self, tmp_path, line, reason):
        path = tmp_path / "docs.jsonl"
        path.write_text('{"text": "a"}\n' + line + "\n")
        with pytest.raises(ValueError, match=f"docs.jsonl:2: {reason}"):
            list(DocumentFiles(paths=(path,)))

    def test_files_that_cannot_be_read_are_named(self, tmp_path):
        path = tmp_path / "latin.txt"
        path.write_bytes("é".encode("latin-1"))
        with pytest.raises(ValueError, match=r"latin.txt: not UTF-8: byte 0xe9"):
            list(DocumentFiles(paths=(path,)))
        with pytest.raises(ValueError, match="no such file or folder"):
            find_files([tmp_path / "nowhere"])
        with pytest.raises(ValueError, match="cannot tell what it is"):
            find_files([Path(__file__)])
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match="holds no file that ends in"):
            find_files([tmp_path / "empty"])

    def test_parquet(self, tmp_path):
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        path = tmp_path / "docs.parquet"
        parquet.write_table(pyarrow.table({"text": ["a", "bé", " "], "other": [1, 2, 3]}), path)
        assert list(DocumentFiles(paths=(path,))) == ["a", "bé"]
        with pytest.raises(ValueError, match="no column 'body', there are text, other"):
            list(DocumentFiles(paths=(path,), field="body"))
        with pytest.raises(ValueError, match="row 1: no text in column 'other'"):
            list(DocumentFiles(paths=(path,), field="other"))
        path.write_bytes(b"PAR1 no")
        with pytest.raises(ValueError, match="not a readable parquet file"):
            list(DocumentFiles(paths=(path,)))

    def test_parquet_without_pyarrow_says_what_to_install(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        path = tmp_path / "docs.parquet"
        path.write_bytes(b"PAR1")
        with pytest.raises(ValueError, match="pip install pyarrow"):
            list(DocumentFiles(paths=(path,)))
