"""Printed counts (tokens, shards, parameters, processes) and the hardware that a log names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from auditor.submission.logs.lines import Line
from auditor.submission.logs.model import Count
from auditor.submission.logs.pairs import find_pairs

# key as printed -> the count's name
_NAMES = {
    "val_tokens": "val_tokens",
    "target_tokens": "target_tokens",
    "total_targets": "target_tokens",
    "scored_tokens": "scored_tokens",
    "tokens_scored": "scored_tokens",
    "train_shards": "train_shards",
    "val_shards": "val_shards",
    "model_params": "model_params",
    "n_params": "model_params",
    "num_params": "model_params",
    "world_size": "world_size",
    "grad_accum_steps": "grad_accum_steps",
    "seed": "seed",
    "total_docs": "total_docs",
    "val_docs": "val_docs",
}
_WORDS = ("tokens", "targets", "shards", "params", "world_size", "grad_accum", "seed", "docs")
_GPU_ROW = re.compile(
    r"\|\s+(?P<index>\d+)\s+(?P<name>(?:NVIDIA|Tesla|AMD|GeForce|Quadro)\b.*?)\s+(?:On|Off|WDDM|TCC|N/A)\s+\|"
)
_GPU_LIST = re.compile(r"GPU (?P<index>\d+): (?P<name>[^(]+?) \(UUID")
_GPU_PRINT = re.compile(
    r"(?:.*\s)?(?:gpus?|device)(?:[ _]name)?\s?[:=]\s?(?P<name>(?:NVIDIA|Tesla|AMD)\b[\w .-]*?)\s*(?:$|[,|]|\w+:)",
    re.IGNORECASE,
)


def is_candidate(lower: str) -> bool:
    """Whether a lower-case line can hold a count at all; cheap."""
    return any(word in lower for word in _WORDS)


def read_counts(line: Line, log: str, run: int) -> Iterator[Count]:
    """Every count of one line."""
    text = line.text.strip()
    for pair in find_pairs(text):
        name = _NAMES.get(pair.key.lower())
        if pair.key == "tokens" and text.startswith("val_loader"):
            name = "val_tokens"
        if name and pair.value == pair.value // 1 and not pair.unit and pair.num_decimals == 0:
            yield Count(log=log, line=line.number, run=run, text=text, name=name, value=int(pair.value))


def read_gpu(text: str) -> tuple[int, str] | None:
    """Index and name in a row of the nvidia-smi table, of ``nvidia-smi -L`` or of a printed device name."""
    if "NVIDIA" not in text and not text.startswith(("|", "GPU ")):
        return None
    match = _GPU_ROW.match(text) or _GPU_LIST.match(text)
    if match:
        return int(match["index"]), match["name"].strip()
    match = _GPU_PRINT.match(text)
    return (0, match["name"].strip()) if match else None
