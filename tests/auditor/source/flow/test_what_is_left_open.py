"""What the evaluator follows that it once lost, beside what it must not take for it; and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.events import Read, Report, Role, Update, Write, roles_of
from auditor.finding import Unestablished
from auditor.rule import Ruleset, RulesetName
from auditor.source.flow.analysis import Trace
from auditor.source.reach import prints
from auditor.submission.submission import Submission
from rules.access.training_data_at_evaluation import TrainingDataAtEvaluation
from rules.access.validation_in_training import ValidationInTraining
from rules.limits import RULES_AS_OF
from tests.auditor.source.flow.scripts import followed, submission_of

HEAD = """
import glob, importlib.util, math, os, runpy, subprocess, sys, zipfile
from functools import cached_property
import numpy as np
import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F

class GPT(nn.Module):
    def forward(self, x, y=None):
        logits = self.head(x)
        return logits if y is None else F.cross_entropy(logits, y)

class Masked(nn.Module):
    def forward(self, ids):
        inputs, targets = ids[:, :-1], ids[:, 1:]
        return F.cross_entropy(self.head(inputs), targets)

def load(pattern):
    return torch.cat([torch.from_numpy(np.fromfile(file, dtype="<u2")) for file in sorted(glob.glob(pattern))])

base_bytes = torch.load("bytes.pt")
model = GPT()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def evaluate(loss_of, tokens):
    loss_sum, byte_count = torch.zeros(()), torch.zeros(())
    for start in range(0, tokens.numel() - 1, 64):
        chunk = tokens[start : start + 65]
        loss_sum += loss_of(chunk)
        byte_count += base_bytes[chunk[1:]].sum()
    return loss_sum / byte_count
"""
VALIDATE = """
val_tokens = load("data/fineweb_val_*.bin")
print(f"final val_bpb:{evaluate(lambda chunk: model(chunk[:-1], chunk[1:]), val_tokens):.4f}")
"""


def submission(tmp_path: Path, body: str, **others: str) -> Submission:
    return submission_of(tmp_path, HEAD + body, **others)


def trace_of(tmp_path: Path, body: str, **others: str) -> Trace:
    return followed(submission(tmp_path, body, **others)).submitted


def trained_on(trace: Trace) -> set[Role]:
    return {role for event in trace.events if isinstance(event, Update) for role in roles_of(event.tokens)}


def left_open(found: Submission, rule: type = ValidationInTraining) -> list[str]:
    ruleset = Ruleset(RulesetName.PRACTICE, RULES_AS_OF.value)
    return [stated.message for stated in rule().check(found, ruleset) if isinstance(stated, Unestablished)]


# ---- losses that a network takes of its only input ----


@pytest.mark.parametrize(("network", "num_scores"), [("Masked", 1), ("GPT", 0)])
def test_a_network_scores_its_input_if_its_targets_are_made_of_it(tmp_path: Path, network: str, num_scores: int):
    body = f'val_tokens = load("data/fineweb_val_*.bin")\nnet = {network}()\n'
    trace = trace_of(tmp_path, body + "print(f'final val_bpb:{evaluate(lambda chunk: net(chunk), val_tokens):.4f}')\n")

    assert len(trace.scores()) == num_scores


# ---- loaders ----

SHARDS = """
class Shard:
    def __init__(self, path):
        self.path = path

    def tokens(self):
        return np.fromfile(self.path, dtype="<u2")

class Shards:
    def __init__(self, pattern):
        self.shards = [Shard(path) for path in sorted(glob.glob(pattern))]

    @{decorator}
    def opened(self):
        return {{}}

    def read(self, index):
        if index not in self.opened:
            self.opened[index] = self.shards[index].tokens()
        return torch.from_numpy(self.opened[index])

shards = Shards("data/fineweb_train_*.bin")
for step in range(100):
    batch = shards.read({index})
    model(batch[:-1], batch[1:]).backward()
    optimizer.step()
"""


@pytest.mark.parametrize(("decorator", "roles"), [("cached_property", {Role.TRAINING}), ("property", set())])
def test_what_is_put_into_a_cached_property_stays_there(tmp_path: Path, decorator: str, roles: set[Role]):
    assert trained_on(trace_of(tmp_path, SHARDS.format(decorator=decorator, index="step"))) == roles


def test_an_object_in_a_list_stays_itself_under_an_index_that_comes_from_the_data(tmp_path: Path):
    index = 'int(np.fromfile("data/fineweb_train_000000.bin", dtype="<u2")[0])'
    trace = trace_of(tmp_path, SHARDS.format(decorator="cached_property", index=index))

    assert trained_on(trace) == {Role.TRAINING}


@pytest.mark.parametrize(
    ("other", "roles"),
    [("data/fineweb_val_*.bin", {Role.VALIDATION}), ("data/fineweb_train_*.bin", {Role.VALIDATION, Role.TRAINING})],
)
def test_one_of_several_files_may_hold_what_any_of_them_holds(tmp_path: Path, other: str, roles: set[Role]):
    path = f'path = "fineweb_val_000000.bin"\nif not os.path.exists(path):\n    path = "{other}"\n'
    trace = trace_of(tmp_path, path + "tokens = np.memmap(path)\n")

    assert {event.role for event in trace.events if isinstance(event, Read)} == roles


# ---- how many processes, and which way a run went ----

ACCUMULATED = """
num_processes = dist.get_world_size()
{guard}
train_tokens = load("data/fineweb_train_*.bin")
for micro_step in range(2 // num_processes):
    model(train_tokens[:-1], train_tokens[1:]).backward()
optimizer.step()
"""
GUARD = "if 2 % num_processes:\n    raise ValueError('two micro-steps')\n"


@pytest.mark.parametrize(("guard", "roles"), [(GUARD, {Role.TRAINING}), ("", set())], ids=["refused", "accepted"])
def test_a_number_of_processes_that_the_script_refuses_is_not_assumed(tmp_path: Path, guard: str, roles: set[Role]):
    assert trained_on(trace_of(tmp_path, ACCUMULATED.format(guard=guard))) == roles


STOPPED = """
train_tokens = load("data/fineweb_train_*.bin")

def main():
    failure = None
    for step in range(100):
        loss = model(train_tokens[:-1], train_tokens[1:])
        {stop}
            failure = f"loss {{loss}} at step {{step}}"
            break
    if failure is not None:
        return
    val_tokens = load("data/fineweb_val_*.bin")
    print(f"final val_bpb:{{evaluate(lambda chunk: model(chunk[:-1], chunk[1:]), val_tokens):.4f}}")

main()
"""


@pytest.mark.parametrize(("stop", "num_scores"), [("if not torch.isfinite(loss):", 1), ("if True:", 0)])
def test_a_text_that_may_not_have_been_set_may_be_none(tmp_path: Path, stop: str, num_scores: int):
    assert len(trace_of(tmp_path, STOPPED.format(stop=stop)).scores()) == num_scores


# ---- where weights go, and which print is meant ----


@pytest.mark.parametrize(("mode", "is_written"), [("w", True), ("r", False)])
def test_an_archive_of_weights_is_a_file_of_weights(tmp_path: Path, mode: str, is_written: bool):
    call = "writestr('model.pt', blob)" if is_written else "read('model.pt')"
    body = f"with zipfile.ZipFile('model.zip', '{mode}') as file:\n    file.{call}\n"
    trace = trace_of(tmp_path, "blob = torch.cat(list(model.parameters()))\n" + body)

    assert any(isinstance(event, Write) and event.weights for event in trace.events) is is_written


def test_a_print_is_known_by_any_of_its_labels_where_the_line_was_printed(tmp_path: Path):
    trace = trace_of(tmp_path, VALIDATE.replace("final val_bpb:", "  val_loss: 1.0 val_bpb: "))
    (report,) = [event for event in trace.events if isinstance(event, Report)]
    elsewhere = type(report.location)(path=report.location.path, line=1)

    assert prints(report, "val_bpb", report.location)
    assert not prints(report, "val_bpb", elsewhere)
    assert not prints(report, "ttt_bpb", report.location)


# ---- what is said of code that is not shipped ----

FOREIGN = "from extras import evaluate_all\nprint(f'final val_bpb:{evaluate_all(model):.4f}')\n"
SHIPPED = "import torch\ndef evaluate_all(model):\n    return torch.zeros(())\n"


def test_a_printed_number_of_a_module_that_is_not_shipped_is_named(tmp_path: Path):
    told = "the number that is printed here comes by extras.evaluate_all, which is neither shipped nor followed"

    assert left_open(submission(tmp_path, FOREIGN)) == [told]


def test_a_printed_number_of_a_shipped_module_is_not(tmp_path: Path):
    told = "no file of validation tokens that is read was found in the source"

    assert left_open(submission(tmp_path, FOREIGN, extras=SHIPPED)) == [told]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "subprocess.run([sys.executable, 'train_other.py'], check=True)\n",
            "train_other.py is started here, and is not shipped",
        ),
        (
            "import train_other\ntrain_other.main()\n",
            "train_other.main is called here, which is neither shipped nor followed",
        ),
        ("runpy.run_path('train_other.py')\n", "`train_other.py` is run here, and is not shipped or not named"),
        (
            "spec = importlib.util.spec_from_file_location('base', 'train_other.py')\n"
            "base = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(base)\nbase.main()\n",
            "train_other.main is called here, which is neither shipped nor followed",
        ),
        ("print('Ready for training')\n", "no file of validation tokens that is read was found in the source"),
        (VALIDATE.replace("print(", "len("), "no score of validation tokens that is printed was found in the source"),
    ],
    ids=["started", "called", "run", "loaded by its path", "no data", "not printed"],
)
def test_why_there_is_no_score_is_told(tmp_path: Path, body: str, told: str):
    assert left_open(submission(tmp_path, body)) == [told]


def test_a_module_that_is_loaded_by_its_path_is_followed_if_it_is_shipped(tmp_path: Path):
    base = (
        "import glob, numpy as np\ndef load():\n    return [np.fromfile(p) for p in glob.glob('data/fineweb_val_*.bin')]\n"
    )
    body = "here = os.path.exists('base.py')\npath = 'base.py' if here else '../train_gpt.py'\n"
    loading = "spec = importlib.util.spec_from_file_location('root', path)\nroot = importlib.util.module_from_spec(spec)\n"
    trace = trace_of(tmp_path, body + loading + "spec.loader.exec_module(root)\nroot.load()\n", base=base)

    assert {event.role for event in trace.events if isinstance(event, Read)} == {Role.VALIDATION}


def test_an_empty_script_is_told_as_such(tmp_path: Path):
    assert left_open(submission_of(tmp_path, "\n")) == ["train_gpt.py is empty"]


def test_a_script_that_is_started_beside_the_evaluation_leaves_nothing_open(tmp_path: Path):
    body = "subprocess.run([sys.executable, 'data/download.py'])\ntorch.save(model.state_dict(), 'model.pt')\n"

    assert left_open(submission(tmp_path, body + VALIDATE)) == []


TRAIN = """
train_tokens = load("data/fineweb_train_*.bin")
model(train_tokens[:-1], train_tokens[1:]).backward()
optimizer.step()
"""
CALIBRATE = "scales = load('data/fineweb_train_000001.bin').float().mean()\n"


@pytest.mark.parametrize(
    ("between", "told"),
    [("", []), (CALIBRATE, ["no place where the weights are written was found in the source"])],
    ids=["trained and scored", "calibrated in between"],
)
def test_weights_that_are_scored_as_they_were_trained_use_no_training_data(tmp_path: Path, between: str, told: list[str]):
    assert left_open(submission(tmp_path, TRAIN + between + VALIDATE), TrainingDataAtEvaluation) == told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (VALIDATE + "torch.save(model.state_dict(), 'm.pt')\n", ["weights are written only after the last printed score"]),
        ("model.load_state_dict(torch.load('m.pt'))\n" + VALIDATE, ["the scored weights are loaded here"]),
        (VALIDATE, ["no place where the weights are written was found"]),
        ("torch.save(model.state_dict(), 'm.pt')\n" + VALIDATE, []),
    ],
    ids=["after", "loaded", "nowhere", "before"],
)
def test_which_weights_are_scored_is_told_or_why_not(tmp_path: Path, body: str, told: list[str]):
    found = left_open(submission(tmp_path, body), TrainingDataAtEvaluation)

    assert len(found) == len(told)
    assert all(message.startswith(start) for message, start in zip(found, told, strict=True))


# ---- threads ----

PREFETCHED = """
import queue, threading

class Loader:
    def __init__(self, pattern):
        self.tokens, self.batches = load(pattern), queue.Queue()

    def fill(self, size):
        while True:
            self.batches.put((self.tokens[:-1], self.tokens[1:]))

    def next_batch(self):
        worker = threading.Thread(target={target}, args=(64,), daemon=True)
        worker.start()
        return self.batches.get()

x, y = Loader("data/fineweb_train_*.bin").next_batch()
model(x, y).backward()
optimizer.step()
"""


@pytest.mark.parametrize(("target", "roles"), [("self.fill", {Role.TRAINING}), ("print", set())])
def test_a_batch_that_a_thread_has_put_into_a_queue_is_what_it_put_there(tmp_path: Path, target: str, roles: set[Role]):
    assert trained_on(trace_of(tmp_path, PREFETCHED.format(target=target))) == roles
