"""Choices by losses, orders of loops, moments of optimizers and fixed pieces of the stream, in many spellings."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from auditor.events import Score, Update, validation
from auditor.source.flow.analysis import Trace
from tests.auditor.source.flow.scripts import followed, submission_of

HEAD = """
import glob, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

class GPT(nn.Module):
    def forward(self, x, y):
        return F.cross_entropy(self.forward_logits(x), y)

val_tokens = torch.cat([torch.from_numpy(np.fromfile(file, dtype="<u2")) for file in glob.glob("data/fineweb_val_*.bin")])
base_bytes = torch.load("bytes.pt")
model, other = GPT(), GPT()
loss_sum, byte_count, weight = torch.zeros(()), torch.zeros(()), 0.5
"""
TAIL = """
print(f"final val_bpb:{loss_sum / byte_count}")
"""
LOOP = """
for start in range(0, val_tokens.numel() - 1, 64):
    x, y = val_tokens[start : start + 64], val_tokens[start + 1 : start + 65]
    a = F.cross_entropy(model.forward_logits(x), y, reduction="none")
    b = F.cross_entropy(other.forward_logits(x), y, reduction="none")
    byte_count += base_bytes[y].sum()
"""


def traced(tmp_path: Path, body: str) -> Trace:
    return followed(submission_of(tmp_path, HEAD + body + TAIL)).submitted


def in_loop(body: str) -> str:
    return LOOP + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n"


def chosen(trace: Trace) -> list[Score]:
    return [score for score in trace.scores() if score.hindsight]


CHOSEN = [
    "loss_sum += torch.minimum(a, b).sum()",
    "loss_sum += torch.where(a < b, a, b).sum()",
    "loss_sum += min(a.sum(), b.sum())",
    "loss_sum += torch.stack([a, b]).min(dim=0).values.sum()",
    "loss_sum += torch.stack([a, b]).amin(0).sum()",
    "loss_sum += a.sum() if a.sum() < b.sum() else b.sum()",
    "if a.mean() < b.mean():\n    loss_sum += a.sum()\nelse:\n    loss_sum += b.sum()",
    "take = (a > b).float()\nloss_sum += (take * b + (1 - take) * a).sum()",
    "best = min((a, b), key=lambda each: each.sum())\nloss_sum += best.sum()",
    "both = [a.sum().item(), b.sum().item()]\nloss_sum += both[int(np.argmin(both))]",
]
NOT_CHOSEN = [
    "loss_sum += a.sum()",
    "loss_sum += (0.5 * a + 0.5 * b).sum()",
    "loss_sum += torch.clamp(a, max=20.0).sum()",
    "loss_sum += a.sum()\nif a.mean() > 3.0:\n    rounds = 2",
    "loss_sum += a.sum()\nlowest = torch.minimum(a, b).sum()",
    "loss_sum += (weight * a + (1 - weight) * b).sum()\nweight = 1.0 if a.mean() < b.mean() else 0.0",
    "loss_sum += a.sum()\nbest = min(best, a.mean())",
]


@pytest.mark.parametrize("body", CHOSEN)
def test_a_choice_by_the_tokens_own_losses_is_remembered_by_their_score(tmp_path: Path, body: str):
    assert chosen(traced(tmp_path, in_loop(body)))


@pytest.mark.parametrize("body", NOT_CHOSEN)
def test_a_choice_for_later_tokens_or_for_the_log_is_none_in_hindsight(tmp_path: Path, body: str):
    trace = traced(tmp_path, "best = 99.0\n" + in_loop(body))
    assert trace.scores()
    assert not chosen(trace)


DISORDERED = [
    "reversed(starts)",
    "starts[::-1]",
    "sorted(starts, key=lambda start: -val_tokens[start])",
    "list(enumerate(sorted(starts, reverse=True)))",
    "[starts[i] for i in torch.randperm(len(starts)).tolist()]",
    "range(640, 0, -64)",
    "[*starts[0::2], *starts[1::2]]",
]
ORDERED = ["starts", "sorted(starts)", "list(enumerate(starts))", "starts[3::8]", "starts[:100]", "range(0, 640, 64)"]


def ordered(tmp_path: Path, iterated: str) -> bool:
    body = f"starts = list(range(0, val_tokens.numel(), 64))\nfor start in {iterated}:\n    x = val_tokens[start]\n"
    return not traced(tmp_path, body).orders


@pytest.mark.parametrize("iterated", DISORDERED)
def test_a_list_that_was_put_out_of_its_order_is_told(tmp_path: Path, iterated: str):
    assert not ordered(tmp_path, iterated)


@pytest.mark.parametrize("iterated", ORDERED)
def test_a_plain_sort_and_a_ranks_share_keep_the_order(tmp_path: Path, iterated: str):
    assert ordered(tmp_path, iterated)


@pytest.mark.parametrize(
    ("how", "is_told"), [("starts.reverse()", True), ("random.shuffle(starts)", True), ("starts.sort()", False)]
)
def test_an_order_made_in_place_is_told(tmp_path: Path, how: str, is_told: bool):
    body = f"starts = list(range(0, val_tokens.numel(), 64))\n{how}\nfor start in starts:\n    x = val_tokens[start]\n"
    assert bool(traced(tmp_path, body).orders) is is_told


WARM_UP = """
optimizer = torch.optim.{optimizer}
saved = {{name: value.clone() for name, value in model.state_dict().items()}}
model(val_tokens[:64], val_tokens[1:65]).backward()
optimizer.step()
model.load_state_dict(saved)
{after}
for start in range(0, val_tokens.numel() - 1, 64):
    x, y = val_tokens[start : start + 64], val_tokens[start + 1 : start + 65]
    loss_sum += F.cross_entropy(model.forward_logits(x), y, reduction="sum")
    byte_count += base_bytes[y].sum()
    model(x, y).backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("optimizer", "after", "are_kept"),
    [
        ("AdamW(model.parameters(), lr=0.1)", "", True),
        ("SGD(model.parameters(), lr=0.1, momentum=0.9)", "", True),
        ("SGD(model.parameters(), lr=0.1)", "", False),
        ("AdamW(model.parameters(), lr=0.1)", "optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)", False),
        ("AdamW(model.parameters(), lr=0.1)", "optimizer.state.clear()", False),
        ("AdamW(model.parameters(), lr=0.1)", "optimizer.load_state_dict(fresh)", False),
    ],
)
def test_moments_carry_a_warm_up_on_until_they_are_set_back(tmp_path: Path, optimizer: str, after: str, are_kept: bool):
    trace = traced(tmp_path, "fresh = {}\n" + WARM_UP.format(optimizer=optimizer, after=after))
    warm_up = next(event for event in trace.events if isinstance(event, Update))
    assert all(region.is_piece for region in validation(warm_up.tokens))
    assert any(meeting.update == warm_up.number for meeting in trace.meetings) is are_kept
