"""Findings over real submissions, held against a golden (rule ids, severities, paths and lines; none of their text).

Runs only with ``-m corpus`` and a clone or mirror of the contest repository named by PGOLF_CORPUS. A change of findings is
reviewed in the diff of the golden, which ``--update-golden`` rewrites.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.engine import audit
from auditor.finding import Severity
from auditor.report import Outcome, Report
from auditor.rule import Ruleset, RulesetName
from auditor.submission.locate import locate
from auditor.submission.repository import Repository
from auditor.submission.submission import Submission
from rules import ALL_RULES
from rules.limits import RULES_AS_OF

pytestmark = pytest.mark.corpus

GOLDEN = Path(__file__).parent / "golden.json"
PRACTICE = Ruleset(RulesetName.PRACTICE, RULES_AS_OF.value)
RECORDS = "records/track_10min_16mb"

# The cases that the contest's own history singles out; their statements are part of what pgolf promises.
NAMED = (297, 564, 1127, 1143, 1203, 1399, 1412, 1493, 1734, 1835, 2071)


@pytest.fixture(scope="session")
def corpus() -> Path:
    named = os.environ.get("PGOLF_CORPUS")
    if not named:
        pytest.fail("set PGOLF_CORPUS to a git directory of the contest repository")
    return Path(named)


@pytest.fixture(scope="session")
def merged(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Report]:
    """Reports on every record folder of the main branch."""
    packed = subprocess.run(["git", "-C", corpus, "archive", "main", RECORDS], check=True, capture_output=True).stdout
    root = tmp_path_factory.mktemp("main")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(root, filter="data")
    opened = [item for item in locate(root / RECORDS) if isinstance(item, Submission)]
    return [audit(submission, ALL_RULES, PRACTICE) for submission in opened]


@pytest.fixture(scope="session")
def named(corpus: Path) -> dict[int, Report]:
    repository = Repository(corpus)
    opened = {number: repository.pull_request(number) for number in NAMED}
    return {n: audit(s, ALL_RULES, PRACTICE) for n, s in opened.items() if isinstance(s, Submission)}


def described(report: Report) -> Iterator[str]:
    for result in report.results:
        for finding in result.findings:
            if finding.severity is not Severity.NOTE:
                yield f"{finding.rule_id} {finding.severity} {finding.location or '-'}"


def test_findings_match_the_golden(merged: list[Report], named: dict[int, Report], pytestconfig: pytest.Config) -> None:
    found = {Path(report.submission.path).name: sorted(described(report)) for report in merged}
    found |= {f"#{number}": sorted(described(report)) for number, report in named.items()}
    if pytestconfig.getoption("--update-golden"):
        GOLDEN.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(GOLDEN.read_text())


def test_no_rule_crashes(merged: list[Report], named: dict[int, Report]) -> None:
    crashes = [
        f"{report.submission.path} {result.rule_id}\n{result.crash}"
        for report in [*merged, *named.values()]
        for result in report.results
        if result.outcome is Outcome.CRASHED
    ]
    assert crashes == []
