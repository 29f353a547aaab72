"""Which steps the source of small scripts is drawn as, and the sentence that says what one sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.source.timeline import draw
from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree
from auditor.timeline import Action, Timeline

HEAD = """
import glob
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

class GPT(nn.Module):
    def forward(self, x, y):
        return F.cross_entropy(self.forward_logits(x), y)

def load(pattern):
    return torch.cat([torch.from_numpy(np.fromfile(file, dtype="<u2")) for file in sorted(glob.glob(pattern))])

val_tokens = load("data/fineweb_val_*.bin")
train_tokens = load("data/fineweb_train_*.bin")
model = GPT()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def evaluate():
    loss_sum = torch.zeros(())
    for start in range(0, val_tokens.numel() - 1, 64):
        chunk = val_tokens[start : start + 65]
        loss_sum += F.cross_entropy(model.forward_logits(chunk[:-1]), chunk[1:], reduction="sum")
    return loss_sum

def train(tokens, epochs=1):
    for epoch in range(epochs):
        for start in range(0, tokens.numel() - 1, 64):
            chunk = tokens[start : start + 65]
            model(chunk[:-1], chunk[1:]).backward()
            optimizer.step()
"""
CHUNKS = """
loss_sum = torch.zeros(())
for start in range(0, val_tokens.numel() - 1, 64):
    chunk = val_tokens[start : start + 65]
    x, y = chunk[:-1], chunk[1:]
    {first}
    {second}
print(f"final val_bpb:{{loss_sum:.4f}}")
"""
SCORE = "loss_sum += F.cross_entropy(model.forward_logits(x), y, reduction='sum').detach()"
STEP = "model(x, y).backward(); optimizer.step()"
LOG = "step:1 train_loss:3.0\nother val_bpb:1.3\nfinal val_bpb:1.2\n"


def timeline_of(folder: Path, body: str) -> Timeline:
    (folder / "train_gpt.py").write_text(HEAD + body)
    (folder / "train.log").write_text(LOG)
    (folder / "submission.json").write_text('{"val_bpb": 1.2}')
    submission = Submission("records/x", DirectoryTree(folder))
    assert submission.flow is not None
    drawn = draw(submission.flow.submitted, submission.headline)
    assert drawn is not None
    return drawn


def marks(timeline: Timeline) -> list[str]:
    """``score 0-48`` for every step, with ! for an offence and * for what reaches the submitted number."""
    return [
        f"{step.action} {step.spans[0][0]}-{step.spans[-1][1]}{'!' if step.offence else ''}{'*' if step.counted else ''}"
        for step in timeline.steps
    ]


def test_scoring_alone_is_one_step_over_the_whole_stream(tmp_path: Path):
    drawn = timeline_of(tmp_path, "train(train_tokens)\nprint(f'final val_bpb:{evaluate():.4f}')\n")

    assert marks(drawn) == ["score 0-48*"]
    assert drawn.reading == (
        "Validation tokens are scored; no step drawn here trains on them. The submitted number is made of these scores."
    )


def test_training_on_everything_before_scoring_it_is_an_offence(tmp_path: Path):
    drawn = timeline_of(tmp_path, "train(val_tokens, epochs=3)\nprint(f'final val_bpb:{evaluate():.4f}')\n")

    assert marks(drawn) == ["train 0-48", "score 0-48!*"]
    assert drawn.reading == (
        "Every score is computed with a state that the same tokens had trained before. "
        "The submitted number is made of such scores."
    )


def test_an_offence_beside_the_submitted_number_is_told_apart_from_it(tmp_path: Path):
    body = "print(f'final val_bpb:{evaluate():.4f}')\ntrain(val_tokens)\nprint(f'other val_bpb:{evaluate():.4f}')\n"
    drawn = timeline_of(tmp_path, body)

    assert marks(drawn) == ["score 0-48*", "train 0-48", "score 0-48!"]
    assert drawn.reading.endswith("The submitted number is made of the other scores.")
    assert "printed as other" in drawn.steps[-1].text


def test_chunks_that_are_scored_first_make_a_staircase(tmp_path: Path):
    drawn = timeline_of(tmp_path, CHUNKS.format(first=SCORE, second=STEP))

    bounds = ["0-8", "8-16", "16-24", "24-32", "32-40", "40-48"]
    assert marks(drawn) == [mark for chunk in bounds for mark in (f"score {chunk}*", f"train {chunk}")]
    assert drawn.reading.startswith("Score first:")


def test_chunks_that_are_trained_on_first_are_offences_at_every_step(tmp_path: Path):
    drawn = timeline_of(tmp_path, CHUNKS.format(first=STEP, second=SCORE))

    assert marks(drawn)[:4] == ["train 0-8", "score 0-8!*", "train 8-16", "score 8-16!*"]
    assert drawn.reading.startswith("Every score is computed with a state")


def test_a_state_that_is_put_back_is_a_step(tmp_path: Path):
    body = (
        "saved = {k: v.clone() for k, v in model.state_dict().items()}\n"
        "train(val_tokens)\nmodel.load_state_dict(saved)\nprint(f'final val_bpb:{evaluate():.4f}')\n"
    )
    drawn = timeline_of(tmp_path, body)

    assert marks(drawn) == ["train 0-48", "restore 0-48", "score 0-48*"]
    assert drawn.reading.startswith("Tokens are trained on before they are scored, by states that carry nothing of it.")


def test_validation_within_training_is_left_out(tmp_path: Path):
    body = (
        "for step in range(10):\n    train(train_tokens)\n    print(f'other val_bpb:{evaluate():.4f}')\n"
        "print(f'final val_bpb:{evaluate():.4f}')\n"
    )
    assert marks(timeline_of(tmp_path, body)) == ["score 0-48*"]


def test_where_no_print_of_the_submitted_number_is_found_every_score_is_drawn(tmp_path: Path):
    body = "print(f'one val_bpb:{evaluate():.4f}')\nprint(f'two val_bpb:{evaluate():.4f}')\n"
    drawn = timeline_of(tmp_path, body)

    assert not any(step.counted for step in drawn.steps)
    assert "No print of the submitted number was found." in drawn.caption
    assert "None of these scores is known to be the submitted number." in drawn.reading


def test_windows_of_a_long_pass_are_told_apart(tmp_path: Path):
    body = """
loss_sum = torch.zeros(())
for start in range(0, val_tokens.numel() - 1, 64):
    chunk = val_tokens[start : start + 1025]
    x, y = chunk[:-1], chunk[1:]
    losses = F.cross_entropy(model.forward_logits(x), y, reduction="none")
    begin = 0 if start == 0 else 960
    loss_sum += losses[begin:1024].sum()
print(f"final val_bpb:{loss_sum:.4f}")
"""
    (step,) = timeline_of(tmp_path, body).steps
    assert len(step.spans) == 24
    assert all(low < high for low, high in step.spans)


@pytest.mark.parametrize("body", ["print('nothing')\n", "train(val_tokens)\n"])
def test_there_is_no_picture_where_no_score_is_printed(tmp_path: Path, body: str):
    (tmp_path / "train_gpt.py").write_text(HEAD + body)
    submission = Submission("records/x", DirectoryTree(tmp_path))
    assert submission.flow is not None
    assert draw(submission.flow.submitted, submission.headline) is None


def test_steps_name_their_place(tmp_path: Path):
    drawn = timeline_of(tmp_path, CHUNKS.format(first=SCORE, second=STEP))
    lines = (tmp_path / "train_gpt.py").read_text().splitlines()

    for step in drawn.steps:
        assert step.location is not None
        assert step.location.line is not None
        expected = "loss_sum +=" if step.action is Action.SCORE else "optimizer.step()"
        assert expected in lines[step.location.line - 1]


def test_chunks_within_documents_are_fewer_documents_of_a_few_chunks(tmp_path: Path):
    body = """
loss_sum = torch.zeros(())
for first in range(0, val_tokens.numel() - 1, 4096):
    document = val_tokens[first : first + 4097]
    for start in range(0, document.numel() - 1, 64):
        chunk = document[start : start + 65]
        x, y = chunk[:-1], chunk[1:]
        loss_sum += F.cross_entropy(model.forward_logits(x), y, reduction="sum").detach()
        model(x, y).backward()
        optimizer.step()
print(f"final val_bpb:{loss_sum:.4f}")
"""
    drawn = timeline_of(tmp_path, body)

    assert len(drawn.steps) == 3 * 4 * 2
    assert marks(drawn)[:4] == ["score 0-4*", "train 0-4", "score 4-8*", "train 4-8"]
