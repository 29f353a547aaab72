"""What a printed size is the size of, and which numbers are no sizes."""

from __future__ import annotations

import pytest

from auditor.submission.logs.lines import Line
from auditor.submission.logs.model import SizeKind
from auditor.submission.logs.sizes import read_sizes, tell_totals_apart


def sizes_of(text: str) -> list[tuple[SizeKind, int]]:
    return [(size.kind, size.num_bytes) for size in read_sizes(Line(1, text), "train.log", 0)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Serialized model: 69118949 bytes", [(SizeKind.MODEL_RAW, 69_118_949)]),
        ("Model size (unquantized): 135,430,628 bytes", [(SizeKind.MODEL_RAW, 135_430_628)]),
        ("Serialized model int6+zstd: 15943769 bytes", [(SizeKind.MODEL, 15_943_769)]),
        ("Artifact: 16,600,916 bytes (15.83 MB)", [(SizeKind.MODEL, 16_600_916)]),
        ("Code size: 47642 bytes", [(SizeKind.CODE, 47_642)]),
        ("Code size (compressed): 30,000 bytes", [(SizeKind.CODE_COMPRESSED, 30_000)]),
        ("Code size (uncompressed): 120000 bytes", [(SizeKind.CODE, 120_000)]),
        ("Total submission size int8+zlib: 15.94 MB", [(SizeKind.TOTAL, 15_940_000)]),
        (
            "artifact_bytes:16132620 code_bytes:49461 total:16182081",
            [(SizeKind.MODEL, 16_132_620), (SizeKind.CODE, 49_461)],
        ),
    ],
)
def test_sizes_go_by_their_label(text: str, expected: list[tuple[SizeKind, int]]) -> None:
    assert sizes_of(text)[: len(expected)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "  total                   : 50,332,176",
        "total_bytes=151080891",
        "total_utf8_bytes: 151,130,330",
        "Est int6 size: 17.9MB",
        "params: total=27223129 ctx_encoder=26829913 (saved in artifact)",
        "size limit: 16000000 bytes",
        "train_batch_tokens: 524288",
        "peak memory allocated: 30215 MiB",
    ],
)
def test_other_counts_are_no_sizes(text: str) -> None:
    assert sizes_of(text) == []


def test_total_beside_other_sizes_needs_no_unit() -> None:
    kinds = [kind for kind, _ in sizes_of("artifact_bytes:16132620 code_bytes:49461 total:16182081")]
    assert kinds == [SizeKind.MODEL, SizeKind.CODE, SizeKind.TOTAL]


def test_total_of_the_raw_model_is_told_from_that_of_the_artifact() -> None:
    texts = (
        "Serialized model: 69118949 bytes",
        "Code size: 52440 bytes",
        "Total submission size: 69171389 bytes",
        "Serialized model int8+zlib: 16507603 bytes",
        "Total submission size int8+zlib: 16560043 bytes",
    )
    lines = [size for number, text in enumerate(texts, 1) for size in read_sizes(Line(number, text), "train.log", 0)]
    kinds = [size.kind for size in tell_totals_apart(lines)]
    assert kinds == [SizeKind.MODEL_RAW, SizeKind.CODE, SizeKind.TOTAL_RAW, SizeKind.MODEL, SizeKind.TOTAL]
