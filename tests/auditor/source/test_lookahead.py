"""Mixing along the sequence is found in every spelling, and told from mixing over heads, columns and earlier positions."""

import ast
import textwrap

import pytest

from auditor.source.lookahead import Mixing, find_mixing
from auditor.source.scopes import Scope, Scopes
from auditor.submission.script import Module

ATTENTION = """
B, T, C = x.shape
q, k, v = self.qkv(x).view(B, T, 3, C).unbind(2)
q, k, v = (q.view(B, T, self.heads, -1).transpose(1, 2), k, v)
"""


def mixings(body: str, head: str = "def forward(self, x, ids):") -> tuple[Mixing, ...]:
    source = f"{head}\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n"
    module = Module(path="train_gpt.py", source_path="train_gpt.py", source=source, tree=ast.parse(source))
    return find_mixing(Scopes((module,)), written_out)


def written_out(node: ast.expr, scope: Scope) -> bool | None:
    return bool(node.value) if isinstance(node, ast.Constant) else None


def directions(body: str) -> set[bool | None]:
    return {mixing.sees_later for mixing in mixings(body)}


SEES_LATER = [
    "h = self.emb(ids)\nreturn F.scaled_dot_product_attention(h, h, h)",
    ATTENTION + "return F.scaled_dot_product_attention(q, k, v, is_causal=False)",
    "B, T, C = x.shape\nq = self.q(x).view(B, T, self.heads, self.dim)\nreturn flash_attn_func(q, q, q)",
    "h = self.emb(ids)\nreturn h + torch.roll(h, -1, dims=1)",
    "h = self.emb(ids)\nreturn h + torch.roll(h, shifts=-2, dims=-2)",
    "h = self.emb(ids)\nreturn h + h.mean(dim=1, keepdim=True)",
    "h = self.emb(ids)\nreturn h - torch.amax(h, 1, keepdim=True)",
    "B, T, C = x.shape\nreturn x * x.softmax(dim=1)",
    "bsz, seqlen, dim = x.size()\nreturn x.flip(1).cumsum(1).flip(1)",
    "h = self.emb(ids)\nreturn torch.cat([h[:, 1:], h[:, -1:]], dim=1)",
    "h = self.emb(ids)\nreturn torch.cat([h[:, :-1] + 0.1 * h[:, 1:], h[:, -1:]], dim=1)",
    "h = self.emb(ids)\nreturn h + F.pad(h[:, 1:], (0, 0, 0, 1))",
    "h = self.emb(ids)\nh[:, :-1] += 0.1 * h[:, 1:]\nreturn h",
    "h = self.emb(ids)\nreturn F.conv1d(h.transpose(1, 2), self.w, padding='same')",
    "h = self.emb(ids)\nself.mix = nn.LSTM(8, 8, bidirectional=True)\nreturn h",
]
SEES_NONE = [
    ATTENTION + "return F.scaled_dot_product_attention(q, k, v, is_causal=True)",
    "return flash_attn_3_func(x, x, x, causal=True)",
    "B, T, H, D = x.shape\nreturn F.scaled_dot_product_attention(x, x, x)",
    "h = self.emb(ids)\nreturn h + torch.roll(h, 1, dims=1)",
    "h = self.emb(ids)\nreturn h + torch.roll(h, -1, dims=2)",
    "return torch.roll(ids, -1, dims=1)",
    "h = self.emb(ids)\nreturn h / h.norm(dim=-1, keepdim=True)",
    "h = self.emb(ids)\nreturn h + h.cumsum(dim=1)",
    "h = self.emb(ids)\nreturn torch.cat([h[:, :1], h[:, 1:] + 0.1 * h[:, :-1]], dim=1)",
    "h = self.emb(ids)\nreturn h + F.pad(h[:, :-1], (0, 0, 1, 0))",
    "h = self.emb(ids)\nh[:, 1:] += 0.1 * h[:, :-1]\nreturn h",
    "h = self.emb(ids)\nreturn F.cross_entropy(h[:, :-1].flatten(0, 1), ids[:, 1:].flatten())",
    "h = self.emb(ids)\nmixed = F.conv1d(h.transpose(1, 2), self.w, padding=3)\nreturn mixed[..., :8]",
    "return self.weight / self.weight.abs().amax(dim=1, keepdim=True)",
    "B, T, H, D = x.shape\nreturn x - x.mean(dim=2, keepdim=True)",
    "h = self.emb(ids)\nif self.training:\n    h = h + h.mean(dim=1, keepdim=True)\nreturn h",
    "h = self.emb(ids)\nself.log(h.mean(dim=1))\nreturn h",
]
NOT_TOLD = [
    "return F.scaled_dot_product_attention(x, x, x, attn_mask=self.mask)",
    "return F.scaled_dot_product_attention(x, x, x, is_causal=self.causal)",
    "return F.scaled_dot_product_attention(x, x, x)",
    "B, T, C = x.shape\nk = self.kv(memory)\nreturn F.scaled_dot_product_attention(x, k, k)",
    "return flex_attention(x, x, x, block_mask=self.mask)",
    "return x + x.mean(dim=1, keepdim=True)",
    "h = self.emb(ids)\nreturn h.unflatten(1, (-1, 4)).mean(2)",
    "B, T, C = x.shape\nreturn x.view(B, T // 4, 4, C).mean(2)",
]


@pytest.mark.parametrize("body", SEES_LATER)
def test_what_moves_later_positions_to_earlier_ones_is_found(body: str):
    assert any(mixing.sees_later for mixing in mixings(body))


@pytest.mark.parametrize("body", SEES_NONE)
def test_what_looks_back_or_along_another_axis_is_in_order(body: str):
    assert directions(body) <= {False}


@pytest.mark.parametrize("body", NOT_TOLD)
def test_a_mask_or_a_layout_that_is_not_known_leaves_it_open(body: str):
    assert directions(body) == {None}


def test_the_place_is_where_the_positions_are_put_together():
    (mixing,) = mixings("h = self.emb(ids)\nsummary = h.mean(dim=1, keepdim=True)\nreturn h + summary")
    assert (mixing.location.line, mixing.location.snippet) == (3, "summary = h.mean(dim=1, keepdim=True)")
