"""Printed sizes of code, model and submission.

What a size is the size of is told by its label, in a small ordered table. Scripts print two totals, one with the raw model
and one with the compressed artifact; where both are called ``Total submission size``, the sum that it equals decides.

Not covered: sizes of single tensors, memory, and sizes in prose.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from auditor.submission.logs.lines import Line
from auditor.submission.logs.model import Size, SizeKind
from auditor.submission.logs.pairs import MAX_DIGITS, NUMBER

_UNITS = {"bytes": 1, "byte": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SIZE = re.compile(
    rf"""(?<![\w.])(?P<label>[A-Za-z][\w .+/()\[\]-]{{0,60}}?)["'*]*\s{{0,8}}[:=]\s{{0,16}}["'*~≈]*
         (?P<number>{NUMBER})(?:\s?(?P<unit>bytes|byte|[KMG]i?B|B)\b)?""",
    re.VERBOSE | re.IGNORECASE,
)
_SCHEME = (
    r"(?:quant|int\d|zlib|zstd|lzma|brotli|lzip|lrzip|lz4|xz|ternary|binary|mixed|fp8|compress|packed|pergroup|artifact)"
)
_NO_SIZE = (
    r"limit|budget|target|(?:^|[ _])cap(?:$|[ _])|headroom|remaining|margin|memory|allocated|reserved|over\b|under\b|free"
    r"|chunk|batch|vocab|(?:block|group)_size|raw_size|raw quantized|pre-compression|estimate|\best\b|prune|\btry\b|_try"
    r"|payload|utf-?8"
)
_TOTAL = r"total.*(?:submission|artifact|size|bytes)|(?:submission|artifact|bytes|size).*total|^total$|submission[ _]size"
_MODEL = (
    rf"serialized|model.*{_SCHEME}|^artifact|{_SCHEME}.*(?:model|artifact|size|blob)|quant_bytes|^model(?:_bytes)?$"
    r"|^bytes_model"
)
_MODEL_RAW = (
    r"^(?:.* )?serialized model(?: \(?(?:raw|fp32|bf16|torch|pickle).*)?$|^raw model|model[ _]raw|model.*unquantized"
)
# label pattern -> kind; the first that matches decides
_KINDS: tuple[tuple[re.Pattern[str], SizeKind | None], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (_NO_SIZE, None),
        (r"code.*(?<!un)compress|compress.*code|wrapper", SizeKind.CODE_COMPRESSED),
        (r"^(?:total )?code(?: ?(?:size|bytes))?\b|^bytes_code|code_bytes|code_size|script[ _]size", SizeKind.CODE),
        (r"total.*\braw\b", SizeKind.TOTAL_RAW),
        (_TOTAL, SizeKind.TOTAL),
        (_MODEL_RAW, SizeKind.MODEL_RAW),
        (_MODEL, SizeKind.MODEL),
    )
)
_COMPRESSED = re.compile(r"\s?\((?:[\w+-]{1,12}\s)?compressed", re.IGNORECASE)  # what a number turns out to be behind it
_UNQUALIFIED_TOTAL = re.compile(r"total[ _]submission[ _]size|total", re.IGNORECASE)
_LARGEST_BARE_TOTAL = 10**8  # ours: a bare total above counts the bytes of the validation split
_LEAST_BARE = 1000  # ours: a number without a unit is only taken for a size of code or model if it is at least this


def is_candidate(lower: str) -> bool:
    """Whether a lower-case line can hold a size at all; cheap."""
    return any(word in lower for word in ("bytes", "size", "artifact", "total", "serialized"))


def read_sizes(line: Line, log: str, run: int) -> tuple[Size, ...]:
    """Every size of one line. A bare ``total`` without a unit may count anything, unless other sizes stand beside it."""
    found = [(match, kind) for match in _SIZE.finditer(line.text) if (kind := _kind_of(match))]
    alone = len(found) == 1
    return tuple(_size(match, kind, line, log, run) for match, kind in found if not (alone and _is_bare_total(match)))


def _kind_of(match: re.Match[str]) -> SizeKind | None:
    kind = _kind(match["label"].strip())
    if kind is SizeKind.CODE and _COMPRESSED.match(match.string, match.end()):
        kind = SizeKind.CODE_COMPRESSED
    digits = match["number"].replace(",", "")
    is_size = match["unit"] or (digits.isdigit() and int(digits[:MAX_DIGITS]) >= _LEAST_BARE)
    return kind if is_size and len(digits) <= MAX_DIGITS else None


def _is_bare_total(match: re.Match[str]) -> bool:
    label, number = match["label"].strip().lower(), float(match["number"].replace(",", ""))
    return (label == "total" and not match["unit"]) or (label == "total_bytes" and number > _LARGEST_BARE_TOTAL)


def _size(match: re.Match[str], kind: SizeKind, line: Line, log: str, run: int) -> Size:
    digits = match["number"].replace(",", "")
    factor = _UNITS[(match["unit"] or "bytes").lower()]
    return Size(
        log=log,
        line=line.number,
        run=run,
        text=line.text.strip(),
        kind=kind,
        label=match["label"].strip(),
        num_bytes=round(float(digits) * factor),
        resolution=max(1, round(factor / 10 ** len(digits.partition(".")[2]))),
        unit=match["unit"] or "bytes",
    )


def _kind(label: str) -> SizeKind | None:
    return next((kind for pattern, kind in _KINDS if pattern.search(label)), None)


def tell_totals_apart(sizes: Sequence[Size]) -> tuple[Size, ...]:
    """Mark as raw the totals that contain the raw model: those equal to code + raw model, or larger than a named total."""
    raw = {model.num_bytes + code.num_bytes for model in _of(sizes, SizeKind.MODEL_RAW) for code in _codes(sizes)}
    compressed = {model.num_bytes + code.num_bytes for model in _of(sizes, SizeKind.MODEL) for code in _codes(sizes)}
    has_named_total = any(not _is_unqualified(size) for size in _of(sizes, SizeKind.TOTAL))
    return tuple(
        replace(size, kind=SizeKind.TOTAL_RAW)
        if _is_unqualified(size) and size.num_bytes not in compressed and (size.num_bytes in raw or has_named_total)
        else size
        for size in sizes
    )


def _is_unqualified(size: Size) -> bool:
    return size.kind is SizeKind.TOTAL and bool(_UNQUALIFIED_TOTAL.fullmatch(size.label))


def _of(sizes: Sequence[Size], kind: SizeKind) -> list[Size]:
    return [size for size in sizes if size.kind is kind]


def _codes(sizes: Sequence[Size]) -> list[Size]:
    return [size for size in sizes if size.kind in (SizeKind.CODE, SizeKind.CODE_COMPRESSED)]
