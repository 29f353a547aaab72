from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from auditor.finding import Unestablished
from auditor.output import FORMATS, render
from auditor.output.page import Page, break_name
from auditor.rule import Rule

_STYLE = re.compile(r"\x1b\[[\d;]*m")


def shown(samples: Callable[..., Any], *reports: str, **options: Any) -> str:
    made = samples()
    return render(made.set(*(getattr(made, name)() for name in reports)), (), "text", width=100, **options)


def test_the_first_line_is_the_verdict(samples: Callable[..., Any]):
    assert shown(samples, "violation").startswith("VIOLATION  PR #7: oversize-artifact fails; a person must look at")
    assert shown(samples, "clean").startswith("CLEAN  2026-04-17_Fine: ")
    assert shown(samples, "error").startswith("ERROR  empty: the folder is empty")


def test_colour_adds_styles_and_changes_nothing_else(samples: Callable[..., Any]):
    coloured = shown(samples, "violation", "error", color=True)
    assert "\x1b[" in coloured
    assert _STYLE.sub("", coloured) == shown(samples, "violation", "error")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_no_line_is_wider_than_the_page(width: int, samples: Callable[..., Any], sample_rules: tuple[Rule, ...]):
    text = render(samples().all(), sample_rules, "text", width=width)
    assert max(map(len, text.splitlines())) <= width


def test_few_that_are_not_clean_are_shown_in_full_and_clean_ones_are_not(samples: Callable[..., Any]):
    text = shown(samples, "violation", "clean", "clean")
    assert "What decides it" in text
    assert "CLEAN" not in text


def test_many_stay_a_table(samples: Callable[..., Any]):
    text = shown(samples, *["violation"] * 4)
    assert "What decides it" not in text
    assert text.count("oversize-artifact") == 4


def test_one_clean_report_lists_what_was_not_established(samples: Callable[..., Any]):
    made = samples()
    fine = made.clean()
    unestablished = made.violation().results[2]
    report = type(fine)(submission=fine.submission, headline=None, results=(*fine.results, unestablished))
    assert "Not established\n  - seed-mismatch: no log names a seed\n" in render(made.set(report), (), "text", width=80)


def test_reasons_that_differ_in_numbers_only_share_a_line(samples: Callable[..., Any]):
    made = samples()
    reasons = tuple(Unestablished(message=f"seed {seed}: {seed},000 is too coarse") for seed in (1, 42, 7))
    other = (Unestablished(message="no log"), Unestablished(message="seed 1: 1,000 is too coarse"))
    results = (
        made.result("PG301", "one-rule", unestablished=reasons),
        made.result("PG302", "two-rule", unestablished=other),
    )
    text = render(made.set(replace(made.clean(), headline=None, results=results)), (), "text", width=120)
    assert "  - one-rule, two-rule: seed 1: 1,000 is too coarse (and 2 more like it)\n  - two-rule: no log\n" in text


def test_authorities_come_with_their_dates_oldest_first(samples: Callable[..., Any], sample_rules: tuple[Rule, ...]):
    text = render(samples().set(samples().violation()), sample_rules, "text", width=120)
    assert "Authority: readme (2026-03-18): at most 16,000,000 bytes; organiser ruling (2026-04-01)" in text


def test_nothing_at_all_is_said(samples: Callable[..., Any]):
    assert "0 submissions\n" in render(samples().set(), (), "text", width=80)


def test_a_long_line_of_a_file_is_cut_and_not_left_out():
    page = Page(40)
    page.quote("x" * 1000, 4)
    lines = page.text().splitlines()
    assert len(lines) == 3
    assert lines[-1].endswith("x...")


def test_starting_loads_no_format():
    code = (
        "import sys, auditor.output; print([name for name in sys.modules if name.startswith(('rich', 'auditor.output.'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_in_a_table_paths_stand_for_names_that_are_the_same(samples: Callable[..., Any]):
    report = samples().review()
    moved = replace(report, submission=replace(report.submission, path="records/track_non_record_16mb/2026-04-16_Odd"))
    text = render(samples().set(*[report, moved] * 2, samples().clean()), (), "text", width=120)
    assert text.count("records/track_non_record_16mb/2026-04-16_Odd ") == 2
    assert "\n2026-04-17_Fine " in text


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("short", ["short"]),
        ("final_int6_sliding_window_exact", ["final_int6_", "sliding_", "window_exact"]),
        ("unbreakableword", ["unbreakableword"]),
        ("", [""]),
    ],
)
def test_names_are_broken_where_they_can_be(name: str, lines: list[str]):
    assert break_name(name, 12).split("\n") == lines


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_what_weakens_a_finding(form: str, samples: Callable[..., Any]):
    made = samples()
    dead = replace(made.note(), live=False)
    report = replace(made.review(), results=(made.result("PG701", "train-before-score", findings=(made.warning(), dead)),))
    text = render(made.set(report), (), form, width=120)
    assert "medium" in text
    assert ('"live": false' if form == "json" else "the submitted configuration never gets there") in text
