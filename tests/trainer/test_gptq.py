"""GPTQ: less output error than plain rounding, the textbook formula, its fallbacks, and where its tokens may come from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.config import ModelConfig, QuantConfig
from trainer.data import TrainLoader, ValidationTokens, open_train_shards, write_shard
from trainer.gptq import (
    CalibrationTokens,
    gptq_quantize,
    gptq_state,
    sample_calibration,
    second_moments,
    training_calibration,
)
from trainer.model import GPT
from trainer.quantize import QuantizedTensor, bits_for, dequantize_state, quantize_rows, quantize_state

MODEL = ModelConfig(vocab_size=32, num_layers=2, model_dim=16, num_heads=2, num_kv_heads=1, bigram_buckets=16, bigram_dim=8)
QUANT = QuantConfig(gptq="self", keep_float_max_numel=0, bits_mlp=3, bits_attention=3, gptq_block_size=8)


def correlated_inputs(num_tokens: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=generator)
    return torch.randn(num_tokens, width, generator=generator) @ mix


def output_error(weight: torch.Tensor, quantized: QuantizedTensor, x_NI: torch.Tensor) -> torch.Tensor:
    return ((quantized.dequantize() - weight) @ x_NI.T).square().sum(dim=1)


def make_model() -> GPT:
    model = GPT(MODEL, seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) / 4)
    return model


@settings(max_examples=25)
@given(st.integers(2, 8), st.integers(1, 40), st.integers(1, 24), st.integers(1, 64), st.integers(0, 2**31))
def test_no_row_is_worse_on_the_calibration_tokens_than_plain_rounding(bits, width, block_size, num_tokens, seed):
    x_NI = correlated_inputs(num_tokens, width, seed)
    weight = torch.randn(6, width, generator=torch.Generator().manual_seed(seed))
    config = replace(QUANT, gptq_block_size=block_size)
    quantized = gptq_quantize(weight, x_NI.T @ x_NI, bits, config)
    plain = quantize_rows(weight, bits, clip_search=True)
    assert torch.equal(quantized.scale_O, plain.scale_O)
    before, after = output_error(weight, plain, x_NI), output_error(weight, quantized, x_NI)
    assert bool((after <= before * (1 + 1e-3) + 1e-3 * before.max()).all())


def test_on_correlated_inputs_half_of_the_error_goes():
    x_NI = correlated_inputs(512, 64)
    weight = torch.randn(32, 64, generator=torch.Generator().manual_seed(1))
    plain = output_error(weight, quantize_rows(weight, 4, clip_search=True), x_NI).sum()
    ours = output_error(weight, gptq_quantize(weight, x_NI.T @ x_NI, 4, QUANT), x_NI).sum()
    assert ours < 0.55 * plain


def test_block_size_changes_the_order_of_work_not_the_codes():
    x_NI = correlated_inputs(512, 48)
    weight = torch.randn(8, 48, generator=torch.Generator().manual_seed(1))
    codes = [
        gptq_quantize(weight, x_NI.T @ x_NI, 4, replace(QUANT, gptq_block_size=size)).codes for size in (1, 7, 48, 100)
    ]
    assert all(float((other != codes[0]).float().mean()) < 0.01 for other in codes[1:])


def test_codes_are_those_of_the_optimal_brain_surgeon_update():
    """Round one column, solve the least-squares problem for the remaining ones anew, go on: the definition, in float64."""
    x_NI = correlated_inputs(200, 10)
    moments = x_NI.T @ x_NI
    weight = torch.randn(5, 10, generator=torch.Generator().manual_seed(1))
    scale = quantize_rows(weight, 4, clip_search=True).scale_O.double().unsqueeze(1)
    damped = moments.double() + QUANT.gptq_damping * moments.double().diagonal().mean() * torch.eye(10, dtype=torch.float64)
    order = torch.argsort(moments.diagonal(), descending=True).tolist()
    remaining, current, expected = order.copy(), weight.double(), torch.zeros(5, 10)
    while remaining:
        column, *remaining = remaining
        expected[:, column] = torch.clamp(torch.round(current[:, column] / scale[:, 0]), -8, 7)
        error = current[:, column] - expected[:, column].double() * scale[:, 0]
        current = current.clone()
        current[:, column] -= error
        if remaining:  # minimise (error e_column + d)^T H (...) over changes d of the remaining columns
            shift = torch.linalg.solve(damped[remaining][:, remaining], damped[remaining][:, [column]]) * error
            current[:, remaining] += shift.T
    quantized = gptq_quantize(weight, moments, 4, QUANT)
    plain = quantize_rows(weight, 4, clip_search=True)
    kept = (quantized.codes == plain.codes).all(dim=1)
    assert not kept.all()
    assert torch.equal(quantized.codes[~kept].float(), expected[~kept])


def test_inputs_that_never_occur_are_rounded_to_the_nearest():
    x_NI = correlated_inputs(64, 12)
    x_NI[:, ::3] = 0.0
    weight = torch.randn(4, 12, generator=torch.Generator().manual_seed(1))
    quantized = gptq_quantize(weight, x_NI.T @ x_NI, 4, replace(QUANT, gptq_damping=0.0))
    plain = quantize_rows(weight, 4, clip_search=True)
    assert torch.equal(quantized.codes[:, ::3], plain.codes[:, ::3])


# ---- a whole model ----


def test_second_moments_are_of_the_inputs_of_every_quantised_linear_layer():
    model = make_model()
    calibration = CalibrationTokens(torch.randint(0, 32, (20, 12), generator=torch.Generator().manual_seed(0)), "self")
    seen = []
    handle = model.blocks[1].mlp.proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    moments, num_tokens = second_moments(model, calibration, QUANT)
    handle.remove()
    x_NI = torch.cat([x.flatten(0, 1) for x in seen])
    assert num_tokens == calibration.num_tokens == len(x_NI) == 240
    assert torch.allclose(moments["blocks.1.mlp.proj.weight"], x_NI.T @ x_NI, rtol=1e-4, atol=1e-4)
    linears = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert set(moments) == linears
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_calibration_stops_when_the_training_time_is_over():
    calibration = CalibrationTokens(torch.zeros(40, 4, dtype=torch.long), "train")
    left = iter([1.0, 1.0, 0.0])
    _, num_tokens = second_moments(make_model(), calibration, QUANT, seconds_left=lambda: next(left))
    assert num_tokens == 2 * 8 * 4


def test_a_model_rounded_with_its_own_samples_answers_more_like_itself():
    model = make_model()
    calibration = sample_calibration(model, num_tokens=4096, seq_len=32, seed=0)
    other_tokens = sample_calibration(model, num_tokens=2048, seq_len=32, seed=1).tokens_NT
    moments, _ = second_moments(model, calibration, QUANT)
    compensated, notes = gptq_state(model.state_dict(), moments, QUANT)
    assert notes == []
    assert list(compensated) == list(model.state_dict())

    @torch.no_grad()
    def divergence(stored) -> float:
        rounded = GPT(MODEL)
        rounded.load_state_dict(dequantize_state(stored))
        own, other = model(other_tokens).log_softmax(dim=-1), rounded(other_tokens).log_softmax(dim=-1)
        return (own.exp() * (own - other)).sum(dim=-1).mean().item()

    assert divergence(compensated) < 0.8 * divergence(quantize_state(model.state_dict(), QUANT))


def test_what_gptq_does_not_reach_is_stored_as_ever():
    model = make_model()
    moments, _ = second_moments(model, CalibrationTokens(torch.zeros(1, 4, dtype=torch.long), "self"), QUANT)
    compensated, _ = gptq_state(model.state_dict(), moments, QUANT)
    plain = quantize_state(model.state_dict(), QUANT)
    assert bits_for("bigram.embed.weight", model.bigram.embed.weight, QUANT) == 8
    assert torch.equal(compensated["bigram.embed.weight"].codes, plain["bigram.embed.weight"].codes)
    assert torch.equal(compensated["blocks.0.attn.q_gain"], plain["blocks.0.attn.q_gain"])


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_second_moments_that_are_not_positive_definite_fall_back_to_plain_rounding_and_say_so(value):
    state = {"blocks.0.mlp.fc.weight": torch.randn(4, 6, generator=torch.Generator().manual_seed(0))}
    moments = torch.eye(6)
    moments[2, 2] = value
    stored, notes = gptq_state(state, {"blocks.0.mlp.fc.weight": moments}, QUANT)
    assert notes == ["gptq:blocks.0.mlp.fc.weight rounded plainly, its second moments are not positive definite"]
    assert torch.equal(stored["blocks.0.mlp.fc.weight"].codes, quantize_rows(*state.values(), 3, clip_search=True).codes)


# ---- where the tokens come from ----


def test_samples_follow_the_seed_start_a_document_and_follow_the_model():
    model = make_model()
    first, again, other = (sample_calibration(model, num_tokens=100, seq_len=16, seed=seed).tokens_NT for seed in (5, 5, 6))
    assert first.shape == (7, 16)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert bool((first[:, 0] == MODEL.bos_token_id).all())
    with torch.no_grad():
        model.tok_emb.weight.zero_()
        model.tok_emb.weight[9] = 10.0  # every state is mapped to one direction; token 9 is (nearly) certain or impossible
        logits = model(first)[0, 0]
    sampled = sample_calibration(model, num_tokens=256, seq_len=2, seed=0).tokens_NT[:, 1]
    share = float((sampled == 9).float().mean())
    assert share == pytest.approx(float(logits.softmax(dim=0)[9]), abs=0.15)


def write_stream(folder, name: str) -> str:
    write_shard(folder / name, np.arange(2000, dtype=np.uint16) % 32)
    return str(folder / name)


def test_training_tokens_come_from_the_training_stream_in_its_order(tmp_path):
    shards = open_train_shards(write_stream(tmp_path, "fineweb_train_000000.bin"))
    loader = TrainLoader(shards, micro_batch_tokens=64, seq_len=16, vocab_size=32)
    calibration = training_calibration(loader, num_tokens=100, device=torch.device("cpu"))
    assert calibration.source == "train"
    assert calibration.tokens_NT.shape == (8, 16)
    assert calibration.tokens_NT[:4].flatten().tolist() == [position % 32 for position in range(64)]


@pytest.mark.parametrize("tokens", [ValidationTokens(np.arange(8, dtype=np.uint16)), torch.zeros(2, 2), None])
def test_validation_tokens_are_not_a_source(tokens):
    with pytest.raises(TypeError, match=f"not on {type(tokens).__name__}"):
        training_calibration(tokens, num_tokens=8, device=torch.device("cpu"))
