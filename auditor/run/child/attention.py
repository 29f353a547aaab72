"""FlashAttention 2 and 3 by `scaled_dot_product_attention`, under the names that scripts import.

Shapes as there: queries, keys and values are (batch, time, heads, width), or (total, heads, width) for variable lengths;
fewer key heads than query heads are shared. Causal masks and windows are aligned at the end, as FlashAttention does.
Not covered: dropout, soft caps, ALiBi, paged caches; asking for one is an error.
"""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec

import torch
import torch.nn.functional as F


def attend(q, k, v, causal=False, softmax_scale=None, window_size=(-1, -1), softcap=0.0, dropout_p=0.0, **options):
    """Attention of (batch, time, heads, width) tensors."""
    if softcap or dropout_p or options.get("alibi_slopes") is not None or options.get("qv") is not None:
        raise NotImplementedError("this attention stands in without soft cap, dropout, ALiBi and qv")
    shared = q.shape[2] // k.shape[2]
    q_, k_, v_ = (each.transpose(1, 2) for each in (q, k, v))
    if shared > 1:
        k_, v_ = k_.repeat_interleave(shared, 1), v_.repeat_interleave(shared, 1)
    k_, v_ = k_.to(q_.dtype), v_.to(q_.dtype)
    num_queries, num_keys = q_.shape[2], k_.shape[2]
    left, right = window_size if isinstance(window_size, tuple | list) else (window_size, 0)
    if causal and num_queries == num_keys and (left < 0 or left >= num_keys):
        out = F.scaled_dot_product_attention(q_, k_, v_, is_causal=True, scale=softmax_scale)
    else:
        mask = _mask(num_queries, num_keys, left, 0 if causal else right, q.device)
        out = F.scaled_dot_product_attention(q_, k_, v_, attn_mask=mask, scale=softmax_scale)
    return out.transpose(1, 2).contiguous()


def _mask(num_queries, num_keys, left, right, device):
    if left < 0 and right < 0:
        return None
    ahead = torch.arange(num_keys, device=device)[None] - torch.arange(num_queries, device=device)[:, None]
    ahead = ahead - (num_keys - num_queries)
    allowed = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device)
    if left >= 0:
        allowed &= ahead >= -left
    if right >= 0:
        allowed &= ahead <= right
    return allowed


def attend_varlen(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q=None, max_seqlen_k=None, *unnamed, **options):
    """Attention of (total, heads, width) tensors within the sequences that the cumulative lengths mark."""
    if unnamed:
        raise NotImplementedError("options of variable-length attention are taken by name only")
    queries, keys = cu_seqlens_q.tolist(), cu_seqlens_k.tolist()
    parts = []
    for index in range(len(queries) - 1):
        own = slice(queries[index], min(queries[index + 1], q.shape[0]))
        other = slice(keys[index], min(keys[index + 1], k.shape[0]))
        if own.start < own.stop:
            parts.append(attend(q[own][None], k[other][None], v[other][None], **options)[0])
    missing = q.shape[0] - sum(part.shape[0] for part in parts)
    if missing:
        parts.append(q.new_zeros(missing, q.shape[1], v.shape[2]))
    return torch.cat(parts)


def attend_packed(qkv, **options):
    """Attention of a (batch, time, 3, heads, width) tensor."""
    return attend(*qkv.unbind(2), **options)


def install() -> None:
    """Offer the stand-ins under the modules' names."""
    names = {
        "flash_attn_func": attend,
        "flash_attn_varlen_func": attend_varlen,
        "flash_attn_qkvpacked_func": attend_packed,
        "flash_attn_3_func": attend,
    }
    whole = _module("flash_attn", names)
    whole.__version__ = "2.8.3"
    whole.__path__ = []
    whole.flash_attn_interface = _module("flash_attn.flash_attn_interface", names)
    _module("flash_attn_interface", names)
    _module("flash_attn_3_interface", names)


def _module(name, names):
    module = types.ModuleType(name)
    module.__dict__.update(names)
    module.__spec__ = ModuleSpec(name, None)
    sys.modules[name] = module
    return module
