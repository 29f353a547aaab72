import io
from functools import cache

import numpy as np
import pytest
import sentencepiece
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.tokens import SPACE, byte_table, load_tokenizer

CORPUS = [
    "The cat sat on the mat, and the dog watched the cat.",
    "  indented code:   x = 1\tif y else 2   ",
    "def area(width, height): return width * height",
    "Grüße aus Köln; naïve café; 12345 67.89",
] * 40
LOSSLESS = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
KINDS = {
    "keeps spaces": LOSSLESS,
    "strips extra spaces, as published": {"normalization_rule_name": "nmt_nfkc"},
    "dummy prefix": {"normalization_rule_name": "identity", "add_dummy_prefix": True},
    "dummy prefix, keeps spaces": LOSSLESS | {"add_dummy_prefix": True},
    "pieces of spaces": LOSSLESS | {"allow_whitespace_only_pieces": True, "split_by_whitespace": False},
    "user symbols": LOSSLESS | {"user_defined_symbols": ["<tag>", "\u2581\u2581"]},
}


@cache
def tokenizer(kind: str, corpus: tuple[str, ...] = tuple(CORPUS)) -> sentencepiece.SentencePieceProcessor:
    model = io.BytesIO()
    settings = {"add_dummy_prefix": False, "byte_fallback": True, "character_coverage": 0.999} | KINDS[kind]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus),
        model_writer=model,
        model_type="bpe",
        vocab_size=340,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        hard_vocab_limit=False,
        minloglevel=2,
        **settings,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


# Any character, with more than their share of those that tokenizers treat in special ways. U+2581 is left out: in a
# text it is SentencePiece's own mark for a space.
CHARACTERS = st.one_of(
    st.sampled_from(" \n\tabe<>é\U0001f600\ufffd\u3000\u200d\x00漢ابत"),
    st.characters(codec="utf-8", exclude_characters="\u2581"),
)
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=30), st.sampled_from([*CORPUS, "  two  spaces  ", "<tag> \U0001f468‍\U0001f469‍"])
)


@pytest.mark.parametrize("kind", KINDS)
@given(documents=st.lists(TEXTS, min_size=1, max_size=4))
def test_counted_bytes_are_those_of_the_decoded_text(kind, documents):
    processor = tokenizer(kind)
    encoded = [processor.encode(text) for text in documents]
    stream = torch.tensor([token for tokens in encoded for token in [processor.bos_id(), *tokens]])
    num_bytes = int(byte_table(processor).count(stream[:-1], stream[1:]).sum())
    assert num_bytes == sum(len(processor.decode(tokens).encode()) for tokens in encoded)
    if kind == "keeps spaces":
        assert num_bytes == sum(len(text.encode()) for text in documents)


def test_a_vocabulary_without_a_space_inflates_text_and_is_refused():
    processor = tokenizer("keeps spaces", corpus=("abc", "bcd", "xyz") * 40)
    assert processor.decode(processor.encode("a b")) == f"a{SPACE}b"
    with pytest.raises(ValueError, match="no piece for a single space"):
        byte_table(processor)


def test_bytes_controls_and_spaces_of_the_published_kind():
    processor = tokenizer("strips extra spaces, as published")
    table = byte_table(processor)
    byte, the = processor.piece_to_id("<0xF0>"), processor.piece_to_id(f"{SPACE}the")
    assert table.base_bytes[byte] == 1
    assert table.is_boundary[:4].all()
    assert not table.is_boundary[4:].any()
    assert table.count(torch.tensor([processor.bos_id(), byte]), torch.tensor([the, the])).tolist() == [3, 4]


def test_tokens_whose_text_is_lost_are_refused():
    table = byte_table(tokenizer("keeps spaces"))
    table.check(np.array([1, 300, 1, 301], dtype=np.uint16))
    with pytest.raises(ValueError, match="token 3 stands for no text and occurs 2 times"):
        table.check(np.array([1, 3, 300, 3], dtype=np.uint16))
    with pytest.raises(ValueError, match="token 9999 is outside the vocabulary"):
        table.check(np.array([1, 9999], dtype=np.uint16))


def test_a_tokenizer_file_is_checked(tmp_path):
    path = tmp_path / "tokenizer.model"
    with pytest.raises(ValueError, match="no such tokenizer file"):
        load_tokenizer(path)
    path.write_text("not a model")
    with pytest.raises(ValueError, match="not a SentencePiece model"):
        load_tokenizer(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="not a SentencePiece model"):
        load_tokenizer(path)
    path.write_bytes(tokenizer("keeps spaces").serialized_model_proto())
    assert load_tokenizer(path, vocab_size=340).vocab_size() == 340
    with pytest.raises(ValueError, match=r"has 340 tokens, the settings say model.vocab_size=1024"):
        load_tokenizer(path, vocab_size=1024)
