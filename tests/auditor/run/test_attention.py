"""The attention that stands in for FlashAttention, against attention written out."""

import math

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def attention(child_module):
    return child_module("attention")


def written_out(q, k, v, causal, left):
    """One query after the other, one head after the other."""
    out = torch.zeros(*q.shape[:3], v.shape[3])
    shared = q.shape[2] // k.shape[2]
    for batch in range(q.shape[0]):
        for head in range(q.shape[2]):
            for at in range(q.shape[1]):
                own = at + k.shape[1] - q.shape[1]
                last = own if causal else k.shape[1] - 1
                first = max(own - left, 0) if left >= 0 else 0
                keys = k[batch, first : last + 1, head // shared]
                weights = (keys @ q[batch, at, head] / math.sqrt(q.shape[3])).softmax(0)
                out[batch, at, head] = weights @ v[batch, first : last + 1, head // shared]
    return out


@pytest.mark.parametrize(
    ("num_queries", "num_keys", "causal", "left"),
    [(7, 7, True, -1), (7, 7, False, -1), (7, 7, True, 2), (3, 7, True, -1), (3, 7, True, 3)],
)
def test_masks_windows_and_shared_heads_are_as_written_out(attention, num_queries, num_keys, causal, left):
    torch.manual_seed(0)
    q, k, v = torch.randn(2, num_queries, 4, 8), torch.randn(2, num_keys, 2, 8), torch.randn(2, num_keys, 2, 8)
    window = (left, 0) if left >= 0 else (-1, -1)
    made = attention.attend(q, k, v, causal=causal, window_size=window)
    assert torch.allclose(made, written_out(q, k, v, causal, left), atol=1e-5)


def test_sequences_of_different_lengths_do_not_see_each_other(attention):
    torch.manual_seed(0)
    q, k, v = (torch.randn(9, 2, 8) for _ in range(3))
    bounds = torch.tensor([0, 2, 6, 9], dtype=torch.int32)
    made = attention.attend_varlen(q, k, v, bounds, bounds, 4, 4, causal=True)
    for start, end in [(0, 2), (2, 6), (6, 9)]:
        alone = written_out(q[None, start:end], k[None, start:end], v[None, start:end], True, -1)[0]
        assert torch.allclose(made[start:end], alone, atol=1e-5)


def test_what_it_cannot_do_is_an_error(attention):
    x = torch.randn(1, 4, 2, 8)
    with pytest.raises(NotImplementedError):
        attention.attend(x, x, x, causal=True, softcap=15.0)
