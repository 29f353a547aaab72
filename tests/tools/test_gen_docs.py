from __future__ import annotations

import re
from pathlib import Path

import pytest

from rules import ALL_RULES
from tools import gen_docs
from tools.lay_out_fixtures import find_cases


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text(
        "# x\n\n<!-- report -->\nstale text\n<!-- end of report -->\n\nMore.\n", encoding="utf-8"
    )
    return tmp_path


def test_writes_a_page_for_each_rule_and_an_index_and_then_finds_nothing_to_do(root: Path):
    assert gen_docs.main([], root) == 0
    written = {path.name for path in (root / "docs" / "rules").iterdir()}
    assert written == {"index.md", *(f"{rule.id}.md" for rule in ALL_RULES)}
    assert gen_docs.main(["--check"], root) == 0


def test_check_fails_and_says_what_is_out_of_date(root: Path, capsys: pytest.CaptureFixture[str]):
    gen_docs.main([], root)
    edited, left_over = root / f"docs/rules/{ALL_RULES[0].id}.md", root / "docs/rules/PG999.md"
    edited.write_text(edited.read_text(encoding="utf-8").replace("## Examples", "## Edited"), encoding="utf-8")
    left_over.write_text("A rule that is gone.\n", encoding="utf-8")

    assert gen_docs.main(["--check"], root) == 1
    said = capsys.readouterr().err
    assert f"docs/rules/{edited.name} is out of date:" in said
    assert "-## Edited" in said
    assert "+## Examples" in said
    assert "docs/rules/PG999.md is out of date:" in said
    assert left_over.exists()

    gen_docs.main([], root)
    assert not left_over.exists()


def test_the_readme_gets_a_report_between_its_marks_and_stays_otherwise(root: Path):
    gen_docs.main([], root)
    text = (root / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# x\n\n<!-- report -->\n```text\nVIOLATION  ")
    assert text.endswith("```\n<!-- end of report -->\n\nMore.\n")
    assert "stale text" not in text


@pytest.mark.parametrize("text", ["nothing", "<!-- report -->\n", "<!-- report -->\n<!-- end of report --><!-- report -->"])
def test_a_readme_without_its_marks_is_an_error(text: str):
    with pytest.raises(ValueError, match="once each"):
        gen_docs.with_report(text)


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


def test_links_between_pages_lead_somewhere():
    pages = [*gen_docs.ROOT.glob("*.md"), *(gen_docs.ROOT / "docs").rglob("*.md")]
    links = [
        (page, link) for page in pages for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > len(ALL_RULES)
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []
