"""Byte counting is judged by what it counts: many spellings of the same table and sum, right ones and wrong ones."""

import ast

import pytest

from auditor.source.byte_probe import PIECES, TRIED, Probe, probe_byte_counts
from auditor.source.scopes import Scopes
from auditor.submission.script import Module, Script

TABLE = """
import numpy as np
import torch

def build(sp, vocab_size, device):
    size = max(int(sp.vocab_size()), vocab_size)
    lengths = np.zeros((size,), dtype=np.int16)
    spaced = np.zeros((size,), dtype=np.bool_)
    boundary = np.ones((size,), dtype=np.bool_)
    for token in range(int(sp.vocab_size())):
        if sp.is_control(token) or sp.is_unknown(token) or sp.is_unused(token):
            continue
        boundary[token] = False
        if sp.is_byte(token):
            lengths[token] = BYTE
            continue
        piece = sp.id_to_piece(token)
        if piece.startswith("\\u2581"):
            spaced[token] = True
            piece = piece[1:]
            lengths[token] = SPACED
        else:
            lengths[token] = len(piece.encode("utf-8"))
    return torch.tensor(lengths, device=device), torch.tensor(spaced), torch.tensor(boundary)
"""
PLAIN, WITH_SPACE, REPLACED = 'len(piece.encode("utf-8"))', 'len(piece.encode("utf-8")) + 1', 'len((" " + piece).encode())'

SUM = """
def evaluate(model, tokens, lengths, spaced, boundary):
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, tokens.numel(), 512):
        x, y = tokens[start:-1], tokens[start + 1:]
        count = lengths[y.reshape(-1)].to(dtype=torch.int16)
        count += (spaced[y] & ~boundary[x]).to(dtype=torch.int16)
        total += count.to(torch.float64).sum()
    return total
"""
SUM_IN_LOOP = """
def evaluate(model, tokens, lengths, spaced, boundary):
    total = 0
    for before, token in zip(tokens, tokens[1:]):
        total += int(lengths[token])
        if spaced[token] and not boundary[before]:
            total += 1
    return total
"""
SUM_IN_HELPER = """
def count_bytes(x, y, tables):
    lengths, spaced, boundary = tables
    return float((lengths[y] + (spaced[y] & ~boundary[x])).sum())

def evaluate(model, tokens, tables):
    total = 0.0
    while model.more():
        total += count_bytes(tokens[:-1], tokens[1:], tables)
    return total
"""
SUM_OF_ATTRIBUTES = """
class Data:
    def __init__(self, sp):
        self.lengths, self.spaced, self.boundary = build(sp, 8, "cpu")

def evaluate(data, x, y):
    return torch.where(data.spaced[y] & ~data.boundary[x], data.lengths[y] + 1, data.lengths[y]).sum()
"""
SUM_WITHOUT_SPACE = """
def evaluate(model, tokens, lengths, spaced, boundary):
    total = 0.0
    total += lengths[tokens].sum().item()
    return total
"""
MAIN = """
def main(sp, model, tokens):
    lengths, spaced, boundary = build(sp, 8, "cpu")
    evaluate(model, tokens, lengths, spaced, boundary)
"""
MAIN_WITH_TUPLE = """
def main(sp, model, tokens):
    tables = build(sp, 8, "cpu")
    evaluate(model, tokens, tables)
"""
SUMS = [
    pytest.param(SUM + MAIN, id="arrays"),
    pytest.param(SUM_IN_LOOP + MAIN, id="token by token"),
    pytest.param(SUM_IN_HELPER + MAIN_WITH_TUPLE, id="helper"),
    pytest.param(SUM_OF_ATTRIBUTES, id="attributes"),
]


def probe(source: str) -> Probe:
    module = Module(path="train_gpt.py", source_path="train_gpt.py", source=source, tree=ast.parse(source))
    script = Script(path="train_gpt.py", num_bytes=len(source), layers=(), modules=(module,))
    return probe_byte_counts(script, Scopes.of(script))


def counts(source: str, function: str = "evaluate") -> dict[str, int]:
    return {count.piece.text: count.num_bytes for count in probe(source).counts if count.function == function}


def table(spaced: str = PLAIN, byte: str = "1") -> str:
    return TABLE.replace("SPACED", spaced).replace("BYTE", byte)


@pytest.mark.parametrize("sums", SUMS)
def test_a_right_table_and_sum_count_every_piece_as_its_text(sums: str):
    assert counts(table() + sums) == {PIECES[index].text: PIECES[index].num_bytes for index in TRIED}


@pytest.mark.parametrize("sums", SUMS)
@pytest.mark.parametrize("spaced", [WITH_SPACE, REPLACED])
def test_a_space_in_the_table_and_in_the_sum_is_one_too_many(sums: str, spaced: str):
    found = counts(table(spaced) + sums)

    assert found["\u2581the"] == 5
    assert found["the"] == 3


@pytest.mark.parametrize("spaced", [WITH_SPACE, REPLACED])
def test_a_space_in_the_table_only_is_right(spaced: str):
    assert counts(table(spaced) + SUM_WITHOUT_SPACE + MAIN)["\u2581the"] == 4


def test_a_byte_piece_counted_by_its_name_has_six_bytes():
    assert counts(table(byte='len(sp.id_to_piece(token).encode("utf-8"))') + SUM + MAIN)["<0x41>"] == 6


def test_the_count_tells_the_line_of_the_entry_and_of_the_sum():
    source = table(WITH_SPACE) + SUM + MAIN
    count = next(found for found in probe(source).counts if found.piece.text == "\u2581the")
    lines = source.splitlines()

    assert lines[count.table_line.line - 1].strip() == f"lengths[token] = {WITH_SPACE}"
    assert lines[count.sum_line.line - 1].strip().startswith("count += (spaced[y]")


@pytest.mark.parametrize("spaced", ["measure(piece)", "sp.decode([token])", "piece.size"])
def test_a_table_that_cannot_be_told_is_said_to_be_unread(spaced: str):
    found = probe(table(spaced) + SUM + MAIN)

    assert not [count for count in found.counts if count.piece.text == "\u2581the"]
    assert found.builders
    assert found.unread == found.builders


def test_pieces_that_are_not_encoded_serve_something_else():
    found = probe(table() + SUM + MAIN + "\ndef kinds(sp):\n    return [sp.id_to_piece(i)[0] == 'a' for i in sp.ids()]\n")

    assert len(found.builders) == 2
    assert not found.unread


def test_without_a_tokenizer_there_is_nothing_to_read():
    assert probe("def main(tokens):\n    return tokens.sum()\n") == Probe((), (), ())
