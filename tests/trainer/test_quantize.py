"""Quantisation: the error bound, the exact way back, the clip search, and which tensor gets how many bits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.bitpack import code_range
from trainer.config import QuantConfig
from trainer.quantize import (
    CLIP_FRACTIONS,
    SMALLEST_SCALE,
    QuantizedTensor,
    bits_for,
    dequantize_state,
    fake_quantize,
    quantize_rows,
    quantize_state,
)


@st.composite
def weights(draw):
    """Rows from below the smallest scale up to near the largest one, with outliers and zeros."""
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    magnitude = torch.tensor(draw(st.lists(st.integers(-30, 8), min_size=rows, max_size=rows)), dtype=torch.float32)
    weight = torch.randn(rows, columns, generator=generator) * torch.exp2(magnitude).unsqueeze(1)
    weight[torch.rand(rows, columns, generator=generator) < draw(st.sampled_from([0.0, 0.1, 1.0]))] = 0.0
    weight[:, 0] *= draw(st.sampled_from([1.0, 30.0]))
    return weight


@given(weights(), st.integers(2, 8), st.booleans())
def test_inside_the_clip_the_error_is_at_most_half_a_step(weight, bits, clip_search):
    quantized = quantize_rows(weight, bits, clip_search=clip_search)
    low, high = code_range(bits)
    scale = quantized.scale_O.double().unsqueeze(1)
    error = (weight.double() - quantized.codes.double() * scale).abs()
    inside = (weight.double() >= (low - 0.5) * scale) & (weight.double() <= (high + 0.5) * scale)
    one_rounding = 2.0**-23 * weight.double().abs()  # of the float32 quotient
    assert bool((error <= scale / 2 + one_rounding)[inside].all())
    clipped_to = torch.where(weight < 0, low, high)
    assert bool((quantized.codes == clipped_to)[~inside].all())


@given(weights(), st.integers(2, 8), st.booleans())
def test_dequantised_codes_quantise_to_themselves_under_the_same_scale(weight, bits, clip_search):
    quantized = quantize_rows(weight, bits, clip_search=clip_search)
    again = (quantized.dequantize() / quantized.scale_O.float().unsqueeze(1)).round()
    assert torch.equal(again.to(torch.int8), quantized.codes)


@given(weights(), st.integers(2, 8))
def test_the_searched_clip_is_the_best_of_the_grid(weight, bits):
    def squared_error(fraction):
        widest = weight.abs().amax(dim=1) / code_range(bits)[1]
        scale = (fraction * widest).half().clamp_min(SMALLEST_SCALE).float()[:, None]
        rounded = torch.clamp(torch.round(weight / scale), *code_range(bits)) * scale
        return (rounded - weight).double().square().sum(dim=1)

    best = torch.stack([squared_error(fraction) for fraction in CLIP_FRACTIONS]).amin(dim=0)
    searched = fake_quantize(weight, bits, clip_search=True)
    error = (searched - weight).double().square().sum(dim=1)
    assert torch.allclose(error, best, rtol=1e-5, atol=0)


def test_the_search_clips_an_outlier_and_leaves_an_even_row_alone():
    even = torch.linspace(-1, 1, 512)
    outlier = even.clone() / 2
    outlier[0] = 1.0
    quantized = quantize_rows(torch.stack([even, outlier]), 3, clip_search=True)
    unclipped = quantize_rows(torch.stack([even, outlier]), 3, clip_search=False)
    assert quantized.scale_O[1] < unclipped.scale_O[1]
    assert math.isclose(float(unclipped.scale_O[0]), 1 / 3, rel_tol=1e-3)


def test_rows_do_not_depend_on_the_rows_beside_them():
    weight = torch.randn(37, 91, generator=torch.Generator().manual_seed(0))
    together = quantize_rows(weight, 6, clip_search=True)
    for row in range(len(weight)):
        alone = quantize_rows(weight[row : row + 1], 6, clip_search=True)
        assert torch.equal(alone.codes[0], together.codes[row])
        assert alone.scale_O[0] == together.scale_O[row]


def test_a_row_of_zeros_stays_zero():
    assert not fake_quantize(torch.zeros(2, 5), 6, clip_search=True).any()


def test_a_tensor_of_three_dimensions_has_one_scale_per_first_index():
    weight = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1))
    quantized = quantize_rows(weight, 6, clip_search=True)
    assert quantized.codes.shape == (3, 4, 5)
    assert torch.equal(quantized.dequantize().flatten(1), fake_quantize(weight.flatten(1), 6, clip_search=True))


BIG, SMALL = torch.zeros(300, 300), torch.zeros(64, 64)


@pytest.mark.parametrize(
    ("name", "tensor", "changes", "bits"),
    [
        ("blocks.0.mlp.fc.weight", BIG, {"bits_mlp": 5}, 5),
        ("blocks.0.attn.c_q.weight", BIG, {"bits_attention": 4}, 4),
        ("bigram.embed.weight", BIG, {}, 8),
        ("tok_emb.weight", BIG, {}, None),
        ("tok_emb.weight", BIG, {"embedding": "int8"}, 8),
        ("lm_head.weight", BIG, {"embedding": "int8"}, 8),
        ("blocks.0.mlp.fc.weight", SMALL, {}, None),
        ("blocks.0.mlp.fc.weight", SMALL, {"keep_float_max_numel": 64 * 64 - 1}, 6),
        ("blocks.8.attn.c_k.weight", BIG, {"keep_fp16": ("blocks.8.attn.c_k",)}, None),
        ("blocks.0.resid_mix", torch.zeros(100_000), {}, None),
        ("counts", torch.zeros(300, 300, dtype=torch.int64), {}, None),
    ],
)
def test_bits_follow_name_size_and_settings(name, tensor, changes, bits):
    assert bits_for(name, tensor, QuantConfig(**changes)) == bits


def test_a_state_comes_back_with_its_keys_shapes_and_small_tensors_in_half_precision():
    state = {
        "blocks.0.mlp.fc.weight": torch.randn(300, 300, generator=torch.Generator().manual_seed(2)),
        "blocks.0.attn.q_gain": torch.tensor([1.5, 1 / 3]),
        "huge": torch.tensor([1e6]),
        "steps": torch.tensor(7),
    }
    stored = quantize_state(state, QuantConfig())
    assert isinstance(stored["blocks.0.mlp.fc.weight"], QuantizedTensor)
    back = dequantize_state(stored)
    assert {name: tensor.shape for name, tensor in back.items()} == {name: tensor.shape for name, tensor in state.items()}
    assert torch.equal(back["blocks.0.attn.q_gain"], state["blocks.0.attn.q_gain"].half().float())
    assert float(back["huge"]) == 1e6
    assert back["steps"].dtype == torch.int64


def test_the_same_weights_give_the_same_codes():
    weight = torch.randn(64, 512, generator=torch.Generator().manual_seed(3))
    first, second = (quantize_rows(weight.clone(), 6, clip_search=True) for _ in range(2))
    assert torch.equal(first.codes, second.codes)
    assert torch.equal(first.scale_O, second.scale_O)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("shape", [(300, 300), (3,)])
def test_a_weight_that_is_not_finite_is_named(bad, shape):
    weight = torch.zeros(shape)
    weight.view(-1)[1] = bad
    with pytest.raises(ValueError, match=r"blocks\.3\.mlp\.fc\.weight: 1 of \d+ weights are not finite"):
        quantize_state({"blocks.3.mlp.fc.weight": weight}, QuantConfig())


def test_a_row_too_large_for_its_scale_is_named():
    with pytest.raises(ValueError, match="x: a row's largest weight is too large"):
        quantize_state({"x": torch.full((300, 300), 1e9)}, QuantConfig())
