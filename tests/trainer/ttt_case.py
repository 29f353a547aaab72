"""A small test-time training that several tests and processes run alike. As a script, the main process prints results."""

import json
import os
import sys

import numpy as np
import torch

from trainer.config import EvalConfig, ModelConfig, TTTConfig
from trainer.data import ValidationTokens
from trainer.distributed import is_main, process_group
from trainer.evaluate import Evaluator
from trainer.model import GPT
from trainer.tokens import ByteTable
from trainer.ttt import evaluate_with_ttt, weights_digest

VOCAB = 32
NUM_TOKENS = 150
CHUNK_TOKENS = 40
SETTINGS = {
    "sgd": TTTConfig(kind="sgd", chunk_tokens=CHUNK_TOKENS, batch_sequences=2, lr=0.05, momentum=0.9, epochs=2),
    "lora": TTTConfig(kind="lora", chunk_tokens=CHUNK_TOKENS, batch_sequences=2, rank=2, lora_lr=0.01),
}


def model() -> GPT:
    shape = {"num_layers": 2, "model_dim": 16, "num_heads": 2, "num_kv_heads": 1, "vocab_size": VOCAB}
    options = {"init": "orthogonal", "embedding_init_std": 0.3, "smear_gate": True, "bigram_buckets": 64, "bigram_dim": 8}
    return GPT(ModelConfig(**shape, **options), seed=1)


def validation(num_tokens: int = NUM_TOKENS) -> ValidationTokens:
    """A stream with a habit: every token is followed by one of two."""
    generator, tokens = np.random.default_rng(0), [1]
    while len(tokens) < num_tokens:
        tokens.append(2 + (tokens[-1] * 3 + int(generator.integers(2))) % (VOCAB - 2))
    return ValidationTokens(np.array(tokens, dtype=np.uint16))


def byte_table() -> ByteTable:
    is_boundary = torch.arange(VOCAB) < 2
    counts = torch.where(is_boundary, 0, 2)
    return ByteTable(
        base_bytes=counts, has_leading_space=torch.zeros(VOCAB, dtype=torch.bool), is_boundary=is_boundary, bos_token_id=1
    )


def evaluator(stream: ValidationTokens | None = None, **options) -> Evaluator:
    config = EvalConfig(seq_len=16, stride=4, batch_sequences=4)
    return Evaluator(stream or validation(), byte_table(), config, **options)


def main() -> None:
    with process_group("cpu"):
        results = {}
        for kind, config in SETTINGS.items():
            subject = model()
            result = evaluate_with_ttt(subject, evaluator(), config, label=kind)
            results[kind] = [result.sum_nats, result.num_tokens, result.num_bytes, weights_digest(subject)]
        if is_main():
            print(json.dumps(results), file=sys.stdout)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # train_case says why
