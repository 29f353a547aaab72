"""Compressors: exact way back, and an error, never a surprise, for streams that are not exactly what was announced."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.compression import COMPRESSORS

RAW = bytes(range(256)) * 40
every_compressor = pytest.mark.parametrize(("name", "compressor"), COMPRESSORS.items(), ids=list(COMPRESSORS))


@every_compressor
@pytest.mark.parametrize("raw", [b"", b"a", RAW, bytes(300_000)], ids=["empty", "one", "some", "zeros"])
def test_what_went_in_comes_out(name, compressor, raw):
    assert compressor.decompress(compressor.compress(raw), len(raw)) == raw


@every_compressor
@pytest.mark.parametrize("announced", [0, 1, len(RAW) - 1, len(RAW) + 1, 2**40])
def test_another_length_than_announced_is_refused(name, compressor, announced):
    with pytest.raises(ValueError, match=name):
        compressor.decompress(compressor.compress(RAW), announced)


@every_compressor
@settings(max_examples=25)
@given(cut=st.integers(1, 40))
def test_a_truncated_stream_is_refused(name, compressor, cut):
    with pytest.raises(ValueError, match=name):
        compressor.decompress(compressor.compress(RAW)[:-cut], len(RAW))


@every_compressor
def test_bytes_after_the_stream_are_refused(name, compressor):
    with pytest.raises(ValueError, match=name):
        compressor.decompress(compressor.compress(RAW) + b"more", len(RAW))


@every_compressor
@given(noise=st.binary(max_size=200))
def test_noise_is_refused_or_decodes_to_what_was_announced(name, compressor, noise):
    try:
        decoded = compressor.decompress(noise, 7)
    except ValueError:
        return
    assert len(decoded) == 7
