"""The artifact: one file that holds all weights of a model and the settings that shape it, and nothing else.

    22 bytes   magic "PGOLFART", version, compressor, length of the compressed body, length of the body, CRC-32 of body and
               words (little endian)
    body       compressed: length of the header, header (JSON), streams
    words      codes that were entropy-coded already; a compressor would find nothing in them

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
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer import bitpack, entropy
from trainer.compression import COMPRESSORS, Compressor
from trainer.config import ModelConfig, section_from_dict, to_dict
from trainer.files import write_atomically
from trainer.quantize import QuantizedTensor, StoredTensor, dequantize_state

MAGIC = b"PGOLFART"
VERSION = 1
_PREFIX = struct.Struct("<8sBBIII")  # magic, version, compressor, compressed bytes, bytes of the body, CRC-32
_HEADER_LENGTH = struct.Struct("<I")
MAX_BODY_BYTES = 1 << 30  # a body that says it is larger is not one of ours: the cap of the contest is a sixtieth
MAX_VALUES = 1 << 28  # in all tensors together: a coded value may take next to no bytes, but it takes memory and time
_KEPT = {"float16": torch.float16, "float32": torch.float32, "int64": torch.int64}
_QUANTIZED = {f"int{bits}": bits for bits in range(bitpack.MIN_BITS, bitpack.MAX_BITS + 1)}


class Layout(StrEnum):
    """How the codes of one width are stored."""

    CODED = "coded"  # entropy-coded: classes and tables in the body, words behind it
    ROWS = "rows"  # one byte per code
    PACKED = "packed"  # k bits per code


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
    groups = {bits: _Group.of(bits, tensors) for bits, tensors in _by_bits(artifact.tensors).items()}
    with ThreadPoolExecutor(max_workers=len(compressors)) as pool:
        files = pool.map(lambda name: _encode(artifact, groups, COMPRESSORS[name]), compressors)
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
    body, words = _opened(data)
    header = _parse_header(body)
    model = _parse_model(header.model, header.tensors)
    tensors = _read_tensors(body, words, header)
    body.require_end()
    words.require_end()
    return Artifact(model, tensors)


# ---- writing ----


@dataclass(frozen=True, slots=True)
class _Group:
    """All matrices of one width, and their codes under the entropy coder."""

    bits: int
    matrices: Sequence[bitpack.Codes]
    coded: entropy.CodedGroup

    @classmethod
    def of(cls, bits: int, tensors: Sequence[QuantizedTensor]) -> _Group:
        matrices = [_matrix(tensor) for tensor in tensors]
        return cls(bits, matrices, entropy.encode_group(matrices, bits))

    def in_body(self, layout: Layout) -> bytes:
        if layout is Layout.CODED:
            return self.coded.side
        return b"".join(_uncoded(matrix, self.bits, layout) for matrix in self.matrices)

    def best_layout(self, compressor: Compressor) -> Layout:
        """The smallest one under this compressor; what is not coded is judged by the largest matrix alone."""
        largest = max(self.matrices, key=lambda matrix: matrix.size)
        share = sum(matrix.size for matrix in self.matrices) / max(largest.size, 1)
        sizes = {Layout.CODED: len(self.coded.words) + len(compressor.compress(self.coded.side))}
        for layout in (Layout.ROWS, Layout.PACKED):
            sizes[layout] = int(share * len(compressor.compress(_uncoded(largest, self.bits, layout))))
        return min(sizes, key=lambda layout: sizes[layout])


def _encode(artifact: Artifact, groups: Mapping[int, _Group], compressor: Compressor) -> bytes:
    layouts = {bits: group.best_layout(compressor) for bits, group in groups.items()}
    words = {bits: group.coded.words for bits, group in groups.items() if layouts[bits] is Layout.CODED}
    header = {
        "model": to_dict(artifact.model),
        "layouts": {str(bits): layout.value for bits, layout in layouts.items()},
        "words": {str(bits): len(data) for bits, data in words.items()},
        "tensors": [[name, list(_shape(tensor)), _kind(name, tensor)] for name, tensor in artifact.tensors.items()],
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    streams = (*(group.in_body(layouts[bits]) for bits, group in groups.items()), *_float_streams(artifact.tensors))
    body = b"".join((_HEADER_LENGTH.pack(len(head)), head, *streams))
    tail = b"".join(words.values())
    if max(len(body), len(tail)) > MAX_BODY_BYTES:
        raise ValueError(f"{len(body)} + {len(tail)} bytes could not be read back: {MAX_BODY_BYTES} each at most")
    compressed = compressor.compress(body)
    checksum = zlib.crc32(tail, zlib.crc32(body))
    return _PREFIX.pack(MAGIC, VERSION, compressor.number, len(compressed), len(body), checksum) + compressed + tail


def _uncoded(codes_OI: bitpack.Codes, bits: int, layout: Layout) -> bytes:
    return bitpack.pack(codes_OI, bits) if layout is Layout.PACKED else codes_OI.tobytes()


def _float_streams(tensors: Mapping[str, StoredTensor]) -> Iterator[bytes]:
    yield _to_planes([tensor.scale_O for group in _by_bits(tensors).values() for tensor in group])
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
    def matrix_shape(self) -> tuple[int, int]:
        return self.shape[0], math.prod(self.shape[1:])


@dataclass(frozen=True, slots=True)
class _Header:
    model: object
    layouts: Mapping[int, Layout]
    words: Mapping[int, int]
    tensors: Sequence[_Entry]

    def of_width(self, bits: int) -> list[_Entry]:
        return [entry for entry in self.tensors if entry.bits == bits]


def _opened(data: bytes) -> tuple[_Reader, _Reader]:
    """Body and words, once prefix and checksum are right."""
    if len(data) < _PREFIX.size:
        raise ValueError(f"{len(data)} bytes are less than the prefix of {_PREFIX.size}")
    magic, version, number, num_compressed_bytes, num_bytes, checksum = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise ValueError(f"it starts with {magic!r}, not {MAGIC!r}")
    if version != VERSION:
        raise ValueError(f"version {version}, only {VERSION} can be read")
    compressor = next((known for known in COMPRESSORS.values() if known.number == number), None)
    if compressor is None:
        raise ValueError(f"compressor {number} is not known")
    if num_bytes > MAX_BODY_BYTES:
        raise ValueError(f"a body of {num_bytes} bytes: at most {MAX_BODY_BYTES} are read")
    rest = _Reader(data, _PREFIX.size)
    body = compressor.decompress(rest.take(num_compressed_bytes), num_bytes)
    words = data[rest.position :]
    if zlib.crc32(words, zlib.crc32(body)) != checksum:
        raise ValueError("the checksum does not match")
    return _Reader(body), _Reader(words)


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
    layouts = _parse_layouts(fields.get("layouts"), sorted({entry.bits for entry in entries if entry.bits}))
    coded = [bits for bits, layout in layouts.items() if layout is Layout.CODED]
    words = _typed(fields.get("words"), dict, "words")
    if set(words) != set(map(str, coded)):
        raise ValueError(f"words {words} for coded layouts of {coded} bits")
    sizes = {bits: _parse_size(words[str(bits)], "words") for bits in coded}
    return _Header(fields.get("model"), layouts, sizes, entries)


def _parse_layouts(raw: object, widths: Sequence[int]) -> dict[int, Layout]:
    layouts = _typed(raw, dict, "layouts")
    if set(layouts) != set(map(str, widths)) or not set(map(str, layouts.values())) <= set(Layout):
        raise ValueError(f"layouts {layouts} for codes of {list(widths)} bits; known are {', '.join(Layout)}")
    return {bits: Layout(layouts[str(bits)]) for bits in widths}


def _parse_entry(raw: object) -> _Entry:
    fields = _typed(raw, list, "a tensor")
    if len(fields) != 3:
        raise ValueError(f"a tensor with {len(fields)} fields: name, shape and kind are expected")
    name, kind = _typed(fields[0], str, "a name"), _typed(fields[2], str, "a kind")
    shape = tuple(_parse_size(size, f"{name}: a size") for size in _typed(fields[1], list, f"{name}: a shape"))
    if math.prod(shape) > MAX_VALUES:
        raise ValueError(f"{name}: a tensor of shape {shape}")
    if kind not in _KEPT and (kind not in _QUANTIZED or len(shape) < 2):
        raise ValueError(f"{name}: a tensor of kind {kind!r} and shape {shape}")
    return _Entry(name, shape, kind, _QUANTIZED.get(kind, 0))


def _parse_size(value: object, what: str) -> int:
    size: int = _typed(value, int, what)
    if not 0 <= size <= MAX_BODY_BYTES:
        raise ValueError(f"{what} is {size}: from 0 to {MAX_BODY_BYTES} are read")
    return size


def _typed(value: object, kind: type, what: str) -> Any:  # noqa: ANN401 - of type `kind`, checked here
    if type(value) is not kind:
        raise ValueError(f"{what} is a {type(value).__name__}, not a {kind.__name__}")
    return value


def _parse_model(raw: object, entries: Sequence[_Entry]) -> ModelConfig:
    """The model's settings, if a model of that size can stand in this file: nobody should build a larger one."""
    num_values = sum(entry.num_values for entry in entries)
    if num_values > MAX_VALUES:
        raise ValueError(f"{num_values} values: at most {MAX_VALUES} are read")
    try:
        model = section_from_dict(ModelConfig, _typed(raw, dict, "model"), "model")
        widest = max(model.vocab_size, model.mlp_hidden, model.model_dim) * model.model_dim
    except OverflowError as error:
        raise ValueError(f"model: {error}") from error
    if model.num_layers > len(entries) or max(widest, model.bigram_buckets * model.bigram_dim) > num_values:
        raise ValueError(f"a model of {model.num_layers} layers of width {model.model_dim} in {num_values} values")
    return model


def _read_tensors(body: _Reader, words: _Reader, header: _Header) -> dict[str, StoredTensor]:
    quantized = [entry for bits in header.layouts for entry in header.of_width(bits)]
    codes = [matrix for bits in header.layouts for matrix in _read_codes(body, words, header, bits)]
    scales = _from_planes(body, "float16", [entry.shape[:1] for entry in quantized])
    found: dict[str, StoredTensor] = {
        entry.name: QuantizedTensor(torch.from_numpy(matrix).view(entry.shape), scale_O, entry.bits)
        for entry, matrix, scale_O in zip(quantized, codes, scales, strict=True)
    }
    for kind in _KEPT:
        kept = [entry for entry in header.tensors if entry.kind == kind]
        found.update(zip((e.name for e in kept), _from_planes(body, kind, [e.shape for e in kept]), strict=True))
    return {entry.name: found[entry.name] for entry in header.tensors}


def _read_codes(body: _Reader, words: _Reader, header: _Header, bits: int) -> list[bitpack.Codes]:
    shapes = [entry.matrix_shape for entry in header.of_width(bits)]
    layout = header.layouts[bits]
    if layout is Layout.CODED:
        side = body.take(entropy.num_side_bytes(shapes, bits))
        return entropy.decode_group(entropy.CodedGroup(side, words.take(header.words[bits])), shapes, bits)
    if layout is Layout.PACKED:
        return [_read_packed(body, shape, bits) for shape in shapes]
    return [_read_rows(body, shape, bits) for shape in shapes]


def _read_packed(body: _Reader, shape: tuple[int, int], bits: int) -> bitpack.Codes:
    num_codes = math.prod(shape)
    return bitpack.unpack(body.take(bitpack.num_packed_bytes(num_codes, bits)), num_codes, bits).reshape(shape)


def _read_rows(body: _Reader, shape: tuple[int, int], bits: int) -> bitpack.Codes:
    codes: bitpack.Codes = np.frombuffer(body.take(math.prod(shape)), dtype=np.int8).reshape(shape).copy()
    bitpack.require_range(codes, bits)
    return codes


def _from_planes(body: _Reader, kind: str, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    sizes = [math.prod(shape) for shape in shapes]
    num_planes = np.dtype(kind).itemsize
    planes: NDArray[np.uint8] = np.frombuffer(body.take(sum(sizes) * num_planes), np.uint8).reshape(num_planes, -1)
    flat = torch.from_numpy(planes.T.flatten().view(kind))
    return [part.reshape(shape).clone() for part, shape in zip(torch.split(flat, sizes), shapes, strict=True)]
