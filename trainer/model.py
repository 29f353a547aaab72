"""The language model of the contest: a small GPT with U-net skips and a soft-capped, usually tied head.

Shapes: B batch, T tokens, D model width, V vocabulary. The first half of the blocks stores its output; the second half
adds it back, last first, scaled per channel. Options that are off (see ModelConfig) build no module, so they are absent
from the state dict and from the forward pass.

One forward pass serves training, evaluation and test-time training. What it does not do: it keeps no key/value cache,
since nothing here generates fast, and it does not stop attention at document starts; windows of the evaluation do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import ModelConfig
from trainer.embeddings import BigramHash, SmearGate
from trainer.init import initialise
from trainer.layers import Block, Linear, Rotary, rms_norm


class GPT(nn.Module):
    """Token ids to next-token logits. `compute_dtype` is the type of the activations; parameters stay float32."""

    def __init__(self, config: ModelConfig, *, seed: int = 1337) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = torch.float32
        num_skips = config.num_layers // 2
        self.tok_emb = nn.Embedding(config.vocab_size, config.model_dim)
        self.bigram = BigramHash(config) if config.bigram_buckets else None
        self.smear = SmearGate(config) if config.smear_gate else None
        self.rotary = Rotary(config.rope_dims or config.head_dim, config.rope_base)
        self.skip_weights = nn.Parameter(torch.ones(num_skips, config.model_dim))
        self.blocks = nn.ModuleList(Block(config, index) for index in range(config.num_layers))
        self.lm_head = None if config.tie_embeddings else Linear(config.model_dim, config.vocab_size)
        initialise(self, config, seed)

    def forward(self, input_ids_BT: Tensor) -> Tensor:
        """Logits (B, T, V) in the compute type; position t sees tokens up to t."""
        x_BTD = self._blocks(self._embed(input_ids_BT))
        logits_BTV = self._tied_head(x_BTD) if self.lm_head is None else self.lm_head(x_BTD)
        return self.config.logit_softcap * torch.tanh(logits_BTV / self.config.logit_softcap)

    def loss(self, input_ids_BT: Tensor, target_ids_BT: Tensor) -> Tensor:
        """Mean cross-entropy in nats per token, float32."""
        return F.cross_entropy(self(input_ids_BT).float().flatten(0, 1), target_ids_BT.flatten())

    def _tied_head(self, x_BTD: Tensor) -> Tensor:
        return F.linear(x_BTD, self.tok_emb.weight.to(x_BTD.dtype))

    def _embed(self, input_ids_BT: Tensor) -> Tensor:
        x_BTD = self.tok_emb(input_ids_BT).to(self.compute_dtype)
        if self.bigram is not None:
            x_BTD = x_BTD + self.bigram(input_ids_BT, self.compute_dtype)
        x_BTD = rms_norm(x_BTD)
        return x_BTD if self.smear is None else self.smear(x_BTD, input_ids_BT)

    def _blocks(self, x0_BTD: Tensor) -> Tensor:
        cos, sin = self.rotary(x0_BTD.size(1), x0_BTD.dtype)
        x_BTD = x0_BTD
        skips: list[Tensor] = []
        num_skips = len(self.skip_weights)
        for index, block in enumerate(self.blocks):
            if num_skips <= index < 2 * num_skips:
                x_BTD = x_BTD + self.skip_weights[index - num_skips].to(x_BTD.dtype) * skips.pop()
            x_BTD = block(x_BTD, x0_BTD, cos, sin)
            if index < num_skips:
                skips.append(x_BTD)
        return rms_norm(x_BTD)


def count_parameters(model: nn.Module) -> int:
    """Number of parameter values, a shared one counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
