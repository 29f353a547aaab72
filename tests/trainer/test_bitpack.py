"""Packing of k-bit codes: an exact inverse at every width, length and layout, and an error for what is not a packing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.bitpack import Layout, code_range, decode, encode, num_encoded_bytes, num_packed_bytes, pack, unpack

WIDTHS = st.integers(2, 8)


@st.composite
def matrices(draw):
    bits = draw(WIDTHS)
    shape = draw(st.tuples(st.integers(0, 9), st.integers(0, 9)))
    low, high = code_range(bits)
    values = draw(st.lists(st.integers(low, high), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    return np.array(values, dtype=np.int8).reshape(shape), bits


@given(matrices(), st.sampled_from(Layout))
def test_decode_inverts_encode_in_every_layout(matrix, layout):
    codes, bits = matrix
    data = encode(codes, bits, layout)
    assert len(data) == num_encoded_bytes(codes.size, bits, layout)
    decoded = decode(data, codes.shape, bits, layout)
    assert decoded.dtype == np.int8
    assert decoded.tolist() == codes.tolist()


@given(matrices())
def test_packing_spends_the_fewest_whole_bytes(matrix):
    codes, bits = matrix
    assert len(pack(codes, bits)) == -(-codes.size * bits // 8)


@given(matrices())
def test_packed_bits_are_the_codes_offset_by_the_lowest_code_lowest_bits_first(matrix):
    codes, bits = matrix
    low, _ = code_range(bits)
    number = sum((int(code) - low) << (bits * place) for place, code in enumerate(codes.reshape(-1)))
    assert pack(codes, bits) == number.to_bytes(num_packed_bytes(codes.size, bits), "little")


@pytest.mark.parametrize("bits", range(2, 9))
def test_a_large_matrix_survives(bits):
    low, high = code_range(bits)
    codes = np.random.default_rng(bits).integers(low, high, (257, 1031), dtype=np.int8, endpoint=True)
    for layout in Layout:
        assert np.array_equal(decode(encode(codes, bits, layout), codes.shape, bits, layout), codes)


@pytest.mark.parametrize("layout", Layout)
def test_a_code_that_needs_more_bits_is_refused(layout):
    with pytest.raises(ValueError, match="do not fit into 6 bits"):
        encode(np.array([[32]], dtype=np.int8), 6, layout)


@pytest.mark.parametrize("bits", [1, 9, 0, -3])
def test_a_width_that_is_not_covered_is_refused(bits):
    with pytest.raises(ValueError, match=f"codes of {bits} bits"):
        unpack(b"", 0, bits)


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("change", [b"", b"12"])
def test_bytes_of_another_length_are_refused(layout, change):
    data = encode(np.zeros((3, 5), dtype=np.int8), 6, layout)
    with pytest.raises(ValueError, match="bytes for"):
        decode(data[:-1] + change, (3, 5), 6, layout)


@pytest.mark.parametrize("layout", [Layout.ROWS, Layout.COLUMNS])
def test_stored_codes_out_of_range_are_refused(layout):
    with pytest.raises(ValueError, match="do not fit into 4 bits"):
        decode(bytes([8, 0]), (1, 2), 4, layout)
