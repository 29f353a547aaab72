import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from trainer.config import EvalConfig, ModelConfig
from trainer.data import ValidationTokens
from trainer.evaluate import EvalResult, Evaluator, log_result, mark_adapted
from trainer.events import EventLog
from trainer.model import GPT
from trainer.tokens import ByteTable

VOCAB = 32


def tiny_model(**options) -> GPT:
    settings = {
        "num_layers": 2,
        "model_dim": 16,
        "num_heads": 2,
        "num_kv_heads": 1,
        "vocab_size": VOCAB,
        "init": "orthogonal",
    }
    return GPT(ModelConfig(**settings | options), seed=1)


def byte_table() -> ByteTable:
    """Token 1 starts a document; odd tokens may begin with a space."""
    tokens = torch.arange(VOCAB)
    return ByteTable(
        base_bytes=(tokens % 5 + 1) * (tokens > 1),
        has_leading_space=(tokens % 2 == 1) & (tokens > 1),
        is_boundary=tokens <= 1,
        bos_token_id=1,
    )


def stream(num_tokens: int, seed: int = 0) -> ValidationTokens:
    generator = np.random.default_rng(seed)
    tokens = generator.integers(2, VOCAB, num_tokens).astype(np.uint16)
    tokens[[0, *range(17, num_tokens, 29)]] = 1
    return ValidationTokens(tokens)


def naive(model, validation, seq_len, stride, document_aware):
    """Nats and bytes, one token after the other, each with its own forward pass."""
    tokens = validation.tokens.astype(int).tolist()
    table = byte_table()
    sum_nats, num_bytes = 0.0, 0
    for target in range(1, len(tokens)):
        document = max(p for p in range(target) if p == 0 or (document_aware and tokens[p] == 1))
        block_end = document + seq_len
        while block_end < target:
            block_end += stride
        ends = [p for p in range(document + 1, len(tokens)) if document_aware and tokens[p] == 1]
        block_end = min([block_end, len(tokens) - 1, *ends])
        start = max(document, block_end - seq_len)
        logits = model(torch.tensor([tokens[start:target]]))[0, -1]
        sum_nats += F.cross_entropy(logits.double(), torch.tensor(tokens[target])).item()
        space = int(table.has_leading_space[tokens[target]]) * int(tokens[target - 1] > 1)
        num_bytes += int(table.base_bytes[tokens[target]]) + space
    return sum_nats, num_bytes


@pytest.mark.parametrize("document_aware", [False, True])
@pytest.mark.parametrize(("seq_len", "stride"), [(8, 8), (8, 3), (100, 64)])
def test_the_sums_are_those_of_scoring_token_by_token(seq_len, stride, document_aware):
    model, validation = tiny_model().eval(), stream(70)
    config = EvalConfig(seq_len=seq_len, stride=stride, batch_sequences=3, document_aware=document_aware)
    result = Evaluator(validation, byte_table(), config).sliding(model)
    with torch.no_grad():
        sum_nats, num_bytes = naive(model, validation, seq_len, stride, document_aware)
    assert (result.num_tokens, result.num_bytes) == (69, num_bytes)
    assert result.sum_nats == pytest.approx(sum_nats, rel=1e-6)


def test_the_full_pass_scores_the_tail_too():
    result = Evaluator(stream(70), byte_table(), EvalConfig(seq_len=16, stride=4)).full_pass(tiny_model())
    assert result.num_tokens == 69


def test_bits_per_byte_divides_two_sums_once():
    result = EvalResult(sum_nats=math.log(2) * 300, num_tokens=50, num_bytes=100, seconds=0.0)
    assert result.val_loss == pytest.approx(6 * math.log(2))
    assert result.val_bpb == pytest.approx(3.0)


def test_the_log_lines_have_the_reference_format():
    result = EvalResult(sum_nats=150.0, num_tokens=50, num_bytes=123, seconds=1.2345)
    lines: list[str] = []
    log_result(lines.append, "final_int6_zstd_roundtrip", result)
    assert lines == [
        "final_int6_zstd_roundtrip val_loss:3.0000 val_bpb:1.7594 eval_time:1234ms",
        "final_int6_zstd_roundtrip_exact val_loss:3.00000000 val_bpb:1.75938420",
    ]


@pytest.mark.parametrize("options", [{}, {"smear_gate": True, "bigram_buckets": 64, "bigram_dim": 8, "xsa_layers": 1}])
def test_no_later_token_changes_an_earlier_loss(options):
    model = tiny_model(**options)

    def losses(validation):
        found = {}
        evaluator = Evaluator(
            validation,
            byte_table(),
            EvalConfig(seq_len=16, stride=4),
            on_scores=lambda tokens, nats: found.update(zip(tokens.tolist(), nats.tolist(), strict=True)),
        )
        evaluator.sliding(model)
        return found

    before = losses(stream(70))
    for changed_token in (1, 30, 69):
        tokens = stream(70).tokens.copy()
        tokens[changed_token:] = stream(70, seed=9).tokens[changed_token:] % 30 + 2
        after = losses(ValidationTokens(tokens))
        assert sorted(after) == list(range(1, 70))
        assert [after[t] for t in range(1, changed_token)] == [before[t] for t in range(1, changed_token)]


def test_the_model_comes_back_in_its_mode():
    model = tiny_model().train()
    Evaluator(stream(20), byte_table(), EvalConfig(seq_len=16, stride=4)).sliding(model)
    assert model.training


def test_a_model_that_learns_from_validation_is_refused():
    model, evaluator = tiny_model(), Evaluator(stream(20), byte_table(), EvalConfig(seq_len=16, stride=4))
    mark_adapted(model, adapted=True)
    with pytest.raises(ValueError, match="restore its weights before it is scored again"):
        evaluator.sliding(model)
    mark_adapted(model, adapted=False)
    evaluator.sliding(model)


def test_tokens_of_another_tokenizer_are_refused():
    with pytest.raises(ValueError, match="token 40 is outside the vocabulary of 32"):
        Evaluator(ValidationTokens(np.array([1, 40], dtype=np.uint16)), byte_table(), EvalConfig())


def test_the_result_is_recorded_as_one_score_and_its_report(tmp_path):
    with EventLog(tmp_path / "events.jsonl") as events:
        evaluator = Evaluator(stream(70), byte_table(), EvalConfig(seq_len=16, stride=4))
        result = evaluator.sliding(tiny_model(), label="final", events=events)
    score, report = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert (score["event"], score["tokens"], score["sum_nats"]) == ("score", [1, 70], result.sum_nats)
    assert (report["event"], report["label"], report["scores"]) == ("report", "final", [0, 0])
    assert report["val_bpb"] == result.val_bpb
