"""A look-back of one token is found in every spelling, told from hashes of tokens, and its mask recognised."""

import ast
import textwrap

import pytest

from auditor.source.lookback import LookBack, find_look_backs
from auditor.source.scopes import Scopes
from auditor.submission.script import Module


def look_backs(body: str) -> tuple[LookBack, ...]:
    source = "def forward(self, x, ids):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n"
    module = Module(path="train_gpt.py", source_path="train_gpt.py", source=source, tree=ast.parse(source))
    return find_look_backs(Scopes((module,)))


UNMASKED = [
    "return torch.cat([x[:, :1], x[:, 1:] + g * x[:, :-1]], dim=1)",
    "before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)\nreturn (1 - g) * x + g * before",
    "before = F.pad(x[:, :-1, :], (0, 0, 1, 0))\nreturn torch.lerp(x, before, g)",
    "return x + g * (F.pad(x[:, :-1], (0, 0, 1, 0)) - x)",
    "return x + g * torch.roll(x, 1, dims=1)",
    "x[:, 1:] += g * x[:, :-1]\nreturn x",
    "change = x - F.pad(x[..., :-1, :], (0, 0, 1, 0))\nreturn x + g * change",
    "before = torch.zeros_like(x)\nbefore[:, 1:] = x[:, :-1]\nreturn x * (1 - g) + before * g",
]
MASKED = [
    "keep = (ids[:, 1:] != BOS_ID).unsqueeze(-1)\nreturn torch.cat([x[:, :1], x[:, 1:] + g * x[:, :-1] * keep], dim=1)",
    "g = g * (ids != 1)[..., None]\nbefore = F.pad(x[:, :-1], (0, 0, 1, 0))\nreturn x + g * before",
    "before = F.pad(x[:, :-1], (0, 0, 1, 0)).masked_fill(ids == self.bos_id, 0)\nreturn (1 - g) * x + g * before",
    "before = F.pad(x[:, :-1], (0, 0, 1, 0))\nbefore[ids == BOS_ID] = 0\nreturn x + g * before",
]
NONE = [
    "before = F.pad(ids[:, :-1], (1, 0))\nreturn self.table((before * 2039 + ids) % 16384)",
    "return torch.cat([ids[:, :1] * 0, (ids[:, 1:] * 31) ^ (ids[:, :-1] * 17)], dim=1) % 4096",
    "return F.cross_entropy(x[:, :-1].flatten(0, 1), ids[:, 1:].flatten())",
    "return ((x[:, 1:] - x[:, :-1]) ** 2).mean()",
    "return self.attend(x) + x",
]


@pytest.mark.parametrize("body", UNMASKED)
def test_a_look_back_without_a_mask_is_found(body: str):
    assert [found.is_masked for found in look_backs(body)] == [False]


@pytest.mark.parametrize("body", MASKED)
def test_a_mask_at_document_starts_is_recognised(body: str):
    assert [found.is_masked for found in look_backs(body)] == [True]


@pytest.mark.parametrize("body", NONE)
def test_hashes_of_tokens_shifted_losses_and_differences_are_no_look_backs(body: str):
    assert not look_backs(body)
