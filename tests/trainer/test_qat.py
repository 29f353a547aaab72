"""Late QAT: rounded weights are those of the artifact, gradients are straight through, and off means off."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from trainer.artifact import Artifact, decode_artifact, encode_artifact
from trainer.config import ModelConfig, QuantConfig
from trainer.model import GPT
from trainer.qat import LateQAT
from trainer.quantize import bits_for, dequantize_state, fake_quantize, quantize_state

MODEL = ModelConfig(vocab_size=64, num_layers=2, model_dim=32, num_heads=4, num_kv_heads=2, bigram_buckets=64, bigram_dim=8)
QUANT = QuantConfig(qat=True, keep_float_max_numel=0, embedding="int8", bits_mlp=4, keep_fp16=("blocks.1.attn.c_k",))


def make_model(seed: int = 0) -> GPT:
    model = GPT(MODEL, seed=seed)
    with torch.no_grad():  # projections start at zero, which rounding cannot change
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())) / 8)
    return model


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def is_identical(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Bit for bit, the sign of zero included."""
    return torch.equal(first.view(torch.int32), second.view(torch.int32))


@pytest.mark.parametrize("clip_search", [False, True])
def test_rounded_weights_are_bit_for_bit_those_that_the_artifact_gives_back(clip_search):
    model, quant = make_model(), replace(QUANT, clip_search=clip_search)
    artifact = Artifact(MODEL, quantize_state(model.state_dict(), quant))
    stored = decode_artifact(encode_artifact(artifact, ["zstd"])["zstd"]).state_dict()
    qat = LateQAT(model, quant)
    qat.active = True
    rounded_names = {name for name, tensor in model.state_dict().items() if bits_for(name, tensor, quant)}
    assert rounded_names >= {
        "tok_emb.weight",
        "bigram.embed.weight",
        "blocks.0.attn.c_k.weight",
        "blocks.1.mlp.proj.weight",
    }
    assert "blocks.1.attn.c_k.weight" not in rounded_names
    exact = weights_of(model)
    with qat.rounded():
        for name, weight in model.state_dict().items():
            assert is_identical(weight, stored[name] if name in rounded_names else exact[name])
    assert all(is_identical(weight, exact[name]) for name, weight in model.state_dict().items())


def test_gradients_are_those_of_a_straight_through_estimator():
    def straight_through(name, weight):
        bits = bits_for(name, weight, QUANT)
        return weight if bits is None else weight + (fake_quantize(weight, bits, clip_search=True) - weight).detach()

    tokens = torch.arange(24).view(2, 12) % 64
    expected, model = make_model(), make_model()
    transformed = {name: straight_through(name, weight) for name, weight in expected.named_parameters()}
    torch.func.functional_call(expected, transformed, (tokens,)).square().mean().backward()

    qat = LateQAT(model, QUANT)
    qat.active = True
    with qat.rounded():
        model(tokens).square().mean().backward()
    for (name, weight), other in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert torch.allclose(weight.grad, other.grad, rtol=1e-4, atol=1e-9), name


def test_exact_weights_come_back_after_an_error():
    model = make_model()
    exact = weights_of(model)
    qat = LateQAT(model, QUANT)
    qat.active = True
    with pytest.raises(KeyboardInterrupt), qat.rounded():
        raise KeyboardInterrupt
    assert all(is_identical(weight, exact[name]) for name, weight in model.state_dict().items())


def test_inactive_it_changes_nothing_and_the_state_dict_never_changes():
    model = make_model()
    keys = list(model.state_dict())
    qat = LateQAT(model, QUANT)
    exact = weights_of(model)
    with qat.rounded():
        assert all(is_identical(weight, exact[name]) for name, weight in model.state_dict().items())
    qat.active = True
    with qat.rounded():
        assert list(model.state_dict()) == keys


def test_training_with_rounding_lowers_the_loss_of_the_rounded_model():
    model, quant = make_model(), replace(QUANT, bits_mlp=3, bits_attention=3)
    tokens = torch.randint(0, 64, (4, 33), generator=torch.Generator().manual_seed(1))
    x_BT, y_BT = tokens[:, :-1], tokens[:, 1:]

    def rounded_loss() -> float:
        restored = GPT(MODEL)
        restored.load_state_dict(dequantize_state(quantize_state(model.state_dict(), quant)))
        return restored.loss(x_BT, y_BT).item()

    qat = LateQAT(model, quant)
    qat.active = True
    before = rounded_loss()
    for _ in range(15):
        model.zero_grad()
        with qat.rounded():
            model.loss(x_BT, y_BT).backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight -= 0.02 * weight.grad.sign()
    assert rounded_loss() < 0.8 * before
