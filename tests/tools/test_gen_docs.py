from __future__ import annotations

from pathlib import Path

import pytest

from rules import ALL_RULES
from tools import gen_docs
from tools.lay_out_fixtures import find_cases


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gen_docs, "PAGES", tmp_path / "docs" / "rules")
    return tmp_path / "docs" / "rules"


def test_writes_a_page_for_each_rule_and_an_index_and_then_finds_nothing_to_do(pages: Path):
    assert gen_docs.main([]) == 0
    assert {path.name for path in pages.iterdir()} == {"index.md", *(f"{rule.id}.md" for rule in ALL_RULES)}
    assert gen_docs.main(["--check"]) == 0


def test_check_fails_and_says_what_is_out_of_date(pages: Path, capsys: pytest.CaptureFixture[str]):
    gen_docs.main([])
    edited, left_over = pages / f"{ALL_RULES[0].id}.md", pages / "PG999.md"
    edited.write_text(edited.read_text(encoding="utf-8").replace("## Examples", "## Edited"), encoding="utf-8")
    left_over.write_text("A rule that is gone.\n", encoding="utf-8")

    assert gen_docs.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert f"docs/rules/{edited.name} is out of date:" in said
    assert "-## Edited" in said
    assert "+## Examples" in said
    assert "docs/rules/PG999.md is out of date:" in said
    assert left_over.exists()

    gen_docs.main([])
    assert not left_over.exists()


def test_a_page_shows_the_shortest_bad_and_good_case_and_names_the_others():
    cases = find_cases()
    for rule in ALL_RULES:
        own = [case for case in cases if case.rule_id == rule.id]
        page = gen_docs.page(rule, cases)
        for kind, words in (("bad", "Breaks the rule"), ("good", "Keeps the rule")):
            shortest = min((case for case in own if case.kind == kind), key=gen_docs.num_lines)
            assert f"**{words}** (`{shortest.folder.name}`)" in page
        assert all(f"`{case.folder.name}`" in page for case in own)
        assert all(str(authority.since) in page for authority in rule.authority)
