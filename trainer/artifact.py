"""The artifact: one file that holds all weights of a model and the settings that shape it, and nothing else.

    18 bytes   magic "PGOLFART", version, compressor, length and CRC-32 of the body (little endian)
    the rest   the body, compressed: length of the header, header (JSON), streams

The header lists the tensors in order (name, shape, kind), the layout of the codes of each width, and the model's settings.
The streams follow from it: for each width the codes of all its tensors, then their scales, then the floats and integers
that stay as they are. No offset is stored, because order, shape and kind give it: what is not stored cannot lie. Values
of several bytes are split into planes (all first bytes, then all second bytes), since a compressor finds the exponents'
regularity only when they stand together.

Every compressor that the settings allow is tried, each with the layouts that suit it best, and the smallest file wins.
Equal weights give equal bytes. Reading executes nothing (no pickle) and believes nothing: lengths, names, shapes and
codes are checked, and whatever is wrong is a ValueError with the path.

Not covered: the tokenizer, optimizer states (checkpoints hold those), and tensors larger than memory.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer import bitpack
from trainer.bitpack import Layout
from trainer.compression import COMPRESSORS, Compressor
from trainer.config import ModelConfig, section_from_dict, to_dict
from trainer.files import write_atomically
from trainer.quantize import QuantizedTensor, StoredTensor, dequantize_state

MAGIC = b"PGOLFART"
VERSION = 1
_PREFIX = struct.Struct("<8sBBII")  # magic, version, compressor, bytes of the body, CRC-32 of the body
_HEADER_LENGTH = struct.Struct("<I")
MAX_BODY_BYTES = 1 << 30  # a body that says it is larger is not one of ours: the cap of the contest is a sixtieth
_KEPT = {"float16": torch.float16, "float32": torch.float32, "int64": torch.int64}
_QUANTIZED = {f"int{bits}": bits for bits in range(bitpack.MIN_BITS, bitpack.MAX_BITS + 1)}


@dataclass(frozen=True, slots=True)
class Artifact:
    """What one artifact file holds: the stored tensors by name, and the settings of the model they belong to."""

    model: ModelConfig
    tensors: Mapping[str, StoredTensor]

    def state_dict(self) -> dict[str, Tensor]:
        """Weights as a model loads them."""
        return dequantize_state(self.tensors)


@dataclass(frozen=True, slots=True)
class SavedArtifact:
    """What was written: the winner and its exact size, and the size that every compressor tried came to."""

    path: Path
    compressor: str
    num_bytes: int
    tried_bytes: Mapping[str, int]


def save_artifact(path: Path, artifact: Artifact, compressors: Sequence[str]) -> SavedArtifact:
    """Write the smallest file that one of these compressors gives; ValueError if the path cannot be written."""
    encoded = encode_artifact(artifact, compressors)
    winner = min(encoded, key=lambda name: len(encoded[name]))
    write_atomically(path, encoded[winner])
    return SavedArtifact(path, winner, len(encoded[winner]), {name: len(data) for name, data in encoded.items()})


def encode_artifact(artifact: Artifact, compressors: Sequence[str]) -> dict[str, bytes]:
    """The whole file as each compressor makes it. They run side by side: all three release the interpreter's lock."""
    with ThreadPoolExecutor(max_workers=len(compressors)) as pool:
        files = pool.map(lambda name: _encode(artifact, COMPRESSORS[name]), compressors)
        return dict(zip(compressors, files, strict=True))


def load_artifact(path: Path) -> Artifact:
    """Read an artifact, and nothing but it; ValueError with the path for a file that is not exactly one."""
    try:
        return decode_artifact(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: not a valid artifact: {error}") from error


def decode_artifact(data: bytes) -> Artifact:
    """The inverse of each of the files of `encode_artifact`; ValueError for any other bytes."""
    body = _Reader(_decompressed(data))
    header = _parse_header(body)
    model = _parse_model(header.model, header.tensors)
    tensors = _read_tensors(body, header)
    body.require_end()
    return Artifact(model, tensors)


# ---- writing ----


def _encode(artifact: Artifact, compressor: Compressor) -> bytes:
    layouts = {bits: _best_layout(group, bits, compressor) for bits, group in _by_bits(artifact.tensors).items()}
    header = {
        "model": to_dict(artifact.model),
        "layouts": {str(bits): layout.value for bits, layout in layouts.items()},
        "tensors": [[name, list(_shape(tensor)), _kind(name, tensor)] for name, tensor in artifact.tensors.items()],
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    body = b"".join((_HEADER_LENGTH.pack(len(head)), head, *_streams(artifact.tensors, layouts)))
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"an artifact of {len(body)} bytes before compression could not be read: {MAX_BODY_BYTES} at most")
    return _PREFIX.pack(MAGIC, VERSION, compressor.number, len(body), zlib.crc32(body)) + compressor.compress(body)


def _best_layout(group: Sequence[QuantizedTensor], bits: int, compressor: Compressor) -> Layout:
    """The layout under which the largest tensor of this width compresses best; the first one of equals."""
    largest = _matrix(max(group, key=lambda tensor: tensor.codes.numel()))
    return min(Layout, key=lambda layout: len(compressor.compress(bitpack.encode(largest, bits, layout))))


def _streams(tensors: Mapping[str, StoredTensor], layouts: Mapping[int, Layout]) -> Iterator[bytes]:
    groups = _by_bits(tensors)
    for bits, group in groups.items():
        yield from (bitpack.encode(_matrix(tensor), bits, layouts[bits]) for tensor in group)
    yield _to_planes([tensor.scale_O for group in groups.values() for tensor in group])
    for dtype in _KEPT.values():
        yield _to_planes([tensor for tensor in tensors.values() if isinstance(tensor, Tensor) and tensor.dtype == dtype])


def _by_bits(tensors: Mapping[str, StoredTensor]) -> dict[int, list[QuantizedTensor]]:
    """Quantised tensors by width, narrowest first, each group in the order of the state dict."""
    quantized = [tensor for tensor in tensors.values() if isinstance(tensor, QuantizedTensor)]
    widths = sorted({tensor.bits for tensor in quantized})
    return {bits: [tensor for tensor in quantized if tensor.bits == bits] for bits in widths}


def _matrix(tensor: QuantizedTensor) -> bitpack.Codes:
    matrix: bitpack.Codes = tensor.codes.cpu().flatten(1).contiguous().numpy()
    return matrix


def _shape(tensor: StoredTensor) -> torch.Size:
    return tensor.codes.shape if isinstance(tensor, QuantizedTensor) else tensor.shape


def _kind(name: str, tensor: StoredTensor) -> str:
    if isinstance(tensor, QuantizedTensor):
        return f"int{tensor.bits}"
    kind = next((kind for kind, dtype in _KEPT.items() if tensor.dtype == dtype), None)
    if kind is None:
        raise ValueError(f"{name}: a tensor of type {tensor.dtype} cannot be stored; known are {', '.join(_KEPT)}")
    return kind


def _to_planes(tensors: Sequence[Tensor]) -> bytes:
    if not tensors:
        return b""
    octets = torch.cat([tensor.detach().cpu().reshape(-1) for tensor in tensors]).numpy()
    return octets.view(np.uint8).reshape(-1, octets.itemsize).tobytes(order="F")


# ---- reading ----


@dataclass(slots=True)
class _Reader:
    """Takes bytes off the front; asking for more than there are is a ValueError."""

    data: bytes
    position: int = 0

    def take(self, num_bytes: int) -> bytes:
        if num_bytes > len(self.data) - self.position:
            raise ValueError(f"truncated: {num_bytes} bytes expected at {self.position} of {len(self.data)}")
        start, self.position = self.position, self.position + num_bytes
        return self.data[start : self.position]

    def require_end(self) -> None:
        if self.position != len(self.data):
            raise ValueError(f"{len(self.data) - self.position} bytes that belong to no tensor")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One tensor of the header; `bits` is 0 where it is not quantised."""

    name: str
    shape: tuple[int, ...]
    kind: str
    bits: int

    @property
    def num_values(self) -> int:
        return math.prod(self.shape)

    @property
    def num_rows(self) -> int:
        return self.shape[0]


@dataclass(frozen=True, slots=True)
class _Header:
    model: object
    layouts: Mapping[int, Layout]
    tensors: Sequence[_Entry]


def _decompressed(data: bytes) -> bytes:
    if len(data) < _PREFIX.size:
        raise ValueError(f"{len(data)} bytes are less than the prefix of {_PREFIX.size}")
    magic, version, number, num_bytes, checksum = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise ValueError(f"it starts with {magic!r}, not {MAGIC!r}")
    if version != VERSION:
        raise ValueError(f"version {version}, only {VERSION} can be read")
    compressor = next((known for known in COMPRESSORS.values() if known.number == number), None)
    if compressor is None:
        raise ValueError(f"compressor {number} is not known")
    if num_bytes > MAX_BODY_BYTES:
        raise ValueError(f"a body of {num_bytes} bytes: at most {MAX_BODY_BYTES} are read")
    body = compressor.decompress(data[_PREFIX.size :], num_bytes)
    if zlib.crc32(body) != checksum:
        raise ValueError("the checksum does not match")
    return body


def _parse_header(body: _Reader) -> _Header:
    (num_bytes,) = _HEADER_LENGTH.unpack(body.take(_HEADER_LENGTH.size))
    try:
        raw = json.loads(body.take(num_bytes))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the header is not JSON: {type(error).__name__}") from error
    fields = _typed(raw, dict, "the header")
    entries = [_parse_entry(entry) for entry in _typed(fields.get("tensors"), list, "tensors")]
    repeated = [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]
    if repeated:
        raise ValueError(f"the tensor {repeated[0]!r} stands there twice")
    layouts = _typed(fields.get("layouts"), dict, "layouts")
    widths = sorted({entry.bits for entry in entries if entry.bits})
    if set(layouts) != set(map(str, widths)) or not set(map(str, layouts.values())) <= set(Layout):
        raise ValueError(f"layouts {layouts} for codes of {widths} bits; known are {', '.join(Layout)}")
    return _Header(fields.get("model"), {bits: Layout(layouts[str(bits)]) for bits in widths}, entries)


def _parse_entry(raw: object) -> _Entry:
    fields = _typed(raw, list, "a tensor")
    if len(fields) != 3:
        raise ValueError(f"a tensor with {len(fields)} fields: name, shape and kind are expected")
    name, kind = _typed(fields[0], str, "a name"), _typed(fields[2], str, "a kind")
    shape = tuple(_typed(size, int, f"{name}: a size") for size in _typed(fields[1], list, f"{name}: a shape"))
    if any(not 0 <= size <= MAX_BODY_BYTES for size in shape) or math.prod(shape) > 8 * MAX_BODY_BYTES:
        raise ValueError(f"{name}: a tensor of shape {shape}")
    if kind not in _KEPT and (kind not in _QUANTIZED or len(shape) < 2):
        raise ValueError(f"{name}: a tensor of kind {kind!r} and shape {shape}")
    return _Entry(name, shape, kind, _QUANTIZED.get(kind, 0))


def _typed(value: object, kind: type, what: str) -> Any:  # noqa: ANN401 - of type `kind`, checked here
    if type(value) is not kind:
        raise ValueError(f"{what} is a {type(value).__name__}, not a {kind.__name__}")
    return value


def _parse_model(raw: object, entries: Sequence[_Entry]) -> ModelConfig:
    """The model's settings, if a model of that size can stand in this file: nobody should build a larger one."""
    num_values = sum(entry.num_values for entry in entries)
    try:
        model = section_from_dict(ModelConfig, _typed(raw, dict, "model"), "model")
        widest = max(model.vocab_size, model.mlp_hidden, model.model_dim) * model.model_dim
    except OverflowError as error:
        raise ValueError(f"model: {error}") from error
    if model.num_layers > len(entries) or max(widest, model.bigram_buckets * model.bigram_dim) > num_values:
        raise ValueError(f"a model of {model.num_layers} layers of width {model.model_dim} in {num_values} values")
    return model


def _read_tensors(body: _Reader, header: _Header) -> dict[str, StoredTensor]:
    codes = {
        entry.name: _read_codes(body, entry, layout)
        for bits, layout in header.layouts.items()
        for entry in header.tensors
        if entry.bits == bits
    }
    quantized = [entry for bits in header.layouts for entry in header.tensors if entry.bits == bits]
    scales = _from_planes(body, "float16", [(entry.num_rows,) for entry in quantized])
    found: dict[str, StoredTensor] = {
        entry.name: QuantizedTensor(codes[entry.name], scale_O, entry.bits)
        for entry, scale_O in zip(quantized, scales, strict=True)
    }
    for kind in _KEPT:
        kept = [entry for entry in header.tensors if entry.kind == kind]
        found.update(zip((e.name for e in kept), _from_planes(body, kind, [e.shape for e in kept]), strict=True))
    return {entry.name: found[entry.name] for entry in header.tensors}


def _read_codes(body: _Reader, entry: _Entry, layout: Layout) -> Tensor:
    shape = (entry.num_rows, math.prod(entry.shape[1:]))
    data = body.take(bitpack.num_encoded_bytes(entry.num_values, entry.bits, layout))
    try:
        return torch.from_numpy(bitpack.decode(data, shape, entry.bits, layout)).view(entry.shape)
    except ValueError as error:
        raise ValueError(f"{entry.name}: {error}") from error


def _from_planes(body: _Reader, kind: str, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    sizes = [math.prod(shape) for shape in shapes]
    num_planes = np.dtype(kind).itemsize
    planes: NDArray[np.uint8] = np.frombuffer(body.take(sum(sizes) * num_planes), np.uint8).reshape(num_planes, -1)
    flat = torch.from_numpy(planes.T.flatten().view(kind))
    return [part.reshape(shape).clone() for part, shape in zip(torch.split(flat, sizes), shapes, strict=True)]
