"""Muon against the singular value decomposition, a plain float64 loop and torch's own; what is optimised by what."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from trainer.config import ModelConfig, OptimizerConfig, preset
from trainer.model import GPT
from trainer.optimizers import NS_COEFFICIENTS, Muon, Optimizers, orthogonalise, split_parameters

SHAPES = [(32, 32), (64, 16), (16, 64)]


def orthogonalise_by_svd(matrix: Tensor, num_steps: int) -> Tensor:
    """The iteration is a polynomial on singular values: apply it to them, in float64."""
    a, b, c = NS_COEFFICIENTS
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    values = values / values.norm()
    for _ in range(num_steps):
        values = a * values + b * values**3 + c * values**5
    return (left * values) @ right


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4), (torch.bfloat16, 0.06)])
def test_orthogonalise_is_the_polynomial_on_singular_values(shape, dtype, tolerance):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    result = orthogonalise(matrix[None], 5, dtype)[0].double()
    assert (result - orthogonalise_by_svd(matrix, 5)).abs().max() < tolerance


def test_singular_values_are_near_one_after_five_steps():
    matrix = torch.randn(8, 48, 48, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalise(matrix, 5, torch.float32))
    assert values.quantile(0.05) > 0.6
    assert values.max() < 1.3


def test_a_stack_is_orthogonalised_matrix_by_matrix():
    stack = torch.randn(3, 24, 8, generator=torch.Generator().manual_seed(2))
    alone = torch.stack([orthogonalise(matrix[None], 5, torch.float32)[0] for matrix in stack])
    assert torch.allclose(orthogonalise(stack, 5, torch.float32), alone, atol=1e-5)


def test_a_zero_gradient_gives_no_update():
    assert orthogonalise(torch.zeros(1, 4, 4), 5, torch.float32).abs().max() == 0


def gradients(num_steps: int) -> list[list[Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [[torch.randn(shape, generator=generator) for shape in SHAPES] for _ in range(num_steps)]


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(4)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def run(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], steps: list[list[Tensor]]) -> list[Tensor]:
    for step in steps:
        for weight, gradient in zip(weights, step, strict=True):
            weight.grad = gradient.clone()
        optimizer.step()
    return [weight.detach() for weight in weights]


def test_ten_steps_equal_a_float64_loop():
    lr, momentum, weight_decay = 0.02, 0.9, 0.1
    weights = parameters()
    result = run(Muon(weights, lr=lr, momentum=momentum, weight_decay=weight_decay, ns_steps=5), weights, gradients(10))
    for index, start in enumerate(parameters()):
        expected, buffer = start.detach().double(), torch.zeros(start.shape, dtype=torch.float64)
        for step in gradients(10):
            gradient = step[index].double()
            buffer = momentum * buffer + gradient
            update = orthogonalise_by_svd(gradient + momentum * buffer, 5)
            rows, columns = start.shape
            expected = expected * (1 - lr * weight_decay) - lr * max(1, rows / columns) ** 0.5 * update
        assert (result[index].double() - expected).abs().max() < 1e-4


def test_ten_steps_equal_torch_optim_muon_at_its_precision():
    settings = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.05, "ns_steps": 5}
    ours, theirs = parameters(), parameters()
    muon = Muon(ours, **settings)
    muon.ns_dtype = torch.bfloat16
    result = run(muon, ours, gradients(10))
    expected = run(torch.optim.Muon(theirs, **settings), theirs, gradients(10))
    for one, other, start in zip(result, expected, parameters(), strict=True):
        assert (one - other).norm() < 0.03 * (other - start.detach()).norm()


def test_state_survives_a_round_trip_bit_for_bit():
    weights = parameters()
    settings = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.0, "ns_steps": 5}
    muon = Muon(weights, **settings)
    run(muon, weights, gradients(3))
    saved = [nn.Parameter(weight.detach().clone()) for weight in weights]
    again = Muon(saved, **settings)
    again.scatter_state([None if state is None else state.clone() for state in muon.gather_state()])
    for one, other in zip(run(muon, weights, gradients(5)), run(again, saved, gradients(5)), strict=True):
        assert torch.equal(one, other)


def test_muon_refuses_what_is_no_matrix():
    with pytest.raises(ValueError, match="matrices only"):
        Muon([nn.Parameter(torch.zeros(3))], lr=0.1, momentum=0.9, weight_decay=0.0, ns_steps=5)


def named(model: GPT, chosen: list[nn.Parameter]) -> set[str]:
    ids = {id(parameter) for parameter in chosen}
    return {name for name, parameter in model.named_parameters() if id(parameter) in ids}


@pytest.mark.parametrize("tied", [True, False])
def test_every_parameter_has_exactly_one_optimizer(tied):
    config = ModelConfig(
        vocab_size=32, model_dim=32, num_layers=2, num_heads=2, num_kv_heads=1, tie_embeddings=tied,
        smear_gate=True, bigram_buckets=8, bigram_dim=16,
    )  # fmt: skip
    model = GPT(config)
    matrices, groups = split_parameters(model, OptimizerConfig())
    everything = matrices + [parameter for group in groups for parameter in group["params"]]
    assert len(everything) == len({id(parameter) for parameter in everything}) == len(list(model.parameters()))
    muon_names = named(model, matrices)
    assert "bigram.proj.weight" in muon_names
    assert muon_names.isdisjoint({"tok_emb.weight", "lm_head.weight", "bigram.embed.weight", "skip_weights"})
    assert named(model, groups[0]["params"]) == {"tok_emb.weight", "bigram.embed.weight"}


def test_gradient_clipping_bounds_what_adam_sees():
    config = preset("tiny")
    model = GPT(config.model)
    optimizers = Optimizers(model, config.optimizer)
    for parameter in optimizers.parameters:
        parameter.grad = torch.ones_like(parameter)
    norm = sum(parameter.numel() for parameter in optimizers.parameters) ** 0.5
    optimizers.step()
    first_moment = optimizers.adam.state[model.tok_emb.weight]["exp_avg"]
    assert torch.allclose(first_moment, torch.full_like(first_moment, 0.1 * 0.3 / norm), rtol=1e-4)
