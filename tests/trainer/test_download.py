import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from trainer.data import open_train_shards, open_validation, train_pattern, val_pattern, write_shard
from trainer.download import Source, download

pytest.importorskip("huggingface_hub")
COMMIT = "c" * 40
REPOSITORY = "someone/golf-data"


class Hub:
    """A server with the parts of a hub's protocol that a download uses: resolve, etags, commits, ranges."""

    checksums = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str | None]] = []  # method, file, range
        self.drop_after: dict[str, list[int]] = {}  # file: bytes after which to hang up, one entry per attempt
        self.corrupt: set[str] = set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                hub.answer(self, with_body=False)

            def do_GET(self):
                hub.answer(self, with_body=True)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        match = re.fullmatch(rf"/datasets/{REPOSITORY}/resolve/(main|{COMMIT})/(.+)", unquote(handler.path))
        name = match[2] if match else None
        wanted = handler.headers.get("Range")
        self.requests.append((handler.command, f"{match[1]}:{name}" if match else handler.path, wanted))
        if name not in self.files:
            handler.send_response(404)
            handler.send_header("X-Error-Code", "EntryNotFound")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        content = self.files[name]
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        handler.send_response(206 if wanted else 200)
        handler.send_header("X-Repo-Commit", COMMIT)
        if self.checksums and name.endswith(".bin"):
            handler.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
            handler.send_header("X-Linked-Size", str(len(content)))
        if self.checksums:
            blob = b"blob %d%c" % (len(content), 0) + content
            handler.send_header("ETag", f'"{hashlib.sha1(blob).hexdigest()}"')
        handler.send_header("Content-Length", str(len(content) - start))
        if wanted:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        if with_body:
            self.send(handler, name, content[start:])

    def send(self, handler: BaseHTTPRequestHandler, name: str, content: bytes) -> None:
        if name in self.corrupt:
            content = bytes(len(content))
        drops = self.drop_after.get(name, [])
        if drops:
            handler.wfile.write(content[: drops.pop(0)])
            handler.close_connection = True
        else:
            handler.wfile.write(content)


@pytest.fixture
def hub(tmp_path):
    hub = Hub()
    shards = tmp_path / "published"
    shards.mkdir()
    for number in range(3):
        write_shard(shards / f"fineweb_train_{number:06d}.bin", np.arange(50_000) % 1024)
    write_shard(shards / "fineweb_val_000000.bin", np.arange(500))
    hub.files = {f"datasets/datasets/fineweb10B_sp1024/{path.name}": path.read_bytes() for path in shards.iterdir()}
    hub.files["datasets/tokenizers/fineweb_1024_bpe.model"] = b"tokenizer"
    hub.files["datasets/manifest.json"] = json.dumps(
        {
            "datasets": [
                {"name": "fineweb10B_sp1024", "tokenizer_name": "sp_1024", "stats": {"files_train": 3, "files_val": 1}},
                {"name": "fineweb10B_byte260", "tokenizer_name": "byte", "stats": {"files_train": 3, "files_val": 1}},
                {"name": "fineweb10B_odd", "tokenizer_name": "odd", "stats": {"files_train": 3, "files_val": 1}},
            ],
            "tokenizers": [
                {"name": "sp_1024", "model_path": "tokenizers/fineweb_1024_bpe.model"},
                {"name": "byte", "path": "tokenizers/byte.json"},
                {"name": "odd", "model_path": "../../outside.model"},
            ],
        }
    ).encode()
    yield hub
    hub.close()


def fetch(hub: Hub, target: Path, variant: str = "sp1024", num_train_shards: int = 2):
    return download(
        variant, target, num_train_shards=num_train_shards, source=Source(repository=REPOSITORY, endpoint=hub.endpoint)
    )


def gets(hub: Hub) -> list[tuple[str, str | None]]:
    """File names and ranges of the downloads so far, without the commit."""
    return [(name.rpartition("/")[2], wanted) for method, name, wanted in hub.requests if method == "GET"]


def test_a_variant_arrives_as_it_is_published(hub, tmp_path):
    result = fetch(hub, tmp_path / "data")
    assert result.data_path == tmp_path / "data" / "datasets" / "fineweb10B_sp1024"
    assert result.tokenizer_path.read_bytes() == b"tokenizer"
    assert open_train_shards(train_pattern(result.data_path)).num_tokens == 100_000
    assert open_validation(val_pattern(result.data_path)).num_targets == 499
    assert {path.name for path in result.data_path.iterdir()} == {
        "fineweb_val_000000.bin",
        "fineweb_train_000000.bin",
        "fineweb_train_000001.bin",
    }


def test_all_files_come_from_the_commit_of_the_manifest(hub, tmp_path):
    fetch(hub, tmp_path / "data")
    assert {name.partition(":")[0] for _, name, _ in hub.requests if "manifest" not in name} == {COMMIT}


def test_what_is_there_is_checked_and_not_fetched_again(hub, tmp_path):
    result = fetch(hub, tmp_path / "data")
    (result.data_path / "fineweb_train_000001.bin").write_bytes(b"damaged")
    hub.requests.clear()
    fetch(hub, tmp_path / "data", num_train_shards=3)
    assert [name for name, _ in gets(hub)] == ["fineweb_train_000001.bin", "fineweb_train_000002.bin"]
    assert open_train_shards(train_pattern(result.data_path)).num_tokens == 150_000


def test_a_dropped_connection_is_continued(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.download.RETRY_SECONDS", 0.0)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 15)  # what is lost when it drops
    shard = "fineweb_train_000000.bin"
    hub.drop_after[f"datasets/datasets/fineweb10B_sp1024/{shard}"] = [70_000]
    fetch(hub, tmp_path / "data")
    assert [wanted for name, wanted in gets(hub) if name == shard] == [None, "bytes=65536-"]


def test_a_killed_download_is_continued_by_the_next(hub, tmp_path):
    folder = tmp_path / "data" / "datasets" / "fineweb10B_sp1024"
    folder.mkdir(parents=True)
    content = hub.files["datasets/datasets/fineweb10B_sp1024/fineweb_train_000001.bin"]
    etag = hashlib.sha256(content).hexdigest()
    (folder / f".fineweb_train_000001.bin.{etag[:16]}.partial").write_bytes(content[:30_000])
    fetch(hub, tmp_path / "data")
    assert ("fineweb_train_000001.bin", "bytes=30000-") in gets(hub)
    assert (folder / "fineweb_train_000001.bin").read_bytes() == content
    assert not list(folder.glob(".*"))


def test_a_file_with_another_checksum_never_gets_its_name(hub, tmp_path):
    hub.corrupt.add("datasets/datasets/fineweb10B_sp1024/fineweb_val_000000.bin")
    with pytest.raises(ValueError, match=r"fineweb_val_000000.bin: checksum is .* the hub says"):
        fetch(hub, tmp_path / "data")
    assert not list((tmp_path / "data" / "datasets" / "fineweb10B_sp1024").iterdir())
    hub.corrupt.clear()
    fetch(hub, tmp_path / "data")


@pytest.mark.parametrize(
    ("variant", "num_train_shards", "reason"),
    [
        ("sp4096", 1, "not published; there are fineweb10B_byte260, fineweb10B_odd, fineweb10B_sp1024"),
        ("sp1024", 4, "4 training shards of fineweb10B_sp1024: must be 1 to 3"),
        ("sp1024", 0, "must be 1 to 3"),
        ("byte260", 1, "names no SentencePiece model"),
        ("odd", 1, "names a path outside the export"),
    ],
)
def test_what_is_not_published_is_refused(hub, tmp_path, variant, num_train_shards, reason):
    with pytest.raises(ValueError, match=reason):
        fetch(hub, tmp_path / "data", variant, num_train_shards)


def test_a_server_without_checksums_is_refused(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(Hub, "checksums", False)
    with pytest.raises(ValueError, match="states no checksum"):
        fetch(hub, tmp_path / "data")


def test_a_missing_file_and_a_missing_server_are_one_sentence(hub, tmp_path):
    del hub.files["datasets/tokenizers/fineweb_1024_bpe.model"]
    with pytest.raises(ValueError, match=r"fineweb_1024_bpe.model: cannot be downloaded: .*404"):
        fetch(hub, tmp_path / "data")
    nobody = Source(repository=REPOSITORY, endpoint="http://127.0.0.1:9")
    with pytest.raises(ValueError, match=r"manifest.json: cannot be downloaded"):
        download("sp1024", tmp_path / "data", source=nobody)
