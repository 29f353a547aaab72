"""Sliding windows: which tokens a model sees, and which of them it is scored on.

Positions are those of inputs: position p holds token p and predicts token p + 1, so a stream of n tokens has the
positions 0 to n - 2. A window is a run of inputs; its last positions are scored. All scored ranges together cover every
position once, from left to right, and each window reaches back as far as its length or its document allows. A stride
equal to the length is the plain full pass, except that the last window too has a full context.

Pure arithmetic; nothing here touches tokens or a model.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Window(NamedTuple):
    """Inputs `start` to `end`, of which `score_start` to `end` are scored; half-open."""

    start: int
    score_start: int
    end: int


def sliding_windows(
    first: int, last: int, *, seq_len: int, stride: int, document_starts: Sequence[int] = ()
) -> Iterator[Window]:
    """Windows that score the positions `first` to `last` (half-open), left to right.

    Each scores `stride` positions, or more where its document starts so near that all of them fit into one window. With
    `document_starts` (ascending positions of first tokens) no window reaches back past the start of the document of its
    first scored position, nor on into the next document. Context before `first` is used.
    """
    if not 0 < stride <= seq_len:
        raise ValueError(f"stride={stride}: must be 1 to seq_len, {seq_len}")
    position = first
    while position < last:
        index = bisect_right(document_starts, position)
        document_start = document_starts[index - 1] if index else 0
        document_end = document_starts[index] if index < len(document_starts) else last
        end = min(max(position + stride, document_start + seq_len), document_end, last)
        yield Window(max(document_start, end - seq_len), position, end)
        position = end


def share_of_rank(num_items: int, rank: int, world_size: int) -> range:
    """The contiguous part of so many items that falls to one rank; the parts of all ranks are all items, in order."""
    return range(num_items * rank // world_size, num_items * (rank + 1) // world_size)
