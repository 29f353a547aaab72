"""Packing of k-bit codes: an exact inverse at every width, length and layout, and an error for what is not a packing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.bitpack import code_range, num_packed_bytes, pack, require_range, unpack

WIDTHS = st.integers(2, 8)


@st.composite
def matrices(draw):
    bits = draw(WIDTHS)
    shape = draw(st.tuples(st.integers(0, 9), st.integers(0, 9)))
    low, high = code_range(bits)
    values = draw(st.lists(st.integers(low, high), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    return np.array(values, dtype=np.int8).reshape(shape), bits


@given(matrices())
def test_unpack_inverts_pack_in_the_fewest_whole_bytes(matrix):
    codes, bits = matrix
    packed = pack(codes, bits)
    assert len(packed) == num_packed_bytes(codes.size, bits) == -(-codes.size * bits // 8)
    unpacked = unpack(packed, codes.size, bits)
    assert unpacked.dtype == np.int8
    assert unpacked.tolist() == codes.reshape(-1).tolist()


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
    assert np.array_equal(unpack(pack(codes, bits), codes.size, bits), codes.reshape(-1))


@pytest.mark.parametrize(("code", "bits"), [(32, 6), (-33, 6), (2, 2), (-3, 2)])
def test_a_code_that_needs_more_bits_is_refused(code, bits):
    with pytest.raises(ValueError, match=f"do not fit into {bits} bits"):
        pack(np.array([0, code], dtype=np.int8), bits)
    assert require_range(np.array([-(1 << (bits - 1))], dtype=np.int8), bits) == -(1 << (bits - 1))


@pytest.mark.parametrize("bits", [1, 9, 0, -3])
def test_a_width_that_is_not_covered_is_refused(bits):
    with pytest.raises(ValueError, match=f"codes of {bits} bits"):
        unpack(b"", 0, bits)


@pytest.mark.parametrize("change", [b"", b"12"])
def test_bytes_of_another_length_are_refused(change):
    packed = pack(np.zeros(15, dtype=np.int8), 6)
    with pytest.raises(ValueError, match="bytes for 15 codes of 6 bits"):
        unpack(packed[:-1] + change, 15, 6)
