from itertools import product

import pytest

from trainer.windows import share_of_rank, sliding_windows

SMALL = [(length, seq_len, stride) for length in range(14) for seq_len in range(1, 9) for stride in range(1, seq_len + 1)]


def check(windows, first, last, seq_len, document_of):
    """The four properties, for windows over positions `first` to `last`."""
    scored = [position for window in windows for position in range(window.score_start, window.end)]
    assert scored == list(range(first, last)), "each position once, left to right"
    for start, score_start, end in windows:
        assert 0 <= start <= score_start < end
        assert end - start <= seq_len
        assert len({document_of(position) for position in range(start, end)}) == 1, "within one document"
        could_reach_back = start > 0 and document_of(start - 1) == document_of(start) and end - start < seq_len
        assert not could_reach_back, "context as long as possible"


@pytest.mark.parametrize(("length", "seq_len", "stride"), SMALL)
def test_every_position_is_scored_once_with_the_longest_context(length, seq_len, stride):
    windows = list(sliding_windows(0, length, seq_len=seq_len, stride=stride))
    check(windows, 0, length, seq_len, lambda position: 0)
    assert all(window.end - window.score_start <= stride for window in windows[1:])
    assert windows[:1] == ([(0, 0, min(seq_len, length))] if length else [])


@pytest.mark.parametrize("seq_len", [1, 2, 3, 5])
def test_the_same_within_documents_and_chunks(seq_len):
    for stride, length, starts in product(range(1, seq_len + 1), range(8), product([0, 1], repeat=7)):
        document_starts = [position for position, is_start in enumerate(starts[:length]) if is_start]

        def document_of(position, document_starts=tuple(document_starts)):
            return sum(start <= position for start in document_starts)

        for chunk in (3, 7):
            windows = [
                window
                for first in range(0, length, chunk)
                for window in sliding_windows(
                    first, min(first + chunk, length), seq_len=seq_len, stride=stride, document_starts=document_starts
                )
            ]
            check(windows, 0, length, seq_len, document_of)


@pytest.mark.parametrize(("seq_len", "stride", "chunk"), list(product([1, 2, 5], [1, 2, 5], [1, 3, 7])))
def test_chunks_score_what_one_pass_scores_with_context_before_the_chunk(seq_len, stride, chunk):
    if stride > seq_len:
        stride = seq_len
    for length in range(20):
        windows = [
            window
            for first in range(0, length, chunk)
            for window in sliding_windows(first, min(first + chunk, length), seq_len=seq_len, stride=stride)
        ]
        check(windows, 0, length, seq_len, lambda position: 0)


def test_a_stride_of_the_window_is_the_full_pass():
    windows = list(sliding_windows(0, 10, seq_len=4, stride=4))
    assert windows == [(0, 0, 4), (4, 4, 8), (6, 8, 10)]


@pytest.mark.parametrize("stride", [0, 9])
def test_a_stride_that_would_skip_or_never_end_is_refused(stride):
    with pytest.raises(ValueError, match="must be 1 to seq_len, 8"):
        list(sliding_windows(0, 10, seq_len=8, stride=stride))


@pytest.mark.parametrize(("num_items", "world_size"), list(product(range(12), range(1, 9))))
def test_ranks_partition_the_windows(num_items, world_size):
    shares = [share_of_rank(num_items, rank, world_size) for rank in range(world_size)]
    assert [item for share in shares for item in share] == list(range(num_items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
