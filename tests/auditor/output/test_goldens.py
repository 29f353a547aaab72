"""Every format's exact text for one set of reports made by hand, kept beside the tests and read in the diff.

``python -m pytest tests/auditor/output --update-golden`` rewrites them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditor.output import FORMATS, render
from auditor.report import ReportSet
from auditor.rule import Rule

GOLDENS = Path(__file__).parent / "golden"
CASES = {
    "one-80.txt": ("one", "text", 80),
    "one-120.txt": ("one", "text", 120),
    "several-80.txt": ("several", "text", 80),
    "many-80.txt": ("many", "text", 80),
    "one.md": ("one", "markdown", None),
    "many.md": ("many", "markdown", None),
    "several.annotations": ("several", "github", None),
    "several.json": ("several", "json", None),
    "several.sarif": ("several", "sarif", None),
    "one.html": ("one", "html", None),
    "several.html": ("several", "html", None),
}


def reports(samples: Callable[..., Any], which: str) -> ReportSet:
    made = samples()
    match which:
        case "one":
            return made.set(made.violation())
        case "several":
            return made.all()
        case _:
            odd = made.review()
            others = [replace(odd, submission=replace(odd.submission, path=f"records/{name}")) for name in ("a", "b", "c")]
            return made.set(odd, *others, made.clean())


@pytest.mark.parametrize("name", CASES)
def test_text_is_exactly_this(
    name: str, samples: Callable[..., Any], sample_rules: tuple[Rule, ...], request: pytest.FixtureRequest
):
    which, form, width = CASES[name]
    text = render(reports(samples, which), sample_rules, form, width=width)
    if form == "html":
        text = structure(text)
    golden = GOLDENS / name
    if request.config.getoption("--update-golden"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def structure(page: str) -> str:
    """What a page says and how it is built, one element a line; its style sheet, its script and their hashes left out."""
    body = re.sub(r"(?s)<(style|script)>.*?</\1>|'sha256-[^']*'", "", page)
    return re.sub(r"(?=<)(?<!\n)", "\n", body)


def test_every_format_has_a_golden():
    assert {form for _, form, _ in CASES.values()} == set(FORMATS)


def test_an_unknown_format_is_an_error_that_names_the_known_ones(samples: Callable[..., Any]):
    with pytest.raises(ValueError, match=r"'yaml'.*text, json, sarif, markdown, github, html"):
        render(samples().all(), (), "yaml")
