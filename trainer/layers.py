"""The parts of a block: linear layers, rotary positions, attention and MLP.

Shapes: B batch, T tokens, D model width, H query heads, K key/value heads, G = H / K query heads per key/value head,
E head width, F MLP width, O x I a weight.

Weights are kept in float32 and cast to the type of their input where they are used, so that a model computes in the
type of its first activation and optimizer states keep full precision. Why not autocast: a forward pass would then
depend on the caller's context, and training, evaluation and test-time training could run at different precisions.

Attention is `scaled_dot_product_attention` with grouped queries, or FlashAttention 3 where it is installed and the
input is half precision on a GPU. The FlashAttention path cannot be exercised on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import ModelConfig


class Linear(nn.Linear):
    """A linear map without bias, computed in the type of its input."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O)."""
        return F.linear(x, self.weight.to(x.dtype))


def rms_norm(x: Tensor) -> Tensor:
    """Divide by the root mean square of the last dimension; no parameters."""
    return F.rms_norm(x, (x.size(-1),))


class Rotary(nn.Module):
    """Cosines and sines of the rotary angles, computed once per forward pass for all layers.

    Nothing is cached between passes: the table costs T x E/2 values, and a cache made in inference mode cannot be used
    in training.
    """

    def __init__(self, num_dims: int, base: float) -> None:
        super().__init__()
        frequencies = base ** -(torch.arange(0, num_dims, 2, dtype=torch.float32) / num_dims)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.frequencies: Tensor

    def forward(self, num_tokens: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines as `rotate` takes them, each (T, 1, num_dims), for positions from 0."""
        positions = torch.arange(num_tokens, device=self.frequencies.device, dtype=torch.float32)
        angles = torch.outer(positions, self.frequencies)[:, None, :]
        cos, sin = angles.cos(), angles.sin()
        return torch.cat((cos, cos), dim=-1).to(dtype), torch.cat((sin, -sin), dim=-1).to(dtype)


def rotate(x_BTHE: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the first dimensions of each head, as many as the tables cover, in pairs (i, i + half) of them."""
    num_dims = cos.size(-1)
    turned = x_BTHE[..., :num_dims]
    turned = turned * cos + turned.roll(num_dims // 2, dims=-1) * sin
    return turned if num_dims == x_BTHE.size(-1) else torch.cat((turned, x_BTHE[..., num_dims:]), dim=-1)


def _find_flash_attention_3() -> Callable[..., Tensor] | None:
    try:
        from flash_attn_interface import flash_attn_func  # type: ignore[import-not-found]
    except ImportError:
        return None
    return flash_attn_func


FLASH_ATTENTION_3 = _find_flash_attention_3()  # looked for once: a compiled graph must not import


def causal_attention(q_BTHE: Tensor, k_BTKE: Tensor, v_BTKE: Tensor) -> Tensor:
    """Causal softmax attention with grouped queries; head h reads key/value head h // G. Returns (B, T, H, E)."""
    if FLASH_ATTENTION_3 is not None and q_BTHE.is_cuda and q_BTHE.dtype != torch.float32:
        out = FLASH_ATTENTION_3(q_BTHE, k_BTKE, v_BTKE, causal=True)
        return out[0] if isinstance(out, tuple) else out
    q, k, v = (t.transpose(1, 2) for t in (q_BTHE, k_BTKE, v_BTKE))
    grouped = q.size(1) != k.size(1)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped).transpose(1, 2)


def exclude_self(y_BTHE: Tensor, v_BTKE: Tensor) -> Tensor:
    """Remove from each output the part along the token's own value vector (XSA, arXiv 2603.09078).

    y - (y . u) u with u = v / |v|. Query heads are grouped over their value head, so no head is repeated.
    """
    num_groups = y_BTHE.size(2) // v_BTKE.size(2)
    y_BTKGE = y_BTHE.unflatten(2, (v_BTKE.size(2), num_groups))
    unit_BTK1E = F.normalize(v_BTKE, dim=-1).unsqueeze(3)
    along = (y_BTKGE * unit_BTK1E).sum(dim=-1, keepdim=True)
    return (y_BTKGE - along * unit_BTK1E).flatten(2, 3)


class Attention(nn.Module):
    """Grouped-query attention with normalised queries and keys, a gain per query head, and optionally XSA."""

    def __init__(self, config: ModelConfig, *, exclusive: bool) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.exclusive = exclusive
        kv_dim = config.num_kv_heads * config.head_dim
        self.c_q = Linear(config.model_dim, config.model_dim)
        self.c_k = Linear(config.model_dim, kv_dim)
        self.c_v = Linear(config.model_dim, kv_dim)
        self.proj = Linear(config.model_dim, config.model_dim)
        self.q_gain = nn.Parameter(torch.full((config.num_heads,), config.qk_gain_init))

    def forward(self, x_BTD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        q_BTHE = rms_norm(self.c_q(x_BTD).unflatten(-1, (-1, self.head_dim)))
        k_BTKE = rms_norm(self.c_k(x_BTD).unflatten(-1, (-1, self.head_dim)))
        v_BTKE = self.c_v(x_BTD).unflatten(-1, (-1, self.head_dim))
        q_BTHE = rotate(q_BTHE, cos, sin) * self.q_gain.to(x_BTD.dtype)[:, None]
        y_BTHE = causal_attention(q_BTHE, rotate(k_BTKE, cos, sin), v_BTKE)
        if self.exclusive:
            y_BTHE = exclude_self(y_BTHE, v_BTKE)
        return self.proj(y_BTHE.flatten(2))


class MLP(nn.Module):
    """Two linear maps around a squared (leaky) ReLU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.negative_slope = config.leaky_slope if config.activation == "leaky_relu2" else 0.0
        self.fc = Linear(config.model_dim, config.mlp_hidden)
        self.proj = Linear(config.mlp_hidden, config.model_dim)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        hidden_BTF = self.fc(x_BTD)
        slope = self.negative_slope
        hidden_BTF = F.leaky_relu(hidden_BTF, slope) if slope else F.relu(hidden_BTF)
        return self.proj(hidden_BTF.square())


class Block(nn.Module):
    """Mix the stream with the first embedding, then add attention and MLP, each scaled per channel."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        exclusive = config.xsa_layers > 0 and index >= config.num_layers - config.xsa_layers
        self.norm_scale = (index + 1) ** -0.5 if config.norm_depth_scale else 1.0
        self.attn = Attention(config, exclusive=exclusive)
        self.mlp = MLP(config)
        self.attn_scale = nn.Parameter(torch.ones(config.model_dim))
        self.mlp_scale = nn.Parameter(torch.ones(config.model_dim))
        self.resid_mix = nn.Parameter(torch.stack((torch.ones(config.model_dim), torch.zeros(config.model_dim))))

    def forward(self, x_BTD: Tensor, x0_BTD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The stream after this block; x0 is the stream before the first."""
        dtype = x_BTD.dtype
        current, first = self.resid_mix.to(dtype)
        x_BTD = current * x_BTD + first * x0_BTD
        x_BTD = x_BTD + self.attn_scale.to(dtype) * self.attn(self._norm(x_BTD), cos, sin)
        return x_BTD + self.mlp_scale.to(dtype) * self.mlp(self._norm(x_BTD))

    def _norm(self, x_BTD: Tensor) -> Tensor:
        normed_BTD = rms_norm(x_BTD)
        return normed_BTD if self.norm_scale == 1.0 else normed_BTD * self.norm_scale
