from __future__ import annotations

import base64
import lzma
from pathlib import Path

import pytest

from auditor.excerpts import Excerpts
from auditor.finding import Basis, Finding, Location, Severity, Step
from auditor.report import RuleResult
from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree

SOURCE = """import sys

def main():
    log(
        "val_bpb",
        file=sys.stdout,
    )
"""


@pytest.fixture
def excerpts(tmp_path: Path) -> Excerpts:
    payload = base64.b85encode(lzma.compress(SOURCE.encode())).decode()
    (tmp_path / "train_gpt.py").write_text(f"import lzma,base64\nexec(lzma.decompress(base64.b85decode({payload!r})))\n")
    (tmp_path / "train.log").write_text("seed:1\nval_loss:2.0 val_bpb:1.2\n")
    (tmp_path / "submission.json").write_text('{\n\t"val_bpb": 1.2\n}\n')
    (tmp_path / "notes.txt").write_text("x" * 100_000)
    return Excerpts(Submission("records/x", DirectoryTree(tmp_path)))


@pytest.mark.parametrize(
    ("path", "line", "text"),
    [
        ("train.log", 2, "val_loss:2.0 val_bpb:1.2"),
        ("submission.json", 2, '"val_bpb": 1.2'),
        ("train_gpt.py!decoded", 3, "def main():"),
        ("train.log", 99, None),
        ("missing.log", 1, None),
        ("notes.txt", 1, "x" * 400),
        ("train.log", None, None),
    ],
)
def test_quotes_the_line(path: str, line: int | None, text: str | None, excerpts: Excerpts):
    assert excerpts.locate(Location(path=path, line=line)).snippet == text


def test_a_call_of_several_lines_is_quoted_whole_without_its_indent(excerpts: Excerpts):
    call = excerpts.locate(Location(path="train_gpt.py!decoded", line=4, end_line=7))
    assert call.snippet == 'log(\n    "val_bpb",\n    file=sys.stdout,\n)'


def test_decoded_source_names_the_shipped_file_and_the_line_of_the_payload(excerpts: Excerpts):
    place = excerpts.locate(Location(path="train_gpt.py!decoded", line=3))
    assert (place.outer_path, place.outer_line) == ("train_gpt.py", 2)
    plain = excerpts.locate(Location(path="train_gpt.py", line=1))
    assert (plain.outer_path, plain.outer_line) == (None, None)


def test_what_a_rule_quoted_stays(excerpts: Excerpts):
    assert excerpts.locate(Location(path="train.log", line=2, snippet="mine")).snippet == "mine"


def test_every_place_of_a_finding_is_completed_and_its_fingerprint_stays(excerpts: Excerpts):
    place = Location(path="train.log", line=1)
    finding = Finding(
        rule_id="PG001",
        message="m",
        severity=Severity.ERROR,
        basis=Basis.LOG,
        location=place,
        related=((place, "here"),),
        steps=(Step(location=place, text="then"),),
    )
    result = RuleResult(rule_id="PG001", rule="foreign-log", required=frozenset(), findings=(finding,))
    [completed] = excerpts.complete(result).findings
    places = [completed.location, completed.related[0][0], completed.steps[0].location]
    assert [item.snippet for item in places if item] == ["seed:1"] * 3
    assert completed.fingerprint == finding.fingerprint


def test_an_event_in_decoded_source_names_the_line_of_the_payload_too(tmp_path: Path):
    source = "import glob\nimport torch\ntokens = torch.load(glob.glob('data/fineweb_val_*.bin')[0])\n"
    payload = base64.b85encode(lzma.compress(source.encode())).decode()
    (tmp_path / "train_gpt.py").write_text(f"import lzma,base64\nexec(lzma.decompress(base64.b85decode({payload!r})))\n")
    submission = Submission("records/x", DirectoryTree(tmp_path))
    assert submission.flow is not None
    (read,) = submission.flow.submitted.events
    place = Excerpts(submission).locate(read.location)
    assert (place.path, place.line, place.outer_path, place.outer_line) == ("train_gpt.py!decoded", 3, "train_gpt.py", 2)
