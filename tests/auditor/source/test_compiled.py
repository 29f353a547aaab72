"""Conditions in C code on the token that is being written for."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.source.compiled import find_gates, find_spreads
from auditor.source.parse import parse_source
from auditor.submission.script import Module
from auditor.submission.tree import DirectoryTree


def lines_of(source: str, folder: Path) -> list[int | None]:
    (folder / "helper.c").write_text(source, encoding="utf-8")
    return [gate.line for gate in find_gates(DirectoryTree(folder))]


def loop(*body: str) -> str:
    return "\n".join(["for (int i = 1; i < n; i++) {", *body, "}"])


@pytest.mark.parametrize(
    "body",
    [
        ("if (kind[tokens[i]]) out[i] = 1;",),
        ("out[i] = kind[tokens[i]] ? 1 : 2;",),
        ("int t = tokens[i]; int k = kind[t];", "if (!k && len > 0) {", "if (found) { out[i] = best; }", "}"),
    ],
)
def test_entry_written_under_a_property_of_its_own_token_is_found(body: tuple[str, ...], tmp_path: Path):
    assert lines_of(loop(*body), tmp_path) == [3 if len(body) > 1 else 2]


@pytest.mark.parametrize(
    "body",
    [
        ("if (kind[tokens[i - 1]]) out[i] = 1;",),
        ("out[i] = best; if (kind[tokens[i]]) { length = 0; }",),
        ("int t = tokens[i]; if (found) { out[i] = best; } counts[t] += 1;",),
        ("/* if (kind[tokens[i]]) out[i] = 1; */",),
    ],
)
def test_entry_written_whatever_its_token_is_not_found(body: tuple[str, ...], tmp_path: Path):
    assert lines_of(loop(*body), tmp_path) == []


def test_unclosed_bracket_is_read_to_the_end(tmp_path: Path):
    assert lines_of("for (int i = 1; i < n; i++) { if (kind[tokens[i]]) { out[i] = 1;", tmp_path) == [1]


MIXED = """double mix(const double *nll, const int *lengths, long n) {
    double sum = 0.0;
    for (long i = 0; i < n; i++) {
        double share = -nll[i] / lengths[i];
        sum -= log(0.5 * exp(share) + 0.5 / 256);
    }
    return sum / n;
}
"""


def test_a_loss_that_c_code_spreads_and_mixes_is_found_in_a_file_and_in_a_string(tmp_path: Path):
    (tmp_path / "mix.c").write_text(MIXED, encoding="utf-8")
    source = f'import ctypes\nCODE = r"""\n{MIXED}"""\n'
    module = Module(path="train_gpt.py", source_path="train_gpt.py", source=source, tree=parse_source(source)[0])

    found = find_spreads(DirectoryTree(tmp_path), [module])

    assert [(place.path, place.line) for place in found] == [("mix.c", 4), ("train_gpt.py", 6)]


@pytest.mark.parametrize(
    "source",
    [
        MIXED.replace("-nll[i] / lengths[i]", "-nll[i]"),  # a mean over all tokens divides nothing inside the loop
        MIXED.replace("-nll[i] / lengths[i]", "(double)lengths[i] / n"),  # no probability
        MIXED.replace("log(0.5 * exp(share) + 0.5 / 256)", "share"),  # spread, and mixed with nothing
    ],
)
def test_c_code_that_mixes_no_spread_loss_is_not_found(source: str, tmp_path: Path):
    (tmp_path / "mix.c").write_text(source, encoding="utf-8")

    assert not find_spreads(DirectoryTree(tmp_path), [])
