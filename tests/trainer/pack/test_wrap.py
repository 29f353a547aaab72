"""A self-extracting file runs exactly the text that went in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.pack.wrap import Wrapped, choose, wrap

SOURCE = "result = [f'{number} \u2581' for number in range(3)]\n" * 30


@pytest.mark.parametrize("needs", ["lzma", "zlib", "brotli", "zstandard"])
def test_every_form_runs_the_source(needs):
    names: dict[str, object] = {}
    exec(wrap(SOURCE.encode())[needs].code.decode(), names)
    assert names["result"] == ["0 \u2581", "1 \u2581", "2 \u2581"]


@settings(max_examples=20)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r"), max_size=300))
def test_any_text_comes_back(text):
    names: dict[str, object] = {}
    exec(wrap(f"result = {text!r}".encode())["lzma"].code.decode(), names)
    assert names["result"] == text


def test_a_file_is_ascii_of_two_lines():
    code = wrap(SOURCE.encode())["lzma"].code
    assert code.isascii()
    assert code.count(b"\n") == 2


@pytest.mark.parametrize(("brotli_bytes", "chosen"), [(950, "lzma"), (900, "brotli")])
def test_the_standard_library_is_preferred_when_little_is_lost(brotli_bytes, chosen):
    sizes = {"lzma": 1000, "zlib": 1200, "brotli": brotli_bytes}
    assert choose({needs: Wrapped(bytes(size), needs) for needs, size in sizes.items()}).needs == chosen
