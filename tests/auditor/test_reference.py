"""A validation split that the caller names: what its file must hold, and that every format says it was used."""

from __future__ import annotations

import html
import json
from dataclasses import asdict
from datetime import date
from pathlib import Path

import pytest

from auditor.output import FORMATS, render
from auditor.output.json_report import from_json
from auditor.reference import ReferenceSplit, read_split
from auditor.report import ReportSet
from auditor.rule import Ruleset, RulesetName
from rules import ALL_RULES

SPLIT = ReferenceSplit(
    name="demo", num_tokens=52_911, num_bytes=117_716, tokenizer_sha256="02", vocab_size=1024, source="docstrings"
)
FILE = {
    "schema_version": 1, "name": "demo", "num_documents": 9, "num_tokens": 52_911, "num_bytes": 117_716,
    "tokenizer": {"sha256": "02", "vocab_size": 1024}, "source": "docstrings",
}  # fmt: skip


def written(folder: Path, text: str) -> Path:
    path = folder / "split.json"
    path.write_text(text)
    return path


def test_the_file_is_read(tmp_path: Path) -> None:
    assert read_split(written(tmp_path, json.dumps(FILE))) == SPLIT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "schema_version is not 1"),
        (json.dumps(FILE | {"schema_version": 2}), "schema_version is not 1"),
        (json.dumps(FILE | {"num_bytes": "117716"}), "num_bytes is '117716', not a positive integer"),
        (json.dumps(FILE | {"num_tokens": True}), "num_tokens is True, not a positive integer"),
        (json.dumps(FILE | {"name": " "}), "name is ' ', not a text"),
        (json.dumps(FILE | {"tokenizer": "02"}), "sha256 is None, not a text"),
    ],
)
def test_a_file_that_describes_no_split_is_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match="describes no validation split") as error:
        read_split(path)
    assert reason in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_says_which_split_was_used(format: str) -> None:
    texts = {}
    for split in (SPLIT, None):
        ruleset = Ruleset(RulesetName.PRACTICE, date(2026, 5, 2), split=split)
        reports = ReportSet(tool_version="1", ruleset=ruleset, reports=())
        texts[split] = " ".join(html.unescape(render(reports, ALL_RULES, format, width=300)).split())
    said = "split demo, not the contest's" in texts[SPLIT]
    assert said if format != "json" else json.loads(texts[SPLIT])["ruleset"]["split"] == asdict(SPLIT)
    assert "demo" not in texts[None]


def test_the_json_is_read_back() -> None:
    ruleset = Ruleset(RulesetName.PRACTICE, date(2026, 5, 2), split=SPLIT, against="Naive Baseline")
    reports = ReportSet(tool_version="1", ruleset=ruleset, reports=())
    assert from_json(json.loads(render(reports, ALL_RULES, "json"))) == reports
