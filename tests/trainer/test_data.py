import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data import (
    HEADER_BYTES,
    TrainLoader,
    TrainShards,
    ValidationTokens,
    check_separate,
    find_shards,
    open_shard,
    open_train_shards,
    open_validation,
    train_pattern,
    val_pattern,
    write_shard,
)


def write_shards(folder: Path, lengths: list[int], split: str = "train") -> np.ndarray:
    """Shards of these lengths holding 0, 1, 2, ...; returns the stream."""
    stream = np.arange(sum(lengths), dtype=np.uint16)
    for number, part in enumerate(np.split(stream, np.cumsum(lengths)[:-1])):
        write_shard(folder / f"fineweb_{split}_{number:06d}.bin", part)
    return stream


def naive_order(stream, *, world_size, micro_steps, batch_tokens, num_steps):
    """The reference's order said without code of either side: deal the endless stream out, span after span.

    A step is dealt in rounds; in a round each rank, in turn, gets one input span and one token more to predict the last.
    """
    deck = iter(np.tile(stream, 50).tolist())
    dealt = {rank: [] for rank in range(world_size)}
    per_hand = batch_tokens // micro_steps
    for _ in range(num_steps * (micro_steps // world_size)):
        for rank in range(world_size):
            dealt[rank].append([next(deck) for _ in range(per_hand + 1)])
    return dealt


@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
@pytest.mark.parametrize("lengths", [[500], [7, 90, 1, 300], [33, 33, 33]])
def test_every_rank_gets_the_reference_order(tmp_path, world_size, lengths):
    stream = write_shards(tmp_path, lengths)
    expected = naive_order(stream, world_size=world_size, micro_steps=8, batch_tokens=64, num_steps=6)
    shards = open_train_shards(train_pattern(tmp_path))
    for rank in range(world_size):
        loader = TrainLoader(shards, micro_batch_tokens=8, seq_len=4, vocab_size=1024, rank=rank, world_size=world_size)
        for hand in expected[rank]:
            x_BT, y_BT = loader.next_batch()
            assert x_BT.shape == (2, 4)
            assert x_BT.flatten().tolist() == hand[:-1]
            assert y_BT.flatten().tolist() == hand[1:]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any), st.integers(0, 60), st.integers(0, 40))
def test_a_read_is_a_slice_of_the_repeated_stream(tmp_path_factory, lengths, position, num_tokens):
    folder = tmp_path_factory.mktemp("shards")
    stream = write_shards(folder, lengths)
    expected = np.tile(stream, 101)[position : position + num_tokens]
    np.testing.assert_array_equal(open_train_shards(train_pattern(folder)).read(position, num_tokens), expected)
    shutil.rmtree(folder)


def test_a_resumed_loader_goes_on_exactly(tmp_path):
    write_shards(tmp_path, [50, 61])
    shards = open_train_shards(train_pattern(tmp_path))

    def new_loader():
        return TrainLoader(shards, micro_batch_tokens=8, seq_len=4, vocab_size=1024, rank=1, world_size=2)

    loader = new_loader()
    for _ in range(9):
        loader.next_batch()
    resumed = new_loader()
    resumed.load_state_dict(loader.state_dict())
    for _ in range(9):
        for left, right in zip(loader.next_batch(), resumed.next_batch(), strict=True):
            assert left.equal(right)
    assert resumed.num_epochs > 2


def test_a_checkpoint_of_other_shards_is_refused(tmp_path):
    write_shards(tmp_path, [50, 61])
    loader = TrainLoader(open_train_shards(train_pattern(tmp_path)), micro_batch_tokens=8, seq_len=4, vocab_size=1024)
    state = loader.state_dict()
    write_shards(tmp_path, [50, 62])
    changed = TrainLoader(open_train_shards(train_pattern(tmp_path)), micro_batch_tokens=8, seq_len=4, vocab_size=1024)
    with pytest.raises(ValueError, match=r"fineweb_train_000001.bin with 61 tokens is now .* with 62"):
        changed.load_state_dict(state)


def test_validation_cannot_be_trained_on(tmp_path):
    write_shards(tmp_path, [50], split="val")
    validation = open_validation(val_pattern(tmp_path))
    with pytest.raises(TypeError, match="only TrainShards can be trained on, not ValidationTokens"):
        TrainLoader(validation, micro_batch_tokens=8, seq_len=4, vocab_size=64)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="validation split cannot be trained on"):
        open_train_shards(val_pattern(tmp_path))
    os.link(tmp_path / "fineweb_val_000000.bin", tmp_path / "fineweb_train_000000.bin")
    with pytest.raises(ValueError, match="the same file as the validation shard"):
        check_separate(open_train_shards(train_pattern(tmp_path)), val_pattern(tmp_path))


def test_validation_is_complete_and_in_order(tmp_path):
    stream = write_shards(tmp_path, [10, 20, 5], split="val")
    validation = open_validation(val_pattern(tmp_path))
    np.testing.assert_array_equal(validation.tokens, stream)
    assert validation.num_targets == 34
    assert validation.document_starts(bos_token_id=3) == [3]
    (tmp_path / "fineweb_val_000000.bin").unlink()
    with pytest.raises(ValueError, match="missing shard: the validation split starts at number 0, not 1"):
        open_validation(val_pattern(tmp_path))
    with pytest.raises(ValueError, match="at least 2 tokens"):
        ValidationTokens(stream[:1])


def test_a_token_outside_the_vocabulary_is_reported(tmp_path):
    write_shards(tmp_path, [50])
    loader = TrainLoader(open_train_shards(train_pattern(tmp_path)), micro_batch_tokens=8, seq_len=4, vocab_size=8)
    with pytest.raises(ValueError, match="training token 8 is outside the vocabulary of 8"):
        loader.next_batch()


@pytest.mark.parametrize("settings", [{"micro_batch_tokens": 10}, {"micro_batch_tokens": 0}, {"rank": 2, "world_size": 2}])
def test_impossible_loader_settings_are_refused(tmp_path, settings):
    write_shards(tmp_path, [50])
    values = {"micro_batch_tokens": 8, "seq_len": 4, "vocab_size": 64} | settings
    with pytest.raises(ValueError, match=next(iter(settings))):
        TrainLoader(open_train_shards(train_pattern(tmp_path)), **values)


def header(*values: int) -> bytes:
    ints = np.zeros(256, dtype="<i4")
    ints[: len(values)] = values
    return ints.tobytes()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "truncated: 0 bytes"),
        (header(20240520, 1, 4)[:500], "truncated: 500 bytes"),
        (header(20240521, 1, 0), "bad magic 20240521, expected 20240520"),
        (header(20240520, 2, 0), "shard version 2, only 1"),
        (header(20240520, 1, 4) + bytes(6), "truncated: 4 tokens need 1032 bytes, the file has 1030"),
        (header(20240520, 1, 4) + bytes(10), "header and size disagree"),
        (header(20240520, 1, -1), "header and size disagree"),
    ],
)
def test_a_bad_shard_is_named_with_its_reason(tmp_path, content, reason):
    path = tmp_path / "fineweb_train_000000.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as error:
        open_shard(path)
    assert str(path) in str(error.value)


def test_missing_shards_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"fineweb_train_\*\.bin: no shard matches"):
        find_shards(train_pattern(tmp_path))
    write_shards(tmp_path, [5, 5, 5])
    shards = open_train_shards(train_pattern(tmp_path))
    (tmp_path / "fineweb_train_000001.bin").unlink()
    with pytest.raises(ValueError, match="missing shard: number 1 is not there, 2 is"):
        find_shards(train_pattern(tmp_path))
    with pytest.raises(ValueError, match=r"fineweb_train_000001.bin: cannot be read any more"):
        shards.read(0, 15)
    with pytest.raises(ValueError, match="No such file"):
        open_shard(tmp_path / "fineweb_train_000001.bin")


def test_shards_without_tokens_are_refused(tmp_path):
    write_shard(tmp_path / "fineweb_train_000000.bin", np.empty(0, dtype=np.uint16))
    with pytest.raises(ValueError, match="1 shards without a token"):
        open_train_shards(train_pattern(tmp_path))


def test_a_folder_name_is_not_a_pattern(tmp_path):
    folder = tmp_path / "run[1]"
    folder.mkdir()
    write_shards(folder, [5])
    assert isinstance(open_train_shards(train_pattern(folder)), TrainShards)


def test_a_written_shard_has_the_published_layout(tmp_path):
    path = tmp_path / "fineweb_train_000000.bin"
    write_shard(path, np.array([1, 65535, 258]))
    content = path.read_bytes()
    assert content[:12] == (20240520).to_bytes(4, "little") + (1).to_bytes(4, "little") + (3).to_bytes(4, "little")
    assert content[12:HEADER_BYTES] == bytes(HEADER_BYTES - 12)
    assert content[HEADER_BYTES:] == b"\x01\x00\xff\xff\x02\x01"


@pytest.mark.parametrize("tokens", [[1, 65536], [-1, 4]])
def test_tokens_that_do_not_fit_leave_the_old_shard_alone(tmp_path, tokens):
    path = tmp_path / "fineweb_train_000000.bin"
    write_shard(path, np.array([7]))
    with pytest.raises(ValueError, match="do not fit 16 bits"):
        write_shard(path, np.array(tokens))
    assert open_shard(path).tokens().tolist() == [7]
