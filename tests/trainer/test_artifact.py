"""The artifact file: exact way back, smallest compressor, and a ValueError with the path for every kind of broken file."""

import json
import os
import struct
import zlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.artifact import Artifact, decode_artifact, encode_artifact, load_artifact, save_artifact
from trainer.compression import COMPRESSORS
from trainer.config import ModelConfig
from trainer.quantize import QuantizedTensor, dequantize_state, quantize_rows

MODEL = ModelConfig(vocab_size=8, num_layers=2, model_dim=8, num_heads=2, num_kv_heads=1, bigram_buckets=4, bigram_dim=2)
PREFIX = struct.Struct("<8sBBIII")


def make_artifact(*, seed: int = 0, columns: int = 8) -> Artifact:
    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    generator = torch.Generator().manual_seed(seed)
    return Artifact(
        MODEL,
        {
            "tok_emb.weight": draw(8, 8).half(),
            "blocks.0.attn.c_q.weight": quantize_rows(draw(5, columns), 6, clip_search=True),
            "scalar": torch.tensor(0.05).half(),
            "bigram.embed.weight": quantize_rows(draw(4, 2), 8, clip_search=False),
            "blocks.1.mlp.fc.weight": quantize_rows(draw(3, 2, 4), 6, clip_search=True),
            "huge": torch.tensor([1e9]),
            "blocks.1.mlp.proj.weight": quantize_rows(draw(7, 24), 3, clip_search=True),
            "step": torch.tensor(7),
            "empty": torch.empty(0, 3).half(),
        },
    )


FILES = encode_artifact(make_artifact(), list(COMPRESSORS))


def assert_same(first: Artifact, second: Artifact) -> None:
    assert first.model == second.model
    assert list(first.tensors) == list(second.tensors)
    for name, tensor in first.tensors.items():
        other = second.tensors[name]
        assert type(tensor) is type(other)
        if isinstance(tensor, QuantizedTensor) and isinstance(other, QuantizedTensor):
            assert tensor.bits == other.bits
            assert torch.equal(tensor.codes, other.codes)
            assert torch.equal(tensor.scale_O, other.scale_O)
        else:
            assert tensor.dtype == other.dtype
            assert torch.equal(tensor, other)


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 300))
def test_every_tensor_comes_back_exactly(seed, columns):
    artifact = make_artifact(seed=seed, columns=columns)
    assert_same(decode_artifact(encode_artifact(artifact, ["zstd"])["zstd"]), artifact)


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_every_compressor_makes_a_whole_file(compressor):
    assert_same(decode_artifact(FILES[compressor]), make_artifact())


# Few codes (tables would not pay), noise of all codes, and many codes of a bell: each is smallest in another layout.
LAYOUTS = {
    "rows": lambda generator: (6 * torch.randn(30, 30, generator=generator)).round().clamp(-32, 31),
    "packed": lambda generator: torch.randint(-32, 32, (40, 40), generator=generator),
    "coded": lambda generator: (6 * torch.randn(300, 300, generator=generator)).round().clamp(-32, 31),
}


def with_codes(layout: str) -> Artifact:
    codes = LAYOUTS[layout](torch.Generator().manual_seed(0)).to(torch.int8)
    quantized = QuantizedTensor(codes, torch.ones(len(codes)).half(), 6)
    return Artifact(MODEL, {**make_artifact().tensors, "blocks.0.attn.c_q.weight": quantized})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_chosen_where_it_is_smallest_and_comes_back(layout):
    artifact = with_codes(layout)
    header, _, words = file_parts(artifact)
    assert header["layouts"]["6"] == layout
    assert bool(words) == (layout == "coded")
    assert_same(decode_artifact(encode_artifact(artifact, ["zstd"])["zstd"]), artifact)


@pytest.mark.parametrize("left_out", make_artifact().tensors)
def test_no_kind_of_tensor_is_needed_by_the_others(left_out):
    artifact = make_artifact()
    rest = Artifact(MODEL, {name: tensor for name, tensor in artifact.tensors.items() if name != left_out})
    assert_same(decode_artifact(encode_artifact(rest, ["zstd"])["zstd"]), rest)


def test_the_smallest_file_is_written_and_its_bytes_are_the_file_size(tmp_path):
    saved = save_artifact(tmp_path / "deep" / "model.pgolf", make_artifact(), list(COMPRESSORS))
    assert set(saved.tried_bytes) == set(COMPRESSORS)
    assert saved.num_bytes == saved.tried_bytes[saved.compressor] == min(saved.tried_bytes.values())
    assert saved.path.stat().st_size == saved.num_bytes
    assert [file.name for file in saved.path.parent.iterdir()] == ["model.pgolf"]


def test_equal_weights_give_equal_bytes_and_loading_needs_nothing_else(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    save_artifact(first, make_artifact(), ["zstd"])
    save_artifact(second, make_artifact(), ["zstd"])
    assert first.read_bytes() == second.read_bytes()
    second.unlink()
    loaded = load_artifact(first)
    assert_same(loaded, make_artifact())
    expected = dequantize_state(make_artifact().tensors)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())


def test_loaded_tensors_may_be_written_to():
    loaded = decode_artifact(encode_artifact(make_artifact(), ["zstd"])["zstd"])
    for tensor in loaded.state_dict().values():
        tensor.add_(1)


def test_a_type_that_has_no_place_is_named():
    with pytest.raises(ValueError, match=r"odd: a tensor of type torch.complex64 cannot be stored"):
        encode_artifact(Artifact(MODEL, {"odd": torch.zeros(1, dtype=torch.complex64)}), ["zstd"])


def test_a_folder_that_cannot_be_written_is_named_and_an_old_file_survives(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(ValueError, match=r"file/model: cannot be written"):
        save_artifact(tmp_path / "file" / "model", make_artifact(), ["zstd"])
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_told(tmp_path):
    (tmp_path / "model.partial").symlink_to("/dev/full")
    with pytest.raises(ValueError, match="model: cannot be written: No space left"):
        save_artifact(tmp_path / "model", make_artifact(), ["zstd"])
    assert not (tmp_path / "model").exists()


# ---- hostile files ----


def file_parts(artifact: Artifact) -> tuple[dict, bytes, bytes]:
    """Header, streams and words of the zstd file."""
    data = encode_artifact(artifact, ["zstd"])["zstd"]
    *_, num_compressed_bytes, num_bytes, _ = PREFIX.unpack_from(data)
    words_at = PREFIX.size + num_compressed_bytes
    body = COMPRESSORS["zstd"].decompress(data[PREFIX.size : words_at], num_bytes)
    head_end = 4 + int.from_bytes(body[:4], "little")
    return json.loads(body[4:head_end]), body[head_end:], data[words_at:]


def rebuilt(change=lambda _: None, *, artifact: Artifact | None = None, more_words: bytes = b"") -> bytes:
    """The file with its header changed by `change` and every length and checksum made right again."""
    header, streams, words = file_parts(artifact or make_artifact())
    head = change(header)
    head = head if isinstance(head, bytes) else json.dumps(header if head is None else head).encode()
    return wrapped(len(head).to_bytes(4, "little") + head + streams, words=words + more_words)


def wrapped(
    body: bytes, *, words: bytes = b"", version: int = 1, compressor: int = 1, num_bytes: int | None = None, longer: int = 0
) -> bytes:
    size = len(body) if num_bytes is None else num_bytes
    compressed = COMPRESSORS["zstd"].compress(body)
    checksum = zlib.crc32(words, zlib.crc32(body))
    prefix = PREFIX.pack(b"PGOLFART", version, compressor, len(compressed) + longer, size, checksum)
    return prefix + compressed + words


def set_model(**changes):
    return lambda header: header["model"].update(changes)


def set_tensor(index: int, field: int, value):
    return lambda header: header["tensors"][index].__setitem__(field, value)


CODED = with_codes("coded")
HOSTILE = {
    "empty": (b"", "0 bytes are less than the prefix"),
    "other magic": (b"PK\x03\x04" + bytes(40), "it starts with"),
    "a pickle": (b"\x80\x04cos\nsystem\n(S'true'\ntR." + bytes(20), "it starts with"),
    "newer version": (wrapped(b"", version=2), "version 2"),
    "unknown compressor": (wrapped(b"", compressor=9), "compressor 9"),
    "bomb by announcement": (wrapped(bytes(100), num_bytes=2**32 - 1), "at most"),
    "bomb by content": (wrapped(bytes(10**6), num_bytes=10), "expected 10"),
    "body beyond the file": (wrapped(b"", longer=1), "truncated"),
    "words that nobody asked for": (rebuilt(more_words=b"more"), "bytes that belong to no tensor"),
    "words cut short": (rebuilt(lambda header: header["words"].update({"6": 400}), artifact=CODED), "coded words"),
    "words of a width that is not coded": (rebuilt(lambda header: header["words"].update({"3": 1})), "coded layouts"),
    "words of no number": (rebuilt(lambda header: header["words"].update({"6": "9"}), artifact=CODED), "words is a str"),
    "negative words": (rebuilt(lambda header: header["words"].update({"6": -9}), artifact=CODED), "words is -9"),
    "no header": (wrapped(b""), "truncated"),
    "header beyond the body": (wrapped(b"\xff\xff\xff\xff{}"), "truncated"),
    "not JSON": (rebuilt(lambda _: b"{"), "not JSON"),
    "deep JSON": (rebuilt(lambda _: b"[" * 100_000), "not JSON: RecursionError"),
    "header is a list": (rebuilt(lambda _: [1]), "the header is a list"),
    "no tensors": (rebuilt(lambda header: header.pop("tensors") and None), "tensors is a NoneType"),
    "no layouts": (rebuilt(lambda header: header.pop("layouts") and None), "layouts is a NoneType"),
    "unknown layout": (rebuilt(lambda header: header["layouts"].update({"6": "spiral"})), "spiral"),
    "layout of a width that is not there": (rebuilt(lambda header: header["layouts"].update({"4": "rows"})), "codes of"),
    "a tensor twice": (rebuilt(lambda header: header["tensors"].append(header["tensors"][0])), "twice"),
    "a tensor too many": (rebuilt(lambda header: header["tensors"].append(["x", [9], "float32"])), "truncated"),
    "a tensor too few": (rebuilt(lambda header: header["tensors"].pop(0) and None), "bytes that belong to no tensor"),
    "bytes of no tensor": (rebuilt(set_tensor(0, 1, [8, 7])), "bytes that belong to no tensor"),
    "negative size": (rebuilt(set_tensor(0, 1, [-8, -8])), "is -8"),
    "size of another type": (rebuilt(set_tensor(0, 1, [8.0, 8])), "is a float"),
    "giant tensor": (rebuilt(set_tensor(0, 1, [2**30, 2**30])), "shape"),
    "giant codes": (rebuilt(set_tensor(1, 1, [2**13, 2**14])), "truncated"),
    "more values than anybody stores": (rebuilt(set_tensor(1, 1, [2**15, 2**14])), "shape"),
    "unknown kind": (rebuilt(set_tensor(0, 2, "int9")), "kind 'int9'"),
    "codes without rows": (rebuilt(set_tensor(1, 1, [40])), "kind 'int6'"),
    "fields missing": (rebuilt(lambda header: header["tensors"][0].pop() and None), "2 fields"),
    "model setting unknown": (rebuilt(set_model(depth=3)), "unknown setting 'depth'"),
    "model setting missing": (rebuilt(lambda header: header["model"].pop("rope_base") and None), "rope_base"),
    "model of a billion layers": (rebuilt(set_model(num_layers=10**9)), "a model of 1000000000 layers"),
    "model of a giant vocabulary": (rebuilt(set_model(vocab_size=10**12)), "a model of"),
    "model of infinite width": (rebuilt(set_model(mlp_mult=float("inf"))), "model"),
    "model setting of another type": (rebuilt(set_model(num_heads="2")), "num_heads"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_broken_file_is_a_value_error_with_path_and_reason(name, tmp_path):
    data, reason = HOSTILE[name]
    path = tmp_path / "model.pgolf"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=reason) as caught:
        load_artifact(path)
    assert str(caught.value).startswith(f"{path}: not a valid artifact: ")


@pytest.mark.parametrize("path", ["missing", "."])
def test_a_path_that_is_no_file_is_named(tmp_path, path):
    with pytest.raises(ValueError, match="cannot be read"):
        load_artifact(tmp_path / path)


@given(st.sampled_from(list(FILES)), st.data())
def test_a_flipped_bit_anywhere_is_noticed(compressor, data):
    file = bytearray(FILES[compressor])
    position = data.draw(st.integers(0, len(file) - 1))
    file[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        decoded = decode_artifact(bytes(file))
    except ValueError:
        return
    assert_same(decoded, make_artifact())  # a bit that the compressor does not use


@given(st.sampled_from(list(FILES)), st.integers(0, 10_000))
def test_a_file_cut_anywhere_is_refused(compressor, cut):
    file = FILES[compressor]
    with pytest.raises(ValueError):  # noqa: PT011 - where it is cut decides what is missing
        decode_artifact(file[: cut % len(file)])
