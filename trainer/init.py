"""The weights at step 0, from a seed and nothing else.

All random numbers come from one generator on the CPU, in the order of the modules, so that a seed gives the same model
on every device and whatever ran before. Every block starts as the identity (its output projections are zero) unless
`output_init` is "scaled": then they are orthogonal over sqrt(2 num_layers), which keeps the stream's size over depth.

The recipe of pull request #297 names the second but trains the first: its zero flag is looked at before its scaling, so
that only the projection of the bigram embedding is scaled. The preset does what was run.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainer.config import ModelConfig
from trainer.layers import Block, Linear

ORTHOGONAL_MIN_DIM = 64  # a smaller matrix keeps the default
PHASE_STEEPNESS = 3.0


@torch.no_grad()
def initialise(model: nn.Module, config: ModelConfig, seed: int) -> None:
    """Set every random or structured parameter of a freshly built model in place."""
    generator = torch.Generator().manual_seed(seed)
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            _initialise_matrix(name, module.weight, config, generator)
        elif isinstance(module, nn.Embedding):
            _initialise_embedding(name, module.weight, config, generator)
    if config.resid_mix_init == "phased":
        _phase_residual_mixes([module for module in model.modules() if isinstance(module, Block)])


def _initialise_matrix(name: str, weight_OI: Tensor, config: ModelConfig, generator: torch.Generator) -> None:
    is_block_output = name.startswith("blocks.") and name.endswith(".proj")
    scaled = config.init == "orthogonal" and config.output_init == "scaled"
    if name == "lm_head" or (is_block_output and not scaled):
        weight_OI.zero_()
    elif config.init == "orthogonal" and min(weight_OI.shape) >= ORTHOGONAL_MIN_DIM:
        nn.init.orthogonal_(weight_OI, generator=generator)
        if name.endswith("proj"):
            weight_OI.mul_(1 / math.sqrt(2 * config.num_layers))
    else:
        nn.init.kaiming_uniform_(weight_OI, a=math.sqrt(5), generator=generator)


def _initialise_embedding(name: str, weight: Tensor, config: ModelConfig, generator: torch.Generator) -> None:
    if config.bigram_buckets and name == "bigram.embed":
        weight.zero_()  # its projection is not zero, so that it learns from the first step
        return
    weight.normal_(0.0, config.embedding_init_std if config.tie_embeddings else 1.0, generator=generator)
    if config.embedding_init == "overtone":
        weight.copy_(overtone_spectrum(weight))


def overtone_spectrum(weight: Tensor) -> Tensor:
    """The matrix with the same singular vectors and largest singular value, and singular value k at s_1 / sqrt(k).

    A random embedding has a flat spectrum; text has a falling one. Rows x columns in, the same out.
    """
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    falling = values[0] * torch.arange(1, len(values) + 1, dtype=values.dtype) ** -0.5
    return (left * falling) @ right


def _phase_residual_mixes(blocks: list[Block]) -> None:
    """Early blocks read the embedding, late blocks the stream: a sigmoid over relative depth."""
    for index, block in enumerate(blocks):
        depth = index / max(len(blocks) - 1, 1)
        current = 1 / (1 + math.exp(-PHASE_STEEPNESS * (depth - 0.5)))
        block.resid_mix[0].fill_(current)
        block.resid_mix[1].fill_(1 - current)
