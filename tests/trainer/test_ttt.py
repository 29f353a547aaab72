import copy
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainer import ttt_case
from tests.trainer.ttt_case import CHUNK_TOKENS, NUM_TOKENS, SETTINGS, evaluator, model, validation
from trainer.data import ValidationTokens
from trainer.events import EventLog
from trainer.ttt import Scored, ScoreFirst, adapting, evaluate_with_ttt, weights_digest

KINDS = pytest.mark.parametrize("kind", sorted(SETTINGS))


def losses(kind: str, stream: ValidationTokens) -> list[tuple[int, float]]:
    """Token and loss, in the order in which they were fixed."""
    found: list[tuple[int, float]] = []

    def observe(tokens, nats):
        found.extend(zip(tokens.tolist(), nats.tolist(), strict=True))

    evaluate_with_ttt(model(), evaluator(stream, on_scores=observe), SETTINGS[kind], label=kind)
    return found


@KINDS
def test_each_token_is_scored_once_from_left_to_right(kind):
    assert [token for token, _ in losses(kind, validation())] == list(range(1, NUM_TOKENS))


@KINDS
@pytest.mark.parametrize("changed_token", [1, 40, 41, 43, 79, 82, 122, NUM_TOKENS - 1])
def test_no_later_token_changes_an_earlier_loss_by_a_bit(kind, changed_token):
    tokens = validation().tokens.copy()
    tokens[changed_token:] = 33 - tokens[changed_token:]
    before, after = dict(losses(kind, validation())), dict(losses(kind, ValidationTokens(tokens)))
    assert [after[t] for t in range(1, changed_token)] == [before[t] for t in range(1, changed_token)]
    assert after[changed_token] != before[changed_token]


@KINDS
def test_a_chunk_teaches_the_next_and_the_first_is_scored_untaught(kind):
    subject = model()
    plain = evaluator().sliding(subject)
    adapted = evaluate_with_ttt(subject, evaluator(), SETTINGS[kind], label=kind)
    assert (adapted.num_tokens, adapted.num_bytes) == (plain.num_tokens, plain.num_bytes)
    assert adapted.val_loss < plain.val_loss

    scorer = ScoreFirst(evaluator(), CHUNK_TOKENS)
    with adapting(subject, scorer, SETTINGS[kind]) as adapter:
        first_chunk = scorer.score_chunk(0, adapter).score
    untaught, _, _ = evaluator().score(subject, 0, CHUNK_TOKENS, stride=4)
    assert (first_chunk.state, first_chunk.sum_nats) == ("weights+0", untaught)


@KINDS
def test_the_weights_change_while_it_lasts_and_come_back_bit_for_bit(kind):
    subject = model().train()
    before, probe = weights_digest(subject), torch.arange(2, 18)[None]
    scorer = ScoreFirst(evaluator(), CHUNK_TOKENS)
    logits = subject(probe)
    with adapting(subject, scorer, SETTINGS[kind]) as adapter:
        adapter.learn(scorer.score_chunk(0, adapter))
        assert (weights_digest(subject) != before) == (kind == "sgd")
        assert not subject(probe).equal(logits)
        with pytest.raises(ValueError, match="learning from validation tokens"):
            evaluator().sliding(subject)
    assert weights_digest(subject) == before
    assert subject(probe).equal(logits)
    assert subject.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in subject.parameters())


def test_the_weights_come_back_after_an_error_too():
    subject = model()
    before = weights_digest(subject)
    diverging = replace(SETTINGS["sgd"], lr=1e30, grad_clip_norm=0.0)
    with pytest.raises(ValueError, match="test-time training diverged after"):
        evaluate_with_ttt(subject, evaluator(), diverging, label="diverging")
    assert weights_digest(subject) == before
    evaluator().sliding(subject)


def test_several_epochs_follow_one_score():
    scorer = ScoreFirst(evaluator(), CHUNK_TOKENS)
    with adapting(model(), scorer, replace(SETTINGS["sgd"], epochs=3)) as adapter:
        adapter.learn(scorer.score_chunk(0, adapter))
        assert adapter.num_steps == 3 * 2  # 40 targets are three rows of 16, two to a batch
    assert len(scorer.ledger) == 1


class TestNothingGetsPastTheScore:
    """Attempts to learn from tokens that are not scored, and to score tokens again."""

    @pytest.fixture
    def adapter(self):
        with adapting(model(), ScoreFirst(evaluator(), CHUNK_TOKENS), SETTINGS["sgd"]) as adapter:
            yield adapter

    @pytest.fixture
    def scored(self, adapter):
        return adapter.scorer.score_chunk(0, adapter)

    def test_raw_tokens(self, adapter):
        for tokens in (validation(), validation().tokens, torch.arange(41)):
            with pytest.raises(TypeError, match="only scored tokens can be learned from"):
                adapter.learn(tokens)

    def test_a_scored_made_by_hand(self, adapter):
        with pytest.raises(TypeError, match="made by scoring"):
            Scored()
        with pytest.raises(TypeError, match="not given out by this pass"):
            adapter.learn(object.__new__(Scored))
        with pytest.raises(TypeError, match="cannot be subclassed"):
            type("Own", (Scored,), {})

    def test_a_scored_with_other_tokens(self, adapter, scored):
        with pytest.raises(AttributeError, match="cannot be changed"):
            scored._tokens = validation().tokens
        with pytest.raises(TypeError):
            replace(scored, _tokens=validation().tokens)
        scored.tokens[:] = 7
        assert scored.tokens.tolist() == validation().tokens[: CHUNK_TOKENS + 1].tolist()

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda scored: pickle.loads(pickle.dumps(scored))])
    def test_a_copy(self, adapter, scored, duplicate):
        with pytest.raises((TypeError, AttributeError), match=r"not given out by this pass|cannot be changed"):
            adapter.learn(duplicate(scored))

    def test_tokens_scored_in_another_pass(self, adapter):
        other = ScoreFirst(evaluator(), CHUNK_TOKENS)
        with adapting(model(), other, SETTINGS["sgd"]) as other_adapter:
            elsewhere = other.score_chunk(0, other_adapter)
            with pytest.raises(TypeError, match="not given out by this pass"):
                adapter.learn(elsewhere)
            with pytest.raises(ValueError, match="learns from another pass"):
                other.score_chunk(1, adapter)

    def test_a_second_pass_with_the_adapted_weights(self, adapter):
        second = ScoreFirst(evaluator(), CHUNK_TOKENS)
        with pytest.raises(ValueError, match="learning from validation"), adapting(adapter.model, second, SETTINGS["sgd"]):
            pass

    def test_the_last_chunk_and_a_chunk_too_many(self, adapter):
        chunks = [adapter.scorer.score_chunk(index, adapter) for index in range(adapter.scorer.num_chunks)]
        assert [chunk.is_last for chunk in chunks] == [False, False, False, True]
        with pytest.raises(ValueError, match="is the last"):
            adapter.learn(chunks[-1])
        for index in (0, 3, 4):
            with pytest.raises(ValueError, match=f"chunk {index} of 4 cannot be scored: 4 are, in order and once"):
                adapter.scorer.score_chunk(index, adapter)

    def test_a_result_before_all_is_scored(self, adapter, scored):
        with pytest.raises(ValueError, match="only 1 of 4 chunks are scored"):
            adapter.scorer.result("early")


@KINDS
def test_log_and_events_state_for_each_chunk_when_it_was_scored_and_learned(kind, tmp_path):
    lines: list[str] = []
    with EventLog(tmp_path / "events.jsonl") as events:
        result = evaluate_with_ttt(model(), evaluator(), SETTINGS[kind], label="ttt", events=events, log=lines.append)
    recorded = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    *chunks, report = recorded
    assert [event["event"] for event in chunks] == ["score", "update"] * 3 + ["score"]
    assert [event["tokens"] for event in chunks[::2]] == [[1, 41], [41, 81], [81, 121], [121, 150]]
    for score, update, next_score in zip(chunks[::2], chunks[1::2], chunks[2::2], strict=False):
        assert update["tokens"] == score["tokens"]
        assert score["state"] != update["state"] == next_score["state"]
        assert score["grad_mode"] == "no_grad"
    assert report["scores"] == [0, 6]
    assert report["val_bpb"] == result.val_bpb
    assert sum(score["sum_nats"] for score in chunks[::2]) == result.sum_nats
    assert [line.split()[0] for line in lines[1:-1]] == [f"ttt_chunk:{number}/4" for number in range(1, 5)]
    assert all("grad_mode:no_grad" in line and "scored:" in line for line in lines[1:-1])
    assert "learned:no, it is the last" in lines[-2]
    assert lines[0].rsplit(":", 1)[1] == lines[-1].rsplit(":", 1)[1]


def test_two_processes_give_what_one_gives():
    script = Path(ttt_case.__file__)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)]
    environment = os.environ | {"PYTHONPATH": str(script.parents[2]), "OMP_NUM_THREADS": "1"}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert output.returncode == 0, output.stderr
    together = json.loads(output.stdout)
    for kind, config in SETTINGS.items():
        subject = model()
        alone = evaluate_with_ttt(subject, evaluator(), config, label=kind)
        sum_nats, num_tokens, num_bytes, digest = together[kind]
        assert (num_tokens, num_bytes, digest) == (alone.num_tokens, alone.num_bytes, weights_digest(subject))
        np.testing.assert_allclose(sum_nats, alone.sum_nats, rtol=1e-6)
