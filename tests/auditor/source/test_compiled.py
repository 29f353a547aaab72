"""Conditions in C code on the token that is being written for."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.source.compiled import find_gates
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
