"""What is added to a token's embedding from the token before it: SmearGate and the hashed bigram embedding.

Both look one token back, and both stop at a document start: the organisers ask that nothing of the previous document
enters the first token of the next. The mask is computed from the token ids inside the module, so there is no forward
pass without it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.config import ModelConfig
from trainer.layers import Linear

# Two odd multipliers that spread (token, previous token) over the table; the field's usual pair.
HASH_CURRENT, HASH_PREVIOUS = 36_313, 27_191
BIGRAM_SCALE_INIT = 0.05


def has_previous(input_ids_BT: Tensor, bos_token_id: int) -> Tensor:
    """(B, T) bool: is there a previous token of the same document? False at position 0 and at each document start."""
    mask_BT = input_ids_BT != bos_token_id
    mask_BT[:, 0] = False
    return mask_BT


def shift_right(x: Tensor) -> Tensor:
    """Each position gets its predecessor along dimension 1; the first gets its own value, which callers mask."""
    return torch.cat((x[:, :1], x[:, :-1]), dim=1)


class SmearGate(nn.Module):
    """Blend each embedding with its predecessor by a learned share per channel (one half at the start).

    Where there is no predecessor in the document the embedding stays as it is.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.bos_token_id = config.bos_token_id
        self.gate = nn.Parameter(torch.zeros(config.model_dim))

    def forward(self, x_BTD: Tensor, input_ids_BT: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        share_D = torch.sigmoid(self.gate).to(x_BTD.dtype)
        share_BTD = share_D * has_previous(input_ids_BT, self.bos_token_id).unsqueeze(-1)
        return x_BTD + share_BTD * (shift_right(x_BTD) - x_BTD)


class BigramHash(nn.Module):
    """An embedding of (previous token, token), hashed into buckets, projected to the model width and scaled.

    The last bucket is for positions without a predecessor in their document. Table and projection cannot both start at
    zero, or neither would ever get a gradient: the initialisation of the projection decides (see init.py).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.bos_token_id = config.bos_token_id
        self.embed = nn.Embedding(config.bigram_buckets, config.bigram_dim)
        self.proj = Linear(config.bigram_dim, config.model_dim)
        self.scale = nn.Parameter(torch.tensor(BIGRAM_SCALE_INIT))

    def bucket(self, input_ids_BT: Tensor) -> Tensor:
        """(B, T) bucket of each position."""
        start_bucket = self.embed.num_embeddings - 1
        ids_BT = input_ids_BT.long()
        mixed_BT = torch.bitwise_xor(HASH_CURRENT * ids_BT, HASH_PREVIOUS * shift_right(ids_BT)) % start_bucket
        return torch.where(has_previous(ids_BT, self.bos_token_id), mixed_BT, start_bucket)

    def forward(self, input_ids_BT: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, T) to (B, T, D)."""
        return self.proj(self.embed(self.bucket(input_ids_BT)).to(dtype)) * self.scale.to(dtype)
