"""The published shards of a tokenizer variant, from a Hugging Face dataset repository or a mirror of it.

A manifest in the repository names data sets, their tokenizers and how many shards there are. All validation shards are
fetched, and the first so many training shards: the published export is shuffled once, so a prefix keeps its order. All
files come from the one commit at which the manifest was read. Each is written beside its place, continued where a
killed run left it, held to the checksum that the hub states (SHA-256 of large files, the git blob hash of small ones),
and only then moved into its place. A file that is there already is checked the same way and not fetched again.

Needs huggingface_hub, which is asked for when it is needed. A private repository is read with the token that its client
finds. Not covered: data sets whose tokenizer is not SentencePiece, and downloads in parallel.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

DEFAULT_REPOSITORY = "willdepueoai/parameter-golf"
DEFAULT_PREFIX = "datasets"
DEFAULT_TRAIN_SHARDS = 80
SHA256_LENGTH = 64
ATTEMPTS = 3  # without a byte in between
RETRY_SECONDS = 1.0

Log = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where to download from."""

    repository: str = DEFAULT_REPOSITORY
    prefix: str = DEFAULT_PREFIX  # folder of the export inside the repository
    revision: str = "main"
    endpoint: str | None = None  # of the hub or a mirror; None is the client's default (HF_ENDPOINT)


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """What to set as data.path and data.tokenizer_path."""

    data_path: Path
    tokenizer_path: Path


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Files of one variant, relative to the prefix and to the target folder alike."""

    data_path: PurePosixPath
    tokenizer_path: PurePosixPath
    files: tuple[PurePosixPath, ...]


def download(
    variant: str,
    target: Path,
    *,
    num_train_shards: int = DEFAULT_TRAIN_SHARDS,
    source: Source | None = None,
    log: Log = lambda line: None,
) -> Downloaded:
    """Fetch a variant (for example sp1024) into a folder, or what is missing of it.

    ValueError if there is no such variant, it has fewer shards, a file cannot be fetched, or a checksum does not agree.
    """
    source = source or Source()
    commit = _fetch(source, PurePosixPath("manifest.json"), target, log)
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    plan = _plan(manifest, variant, num_train_shards)
    for path in plan.files:
        _fetch(replace(source, revision=commit), path, target, log)
    return Downloaded(data_path=target / plan.data_path, tokenizer_path=target / plan.tokenizer_path)


def _plan(manifest: dict[str, Any], variant: str, num_train_shards: int) -> _Plan:
    datasets = {entry["name"]: entry for entry in manifest.get("datasets", [])}
    name = variant if variant in datasets else f"fineweb10B_{variant}"
    if name not in datasets:
        raise ValueError(f"variant {variant!r}: not published; there are {', '.join(sorted(datasets)) or 'none'}")
    stats = datasets[name]["stats"]
    if not 0 < num_train_shards <= stats["files_train"]:
        raise ValueError(f"{num_train_shards} training shards of {name}: must be 1 to {stats['files_train']}")
    tokenizers = {entry["name"]: entry for entry in manifest.get("tokenizers", [])}
    tokenizer = tokenizers.get(datasets[name]["tokenizer_name"], {}).get("model_path")
    if tokenizer is None:
        raise ValueError(f"{name}: the manifest names no SentencePiece model for it")
    folder = PurePosixPath("datasets", name)
    shards = [f"fineweb_val_{number:06d}.bin" for number in range(stats["files_val"])]
    shards += [f"fineweb_train_{number:06d}.bin" for number in range(num_train_shards)]
    tokenizer_path = _inside(tokenizer)
    return _Plan(
        data_path=_inside(str(folder)),
        tokenizer_path=tokenizer_path,
        files=(tokenizer_path, *(folder / shard for shard in shards)),
    )


def _inside(name: str) -> PurePosixPath:
    """A path of the manifest, if it stays inside the folder that it is relative to."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name}: the manifest names a path outside the export")
    return path


def _fetch(source: Source, path: PurePosixPath, target: Path, log: Log) -> str:
    """Bring one file into the target folder, checked, and give the commit that it is from."""
    hub = _import_hub()
    remote = str(PurePosixPath(source.prefix, path))
    url = hub.hf_hub_url(source.repository, remote, repo_type="dataset", revision=source.revision, endpoint=source.endpoint)
    destination = target / path
    with _readable_errors(url):
        metadata = hub.get_hf_file_metadata(url, endpoint=source.endpoint)
        if not metadata.etag or metadata.size is None:
            raise ValueError(f"{url}: the server states no checksum or no size for this file")
        if destination.is_file() and _checksum(destination, metadata.etag) == metadata.etag:
            log(f"{path}: is there")
            return str(metadata.commit_hash)
        destination.parent.mkdir(parents=True, exist_ok=True)
        partial = destination.with_name(f".{destination.name}.{metadata.etag[:16]}.partial")
        _continue_download(url, partial, metadata.size)
    found = _checksum(partial, metadata.etag)
    if found != metadata.etag:
        partial.unlink()
        raise ValueError(f"{url}: checksum is {found}, the hub says {metadata.etag}; what came was thrown away")
    os.replace(partial, destination)
    log(f"{path}: {metadata.size:,} bytes")
    return str(metadata.commit_hash)


def _continue_download(url: str, partial: Path, num_bytes: int) -> None:
    """Append to what is there until all of it is there; a connection may drop as long as each one brings something."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    attempts_left = ATTEMPTS
    with partial.open("ab") as file:
        if file.tell() > num_bytes:
            file.truncate(0)
        while attempts_left:
            had_bytes = file.tell()
            try:
                http_get(url, file, resume_size=had_bytes, headers=build_hf_headers(), expected_size=num_bytes)
                break
            except HfHubHTTPError:
                raise
            except _client_error():
                attempts_left = ATTEMPTS if file.tell() > had_bytes else attempts_left - 1
                if not attempts_left:
                    raise
                time.sleep(RETRY_SECONDS)
        file.flush()
        os.fsync(file.fileno())


def _checksum(path: Path, etag: str) -> str:
    """The file's checksum of the kind that this etag is: SHA-256, or SHA-1 of a git blob."""
    with path.open("rb") as file:
        if len(etag) == SHA256_LENGTH:
            return hashlib.file_digest(file, "sha256").hexdigest()
        blob = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        while block := file.read(1 << 20):
            blob.update(block)
        return blob.hexdigest()


def _import_hub() -> Any:  # noqa: ANN401 - a module that need not be installed
    try:
        import huggingface_hub
    except ImportError:
        raise ValueError("downloading needs huggingface_hub: pip install huggingface_hub") from None
    return huggingface_hub


def _client_error() -> type[Exception]:
    """The base of all errors of the HTTP library that this version of the client uses (requests or a kind of httpx)."""
    from huggingface_hub.errors import HfHubHTTPError

    ancestors = HfHubHTTPError.__mro__
    return ancestors[ancestors.index(OSError) - 1]


@contextmanager
def _readable_errors(url: str) -> Iterator[None]:
    """Errors of the client as one sentence with the address. Local errors (a full disk) pass through."""
    try:
        yield
    except (_client_error(), ConnectionError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{url}: cannot be downloaded: {reason[0]}") from error
