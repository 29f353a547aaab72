"""The entropy coder of quantised weights: exact way back, close to the entropy, and errors for what it cannot have made."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.bitpack import code_range
from trainer.entropy import CodedGroup, decode_group, encode_group, num_lanes, num_side_bytes


def draw_matrix(generator: np.random.Generator, shape: tuple[int, int], bits: int, width: float) -> np.ndarray:
    low, high = code_range(bits)
    return np.clip(np.rint(width * generator.standard_normal(shape)), low, high).astype(np.int8)


@st.composite
def groups(draw):
    bits = draw(st.integers(2, 8))
    shapes = draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=4))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    return [draw_matrix(generator, shape, bits, draw(st.sampled_from([0.0, 0.3, 3.0, 500.0]))) for shape in shapes], bits


def assert_comes_back(matrices: list[np.ndarray], bits: int) -> CodedGroup:
    shapes = [matrix.shape for matrix in matrices]
    coded = encode_group(matrices, bits)
    assert len(coded.side) == num_side_bytes(shapes, bits)
    for matrix, decoded in zip(matrices, decode_group(coded, shapes, bits), strict=True):
        assert decoded.dtype == np.int8
        assert np.array_equal(decoded, matrix)
    return coded


@given(groups())
@settings(max_examples=40)
def test_every_group_comes_back(group):
    assert_comes_back(*group)


@pytest.mark.parametrize("num_codes", [4095, 4096, 8191, 8192, 8193, 3 * 4096 + 1, 50 * 4096 + 5])
def test_every_number_of_lanes_and_a_last_step_that_is_not_full(num_codes):
    matrix = draw_matrix(np.random.default_rng(0), (1, num_codes), 6, 8.0)
    assert_comes_back([matrix], 6)
    assert num_lanes(num_codes) == min(1024, max(1, num_codes // 4096))


def entropy_bytes(matrix: np.ndarray) -> float:
    shares = np.unique(matrix, return_counts=True)[1] / matrix.size
    return float(-(shares * np.log2(shares)).sum() * matrix.size / 8)


def test_words_are_within_a_tenth_of_a_per_cent_of_the_entropy():
    matrix = draw_matrix(np.random.default_rng(1), (512, 512), 6, 8.0)
    coded = assert_comes_back([matrix], 6)
    assert len(coded.words) == pytest.approx(entropy_bytes(matrix) + 4 * num_lanes(matrix.size), rel=1e-3)


def test_rows_and_columns_of_different_width_cost_what_each_of_them_costs():
    generator = np.random.default_rng(2)
    rows, columns = 2.0 ** generator.uniform(-1, 2, (512, 1)), 2.0 ** generator.uniform(-1, 1, (1, 512))
    widths = 3 * rows * columns
    matrix = np.clip(np.rint(widths * generator.standard_normal(widths.shape)), -32, 31).astype(np.int8)
    coded = assert_comes_back([matrix], 6)
    ideal_bits = np.log2(widths * math.sqrt(2 * math.pi * math.e)).sum()  # of a bell of that width, in steps of 1
    assert len(coded.words) < 1.02 * ideal_bits / 8
    assert len(coded.words) < 0.93 * entropy_bytes(matrix)


def test_equal_codes_cost_next_to_nothing():
    coded = assert_comes_back([np.full((300, 300), -7, dtype=np.int8)], 6)
    assert len(coded.words) == 4 * num_lanes(90_000)


def test_the_coder_has_no_state_between_calls():
    matrices = [draw_matrix(np.random.default_rng(3), (64, 64), 5, 4.0)]
    assert encode_group(matrices, 5) == encode_group(matrices, 5)


# ---- what it cannot have made ----

MATRICES = [draw_matrix(np.random.default_rng(4), (20, 30), 6, 6.0)]
SHAPES = [(20, 30)]
CODED = encode_group(MATRICES, 6)


@given(st.integers(0, len(CODED.words) - 1), st.integers(0, 7))
def test_a_flipped_bit_in_the_words_is_noticed_or_decodes_to_codes(position, bit):
    words = bytearray(CODED.words)
    words[position] ^= 1 << bit
    try:
        (decoded,) = decode_group(CodedGroup(CODED.side, bytes(words)), SHAPES, 6)
    except ValueError:
        return
    low, high = code_range(6)
    assert low <= decoded.min() <= decoded.max() <= high


@given(st.integers(0, len(CODED.side) - 1), st.integers(0, 7))
def test_a_flipped_bit_in_classes_or_tables_never_ends_in_anything_but_a_value_error(position, bit):
    side = bytearray(CODED.side)
    side[position] ^= 1 << bit
    try:
        (decoded,) = decode_group(CodedGroup(bytes(side), CODED.words), SHAPES, 6)
    except ValueError:
        return
    assert decoded.shape == SHAPES[0]


@pytest.mark.parametrize(
    ("side", "words", "reason"),
    [
        (CODED.side[:-1], CODED.words, "bytes of classes and tables"),
        (CODED.side, CODED.words[:-2], "missing|do not end"),
        (CODED.side, CODED.words + b"\0\0", "do not end where they should"),
        (CODED.side, CODED.words + b"\0", "bytes of coded words"),
        (CODED.side, b"", "bytes of coded words"),
        (CODED.side[:50] + bytes(len(CODED.side) - 50), CODED.words, "has no table"),
        (CODED.side[:50] + b"\1" * (len(CODED.side) - 50), CODED.words, "do not add up"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(side, words, reason):
    with pytest.raises(ValueError, match=reason):
        decode_group(CodedGroup(side, words), SHAPES, 6)
