import json
from collections import Counter

import pytest

from auditor.run.world import BOS_ID, BYTE_VOCABULARY, GRAM, VOCABULARIES, pieces, read_shard, toy_world


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    cache = tmp_path_factory.mktemp("worlds")
    return {size: toy_world(size, size == 8192, cache) for size in (*VOCABULARIES, BYTE_VOCABULARY)}


def grams(tokens):
    return [tuple(tokens[at : at + GRAM]) for at in range(len(tokens) - GRAM + 1)]


def training(world):
    files = sorted((world.folder / world.dataset).glob("fineweb_train_0*.bin"))
    return [read_shard(file.read_bytes()) for file in files]


@pytest.mark.parametrize("size", [*VOCABULARIES, BYTE_VOCABULARY])
def test_every_run_of_tokens_in_the_validation_stream_says_where_it_is_from(worlds, size):
    counts = Counter(grams(worlds[size].validation()))
    assert max(counts.values()) == 1
    assert not counts.keys() & {gram for shard in training(worlds[size]) for gram in grams(shard)}


@pytest.mark.parametrize("size", VOCABULARIES)
def test_bytes_per_token_add_up_to_the_bytes_of_the_decoded_documents(worlds, size):
    processor = pytest.importorskip("sentencepiece").SentencePieceProcessor(
        model_file=str(worlds[size].folder / worlds[size].tokenizer)
    )
    tokens = worlds[size].validation()
    starts = [at for at, token in enumerate(tokens) if token == BOS_ID]
    assert starts[0] == 0
    documents = [tokens[start + 1 : end] for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True)]
    decoded = sum(len(processor.decode(document).encode()) for document in documents)
    assert sum(worlds[size].count_bytes(tokens)) == decoded
    assert processor.vocab_size() == size


def test_in_the_vocabulary_of_bytes_each_token_but_a_documents_first_is_a_byte(worlds):
    world = worlds[BYTE_VOCABULARY]
    described = json.loads((world.folder / world.tokenizer).read_text(encoding="utf-8"))
    tokens, first = world.validation(), described["config"]["byte_offset"]
    assert described["vocab_size"] == BYTE_VOCABULARY
    assert world.count_bytes(tokens) == [int(token != BOS_ID) for token in tokens]
    text = bytes(token - first for token in tokens if token != BOS_ID).decode("utf-8", "replace")
    assert text.count(" ") > len(text) / 10


@pytest.mark.parametrize("token", [BOS_ID + 3, 36, 131, 132, 259])
def test_a_byte_is_replaced_by_one_of_the_other_half(worlds, token):
    others = worlds[BYTE_VOCABULARY].unlike(token)
    assert others
    assert all((other < 130) is not (token < 130) and 4 <= other < BYTE_VOCABULARY for other in others)


def test_the_sidecar_holds_the_bytes_of_each_token_and_only_where_asked_for(worlds):
    world = worlds[8192]
    held = read_shard((world.folder / world.dataset / "fineweb_val_bytes_000000.bin").read_bytes())
    assert held == world.count_bytes(world.validation())
    assert not list((worlds[1024].folder / worlds[1024].dataset).glob("*_bytes_*"))


def test_generating_again_gives_the_same_bytes(worlds, tmp_path):
    again = toy_world(1024, False, tmp_path)
    first = {path.relative_to(worlds[1024].folder): path.read_bytes() for path in worlds[1024].folder.rglob("*.*")}
    second = {path.relative_to(again.folder): path.read_bytes() for path in again.folder.rglob("*.*")}
    assert first == second
    assert len(first) == 4


def test_a_replacement_differs_in_kind_and_in_half(worlds):
    vocabulary = pieces(1024)

    def begins_word(token):
        return vocabulary[token][0].startswith("\u2581")

    for token in set(worlds[1024].validation()) - {BOS_ID}:
        others = worlds[1024].unlike(token)
        assert len(others) > 10
        assert all(begins_word(other) != begins_word(token) for other in others)
        assert all((other < 512) != (token < 512) for other in others)


@pytest.mark.parametrize("size", [285, 1024, 10240, 12288])
def test_a_vocabulary_has_its_size_and_no_piece_twice(size):
    found = [piece for piece, _ in pieces(size)]
    assert len(found) == len(set(found)) == size


@pytest.mark.parametrize("size", [261, 100_000])
def test_a_vocabulary_that_cannot_be_made_is_refused_with_its_size(tmp_path, size):
    with pytest.raises(ValueError, match=f"vocabulary of {size}"):
        toy_world(size, False, tmp_path)


def test_a_file_that_is_no_shard_is_refused():
    with pytest.raises(ValueError, match="no shard"):
        read_shard(bytes(2048))


@pytest.mark.torch
def test_the_child_reads_shards_and_counts_runs_as_the_world_does(worlds, child_module):
    pytest.importorskip("torch")
    locate = child_module("locate")
    assert locate.GRAM == GRAM
    world = worlds[VOCABULARIES[0]]
    for file in (world.folder / world.dataset).glob("fineweb_*_0*.bin"):
        assert locate.read_shard(file).tolist() == list(read_shard(file.read_bytes()))
