"""What the evaluator tells of small scripts: who scores what, with which state, before or after which update."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.events import Lookup, Report, Score, Update, UpdateKind, Write, validation
from auditor.source.flow.analysis import Flow, Trace
from auditor.source.story import tell
from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree
from tests.auditor.source.flow.scripts import followed, submission_of

HEAD = """
import copy, glob, os
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
base_bytes = torch.load("bytes.pt")
model = GPT()

def evaluate(model):
    loss_sum, byte_count = torch.zeros(()), torch.zeros(())
    for start in range(0, val_tokens.numel() - 1, 64):
        chunk = val_tokens[start : start + 65]
        x, y = chunk[:-1], chunk[1:]
        loss_sum += F.cross_entropy(model.forward_logits(x), y, reduction="sum")
        byte_count += base_bytes[y].sum()
    return loss_sum / byte_count

def train(model, tokens, epochs=1):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(epochs):
        for start in range(0, tokens.numel() - 1, 64):
            chunk = tokens[start : start + 65]
            optimizer.zero_grad()
            model(chunk[:-1], chunk[1:]).backward()
            optimizer.step()
"""


def flow_of(tmp_path: Path, body: str) -> Flow:
    return followed(submission_of(tmp_path, HEAD + body))


def trace_of(tmp_path: Path, body: str) -> Trace:
    return flow_of(tmp_path, body).submitted


def met(trace: Trace) -> list[tuple[Update, Score]]:
    pairs = [(trace.events[meeting.update], trace.events[meeting.score]) for meeting in trace.meetings]
    return [(u, s) for u, s in pairs if isinstance(u, Update) and isinstance(s, Score) and s.reported]


def test_a_printed_score_is_reported_and_reads_what_training_left(tmp_path: Path):
    trace = trace_of(tmp_path, "train(model, train_tokens)\nprint(f'final val_bpb:{evaluate(model):.4f}')\n")

    (score,) = trace.scores()
    (update,) = [event for event in trace.events if isinstance(event, Update)]
    assert score.influences == {update.number}
    assert not validation(update.tokens)
    assert not met(trace)


def test_a_score_that_is_not_printed_is_not_reported(tmp_path: Path):
    trace = trace_of(tmp_path, "evaluate(model)\nprint('done')\n")

    assert [event.reported for event in trace.events if isinstance(event, Score)] == [False]


def test_training_on_validation_before_scoring_meets_the_score(tmp_path: Path):
    trace = trace_of(tmp_path, "train(model, val_tokens)\nprint(f'final val_bpb:{evaluate(model):.4f}')\n")

    assert {update.kind for update, _ in met(trace)} == {UpdateKind.PARAMETERS}


@pytest.mark.parametrize(
    "body",
    [
        "saved = {k: v.clone() for k, v in model.state_dict().items()}\n"
        "train(model, val_tokens)\nmodel.load_state_dict(saved)\n",
        "train(copy.deepcopy(model), val_tokens)\n",
    ],
    ids=["restored", "on a copy"],
)
def test_training_that_does_not_reach_the_scored_state_meets_nothing(tmp_path: Path, body: str):
    trace = trace_of(tmp_path, body + "print(f'final val_bpb:{evaluate(model):.4f}')\n")

    assert not met(trace)


def test_an_alias_of_the_state_restores_nothing(tmp_path: Path):
    body = "saved = model.state_dict()\ntrain(model, val_tokens)\nmodel.load_state_dict(saved)\n"
    trace = trace_of(tmp_path, body + "print(f'final val_bpb:{evaluate(model):.4f}')\n")

    assert met(trace)


LOOP = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_sum, byte_count = torch.zeros(()), torch.zeros(())
for start in range(0, val_tokens.numel() - 1, 64):
    chunk = val_tokens[start : start + 65]
    x, y = chunk[:-1], chunk[1:]
    {first}
    {second}
    byte_count += base_bytes[y].sum()
print(f"final val_bpb:{{loss_sum / byte_count:.4f}}")
"""
SCORE = "loss_sum += F.cross_entropy(model.forward_logits(x), y, reduction='sum').detach()"
STEP = "model(x, y).backward(); optimizer.step()"


def test_a_chunk_that_is_scored_first_does_not_meet_its_own_update(tmp_path: Path):
    trace = trace_of(tmp_path, LOOP.format(first=SCORE, second=STEP))

    updates = [event for event in trace.events if isinstance(event, Update)]
    assert all(update.scored_by for update in updates)
    assert not met(trace)


def test_a_chunk_that_is_trained_on_first_does(tmp_path: Path):
    trace = trace_of(tmp_path, LOOP.format(first=STEP, second=SCORE))

    assert met(trace)


def test_a_later_epoch_over_the_same_chunks_meets_the_first(tmp_path: Path):
    inner = LOOP.format(first=SCORE, second=STEP).strip().splitlines()
    body = "\n".join([*inner[:2], "for epoch in range(3):", *(f"    {line}" for line in inner[2:-1]), inner[-1]])

    assert met(trace_of(tmp_path, body))


def test_what_a_switch_keeps_off_is_seen_only_in_the_possible_run(tmp_path: Path):
    body = (
        "if int(os.environ.get('TTT_ENABLED', '0')):\n    train(model, val_tokens)\n"
        "print(f'final val_bpb:{evaluate(model):.4f}')\n"
    )
    flow = flow_of(tmp_path, body)

    assert not met(flow.submitted)
    assert met(flow.possible)
    assert any("TTT_ENABLED" in arm.switches for arm in flow.submitted.dead)


def test_written_weights_remember_statistics_of_validation_tokens(tmp_path: Path):
    body = (
        "seen = {}\n"
        "def hook(module, inputs, output):\n    seen['h'] = inputs[0].T @ inputs[0]\n"
        "model.register_forward_hook(hook)\nmodel(val_tokens[:-1], val_tokens[1:])\n"
        "torch.save({k: v * seen['h'] for k, v in model.state_dict().items()}, 'final.ptz')\n"
    )
    trace = trace_of(tmp_path, body)

    (write,) = [event for event in trace.events if isinstance(event, Write)]
    assert validation(write.tokens)


def test_a_lookup_tells_whether_its_key_holds_the_target(tmp_path: Path):
    lookups = "full = torch.zeros(4096); context = torch.zeros(4096)\n" + LOOP.format(
        first="p = full[(x * 7 ^ y * 5) % 4096] / context[(x * 7) % 4096].clamp(min=1)\n"
        "    q = F.softmax(model.forward_logits(x), -1).gather(-1, y[:, None])\n"
        "    loss_sum += -torch.log(0.9 * q + 0.1 * p).sum()",
        second="full.scatter_add_(0, (x * 7 ^ y * 5) % 4096, torch.ones_like(y))\n"
        "    context.scatter_add_(0, (x * 7) % 4096, torch.ones_like(x))",
    )
    trace = trace_of(tmp_path, lookups)

    found = {event.by_target for event in trace.events if isinstance(event, Lookup)}
    assert found == {True, False}
    assert any(score.lookups for score in trace.scores())


def test_the_story_names_order_and_lines(tmp_path: Path):
    flow = flow_of(tmp_path, LOOP.format(first=SCORE, second=STEP))
    story = tell(flow)

    (line,) = {event.location.line for event in flow.submitted.scores()}
    assert f"train_gpt.py:{line} <module>: scores validation tokens" in story
    assert f"scored before at line {line}" in story
    (report,) = [event for event in flow.submitted.events if isinstance(event, Report)]
    assert report.label.startswith("final val_bpb")


def test_a_quantiser_that_saw_validation_tokens_does_not_make_a_scored_chunk_unscored(tmp_path: Path):
    body = """
model.scale.data = model.forward_logits(val_tokens).abs().max()
loss_sum = torch.zeros(())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for start in range(0, val_tokens.numel() - 1, 64):
    chunk = val_tokens[start : start + 65]
    x, y = chunk[:-1], chunk[1:]
    loss_sum += F.cross_entropy(model.forward_logits(x), y, reduction="sum")
    model(x, y).backward()
    optimizer.step()
print(f"final val_bpb:{loss_sum:.4f}")
"""
    trace = trace_of(tmp_path, body)

    assert not [update for update, _ in met(trace) if update.how == "SGD"]


def test_losses_that_are_put_into_a_file_are_scored_when_they_come_back_from_compiled_code(tmp_path: Path):
    body = """
import ctypes
library = ctypes.CDLL("./mix.so")
losses = np.zeros(1000)
for start in range(0, val_tokens.numel() - 1, 64):
    chunk = val_tokens[start : start + 65]
    losses[start : start + 64] = F.cross_entropy(model.forward_logits(chunk[:-1]), chunk[1:], reduction="none")
with open("rank0.bin.tmp", "wb") as file:
    losses.tofile(file)
os.replace("rank0.bin.tmp", "rank0.bin")
for path in glob.glob("*"):
    read = np.fromfile(f"rank{path}.bin")
out = np.zeros(4)
library.mix(read.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p))
print(f"final val_bpb:{out[0]:.4f}")
"""
    trace = trace_of(tmp_path, body)

    assert [score.native for score in trace.scores()] == [False, True]


def test_bytes_of_a_flat_array_that_a_token_opens_follow_each_other_within_the_token(tmp_path: Path):
    body = """
total = 0.0
counts = {}
for i in range(1, len(val_tokens)):
    token = val_tokens[i]
    begin, end = byte_offsets[token], byte_offsets[token + 1]
    loss = F.cross_entropy(model.forward_logits(val_tokens[:i]), token)
    for j in range(end - begin):
        byte = flat_bytes[begin + j]
        loss += counts.get(byte, 1.0)
        counts[byte] = counts.get(byte, 1.0) + 1
    total += loss
print(f"final val_bpb:{total:.4f}")
"""
    head = "byte_offsets, flat_bytes = np.load('offsets.npy'), np.load('flat.npy')\n"
    trace = trace_of(tmp_path, head + body)

    assert not met(trace)


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        ("x * 36313 % 512, y", False),  # the context finds the row, the target its own entry
        ("(x * 36313 % 512) * 1024 + y", False),  # the same in one flat array
        ("(x * 36313 + y) % 512", True),
        ("(x * 36313) ^ (y * 27191)", True),
    ],
)
def test_a_key_is_hashed_if_its_target_is(key: str, hashed: bool, tmp_path: Path):
    body = f"""
counts, loss_sum = torch.zeros(512, 1024), torch.zeros(())
for start in range(0, val_tokens.numel() - 1, 64):
    chunk = val_tokens[start : start + 65]
    x, y = chunk[:-1], chunk[1:]
    loss_sum += F.cross_entropy(model.forward_logits(x), y) - counts[{key}].log().sum()
    counts[{key}] += 1
print(f"final val_bpb:{{loss_sum:.4f}}")
"""
    lookups = [event for event in trace_of(tmp_path, body).events if isinstance(event, Lookup)]

    assert {(lookup.by_target, lookup.hashed) for lookup in lookups} == {(True, hashed)}


def test_what_only_the_last_epoch_counts_was_trained_on_before(tmp_path: Path):
    body = """
loss_sum, optimizer = torch.zeros(()), torch.optim.SGD(model.parameters(), lr=0.1)
for start in range(0, val_tokens.numel() - 1, 64):
    chunk = val_tokens[start : start + 65]
    for epoch in range(3):
        loss = model(chunk[:-1], chunk[1:])
        if epoch == 3 - 1:
            loss_sum += loss.detach()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(f"final val_bpb:{loss_sum:.4f}")
"""
    found = met(trace_of(tmp_path, body))

    assert found
    assert not [update for update, _ in found if update.scored_by]


def test_what_a_pool_runs_is_followed(tmp_path: Path):
    body = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    promise = pool.submit(evaluate, model)
print(f"final val_bpb:{promise.result():.4f}")
"""
    assert trace_of(tmp_path, body).scores()


def test_a_story_stands_under_the_first_lines_of_its_loops(tmp_path: Path):
    body = """
loss_sum = torch.zeros(())
for start in range(0, val_tokens.numel() - 1, 64):
    x, y = val_tokens[start : start + 64], val_tokens[start + 1 : start + 65]
    loss_sum += F.cross_entropy(model.forward_logits(x), y)
    for epoch in range(3):
        loss_sum += 0
print(f"final val_bpb:{loss_sum:.4f}")
"""
    lines = [line for line in tell(flow_of(tmp_path, body)).splitlines() if "reads" not in line]

    assert [line.split(": ", 1)[1] for line in lines[1:]] == [
        "for start in range(0, val_tokens.numel() - 1, 64):",
        "scores validation tokens with GPT",
        "prints final val_bpb:..",
    ]
    assert [len(line) - len(line.lstrip()) for line in lines[1:]] == [2, 4, 2]


def test_a_story_says_what_a_table_had_to_do_with_a_score(tmp_path: Path):
    body = """
counts = torch.zeros(64)
loss_sum = 0.0
for start in range(0, val_tokens.numel() - 1, 64):
    x, y = val_tokens[start : start + 64], val_tokens[start + 1 : start + 65]
    p = model.forward_logits(x).softmax(-1).gather(-1, y[:, None]) + counts[x]
    loss_sum -= p.log().sum()
    counts[y] += 1
print(f"final val_bpb:{loss_sum:.4f}")
"""
    told = [line.split(": ", 1)[1] for line in tell(flow_of(tmp_path, body)).splitlines() if "scores validation" in line]

    assert told == [
        "scores validation tokens with GPT",
        "in later turns: scores validation tokens with GPT and what table counts said",
    ]


def test_a_story_says_a_later_turn_once(tmp_path: Path):
    body = """
model.requires_grad_(True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(3):
    loss_sum = 0.0
    for start in range(0, val_tokens.numel() - 1, 64):
        x, y = val_tokens[start : start + 64], val_tokens[start + 1 : start + 65]
        loss = F.cross_entropy(model.forward_logits(x), y)
        loss.backward()
        optimizer.step()
        loss_sum += loss
print(f"final val_bpb:{loss_sum:.4f}")
"""
    lines = tell(flow_of(tmp_path, body)).splitlines()

    assert any("in later turns" in line for line in lines)
    assert len(lines) == len(set(lines))


def test_a_story_says_that_no_printed_score_reads_a_warm_up(tmp_path: Path):
    body = """
spare = GPT()
train(spare, val_tokens)
print(f"final val_bpb:{evaluate(model):.4f}")
"""
    assert "not scored before; no printed score reads the result" in tell(flow_of(tmp_path, body))


TRAIN_TOKENS = 'train_tokens = load("data/fineweb_train_*.bin")\n'


def _with_a_second_script(folder: Path, more: str) -> Submission:
    """A submission whose number a second script prints; `more` is what that script does before."""
    (folder / "train_gpt.py").write_text(
        HEAD + "print(f'final val_loss:{evaluate(model):.1f} val_bpb:{evaluate(model):.8f}')\n"
    )
    (folder / "eval_adapted.py").write_text(
        HEAD.replace(TRAIN_TOKENS, "")
        + more
        + "print(f'adapted score val_loss:{evaluate(model):.1f} val_bpb:{evaluate(model):.8f}')\n"
    )
    (folder / "train.log").write_text("final val_loss:2.0 val_bpb:1.20000001\n")
    (folder / "adapted.log").write_text("adapted score val_loss:1.9 val_bpb:1.10000001\n")
    (folder / "submission.json").write_text('{"name": "x", "val_bpb": 1.10000001}\n')
    return Submission("records/x", DirectoryTree(folder))


def test_a_separate_script_that_prints_the_submitted_number_is_followed_after_the_entry_point(tmp_path: Path):
    submission = _with_a_second_script(tmp_path, "train(model, val_tokens)\n")

    assert submission.evaluator is not None
    assert submission.evaluator.path == "eval_adapted.py"
    assert submission.flow is not None
    assert {score.location.path for _, score in met(submission.flow.submitted)} == {"eval_adapted.py"}


def test_what_a_branch_does_that_ends_the_turn_comes_before_nothing_in_it(tmp_path: Path):
    body = """
counts, loss_sum = {2: np.zeros(1024), 3: np.zeros(1024)}, 0.0
windows = load_windows()
for start in range(0, val_tokens.numel() - 1, 64):
    chunk = val_tokens[start : start + 65]
    x, y = chunk[:-1], chunk[1:]
    if not windows[start]:
        for order in range(2, load_order()):
            counts[order] += np.bincount(y, minlength=1024)
        continue
    loss_sum += F.cross_entropy(model.forward_logits(x), y) - np.log(counts[2][y]).sum()
    for order in range(2, load_order()):
        counts[order] += np.bincount(y, minlength=1024)
print(f"final val_bpb:{loss_sum:.4f}")
"""
    trace = trace_of(tmp_path, body)

    assert [event for event in trace.events if isinstance(event, Update) and event.kind is UpdateKind.TABLE]
    assert not met(trace)


def test_adapters_in_a_patched_forward_pass_are_stepped_with_the_tokens_of_the_loss(tmp_path: Path):
    body = """
adapter = nn.Parameter(torch.zeros(8, 8))
model.block.forward = lambda x: x @ adapter
optimizer = torch.optim.AdamW([adapter], lr=0.1)
for start in range(0, val_tokens.numel() - 1, 64):
    chunk = val_tokens[start : start + 65]
    model(chunk[:-1], chunk[1:]).backward()
    optimizer.step()
print(f"final val_bpb:{evaluate(model):.4f}")
"""
    assert {update.kind for update, _ in met(trace_of(tmp_path, body))} == {UpdateKind.PARAMETERS}


def test_the_realised_entry_of_a_row_of_predictions_is_its_loss(tmp_path: Path):
    body = """
loss_sum = 0.0
for start in range(0, val_tokens.numel() - 1, 64):
    chunk = val_tokens[start : start + 65]
    x, y = chunk[:-1], chunk[1:]
    log_probs = F.log_softmax(model.forward_logits(x), dim=-1)
    loss_sum -= log_probs[torch.arange(64), y].sum().item()
print(f"final val_bpb:{loss_sum:.4f}")
"""
    assert trace_of(tmp_path, body).scores()


def test_a_share_that_a_table_gives_the_realised_token_is_a_test_of_it(tmp_path: Path):
    body = """
counts, loss_sum = np.zeros(1024), 0.0
for position in range(1, len(val_tokens)):
    token = int(val_tokens[position : position + 2][1:])
    p = torch.exp(-F.cross_entropy(model.forward_logits(val_tokens[:position]), token))
    share = counts[token] / counts.sum()
    if share > 0.0:
        p = 0.5 * p + 0.5 * share
    loss_sum -= p.log()
    counts[token] += 1
print(f"final val_bpb:{loss_sum:.4f}")
"""
    trace = trace_of(tmp_path, body)

    assert any(score.gates for score in trace.scores())


def test_a_script_that_trains_by_itself_is_not_followed_after_the_entry_point(tmp_path: Path):
    submission = _with_a_second_script(tmp_path, TRAIN_TOKENS + "train(model, train_tokens)\n")

    assert submission.evaluator is None
