"""The advice about a submission that is too large, and whether it holds when followed."""

import pytest
import torch

from trainer.artifact import Artifact, encode_artifact
from trainer.config import Config, ModelConfig, QuantConfig, apply_overrides
from trainer.quantize import quantize_state
from trainer.shrink import advise, estimate_bytes, find_savings
from trainer.size import SubmissionSize

MODEL = ModelConfig(vocab_size=64, model_dim=64, num_layers=1, num_heads=2, num_kv_heads=1)
QUANT = QuantConfig(keep_fp16=("attn.c_k",), keep_float_max_numel=4096)


def make_state(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"tok_emb.weight": (256, 64), "blocks.0.mlp.fc.weight": (512, 128), "blocks.0.attn.c_q.weight": (256, 128)}
    shapes |= {"blocks.0.attn.c_k.weight": (128, 64), "bigram.embed.weight": (256, 32), "blocks.0.attn_scale": (64,)}
    return {name: torch.randn(shape, generator=generator) * 0.02 for name, shape in shapes.items()}


def exact_bytes(state: dict[str, torch.Tensor], quant: QuantConfig) -> int:
    return len(encode_artifact(Artifact(MODEL, quantize_state(state, quant)), ["zstd"])["zstd"])


def estimates_of(state: dict[str, torch.Tensor]) -> dict[str, int]:
    return {name: estimate_bytes(tensor) for name, tensor in quantize_state(state, QUANT).items()}


def test_the_estimate_is_close_to_the_file():
    state = make_state()
    assert sum(estimates_of(state).values()) == pytest.approx(exact_bytes(state, QUANT), rel=0.04)


def test_every_advised_setting_is_one_that_set_takes_and_saves_about_what_it_says():
    state = make_state()
    savings = list(find_savings(state, QUANT, estimates_of(state)))
    names = {saving.setting.partition("=")[0] for saving in savings}
    assert names == {f"quant.{name}" for name in ("bits_mlp", "bits_attention", "bits_other", "embedding", "keep_fp16")}
    before = exact_bytes(state, QUANT)
    for saving in savings:
        smaller = apply_overrides(Config(quant=QUANT), [saving.setting]).quant
        assert saving.saved_bytes == pytest.approx(before - exact_bytes(state, smaller), rel=0.25, abs=400), saving


def test_the_advice_names_the_excess_the_largest_tensor_first_and_what_is_enough():
    size = SubmissionSize(code_bytes=10_000, model_bytes=75_000, cap_bytes=80_000)
    lines = advise(make_state(), QUANT, size)
    assert "over the cap of 80,000 bytes by 5,000" in lines[0]
    assert lines[2].endswith("blocks.0.mlp.fc.weight (512, 128)")
    helpful = lines[lines.index("what would help, estimated:") + 1 :]
    saved = [int(line.split()[0].replace(",", "")) for line in helpful]
    assert saved == sorted(saved, reverse=True)
    assert [line.endswith("(enough)") for line in helpful] == [num_bytes >= size.over_bytes for num_bytes in saved]
    assert saved[-1] < size.over_bytes <= saved[0]


def test_nothing_smaller_is_advised_where_nothing_is_smaller():
    quant = QuantConfig(bits_mlp=2, bits_attention=2, bits_other=2, embedding="int8", keep_float_max_numel=0)
    state = make_state()
    assert list(find_savings(state, quant, dict.fromkeys(state, 10**9))) == []
