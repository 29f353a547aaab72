"""The page as text: well formed, loading nothing, and saying what the report says."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from auditor.finding import Amount, Basis, Evidence, Measurement
from auditor.output import render
from auditor.output.html.charts import measurements
from auditor.output.html.markup import Markup, element, escape, join
from auditor.report import ReportSet
from auditor.timeline import Action, Step, Timeline

VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """Collects tags, attributes and texts; complains about a tag that is closed out of order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def everything(samples: Callable[..., Any]) -> ReportSet:
    return samples().all()  # type: ignore[no-any-return]


def test_every_element_is_closed_and_no_id_stands_twice(everything: ReportSet, sample_rules: tuple[Any, ...]):
    page = Page(render(everything, sample_rules, "html"))
    assert page.open == []
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    labels = [value for name, value in page.attributes if name == "aria-labelledby"]
    assert labels
    assert set(labels) <= set(ids)


def test_no_attribute_carries_style_script_or_an_address(everything: ReportSet):
    page = Page(render(everything, (), "html"))
    assert [name for name, _ in page.attributes if name == "style" or name.startswith("on") or name == "src"] == []
    addresses = {value for name, value in page.attributes if name == "href"}
    assert all(re.fullmatch(r"#\w*|data:,", address or "") for address in addresses)


def test_the_policy_names_the_style_sheet_and_the_script_and_allows_nothing_else(everything: ReportSet):
    text = render(everything, (), "html")
    policy = next(value for name, value in Page(text).attributes if name == "content" and "default-src" in (value or ""))
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() + "'"
        for body in re.findall(r"(?s)<(?:style|script)>(.*?)</(?:style|script)>", text)
    ]
    assert policy == (
        f"default-src 'none'; img-src data:; style-src {hashes[0]}; script-src {hashes[1]}; "
        "base-uri 'none'; form-action 'none'"
    )


def test_the_same_reports_give_the_same_page(everything: ReportSet):
    assert render(everything, (), "html") == render(everything, (), "html")


def test_every_fixture_makes_a_well_formed_page(fixture_reports: ReportSet):
    page = Page(render(fixture_reports, (), "html"))
    assert page.open == []
    assert page.attributes.count(("class", "report")) == len(fixture_reports.reports)


def test_text_is_escaped_and_markup_is_not():
    assert escape("<&>\"'") == "&lt;&amp;&gt;&quot;&#x27;"
    assert escape(Markup("<b>")) == "<b>"
    assert element("p", "<", element("b", "x"), class_='a"b', hidden=True, lang=None) == (
        '<p class="a&quot;b" hidden>&lt;<b>x</b></p>'
    )
    assert join(("<", Markup("<i>")), " & ") == "&lt; &amp; <i>"


def test_no_line_of_the_page_can_be_taken_for_a_command(samples: Callable[..., Any]):
    made = samples(lambda word: f"::error::{word}\n::error::##[error]")
    text = render(made.set(made.violation()), (), "html")
    assert "##[" not in text
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]


# ---- drawings ----


def rows_of(text: str, table: str) -> list[str]:
    """The rows of the tables of a class, each as its words."""
    bodies = re.findall(rf'(?s)<table class="{table}".*?</table>', text)
    rows = [row for body in bodies for row in re.findall(r"(?s)<tr.*?</tr>", body)]
    return [" ".join("".join(f" {word}" for word in Page(row).texts).split()) for row in rows]


def test_sizes_stand_against_the_cap_in_every_way_of_counting_the_code(samples: Callable[..., Any]):
    rows = rows_of(render(samples().set(samples().violation()), (), "html"), "chart")
    assert any(row.endswith("16,400,000 100,000 16,500,000 500,000 over") and row.startswith("seed 1") for row in rows)
    assert "as shipped 100,000 16,500,000 500,000 over" in rows
    assert "as a compressed wrapper 30,000 16,430,000 430,000 over" in rows


def test_seeds_stand_with_their_mean_the_claim_and_the_row_to_beat(samples: Callable[..., Any]):
    report = samples().violation()
    row = Amount(name="Last one, listed 2026-04-01", amount=1.2, unit="bits per byte")
    gain = Measurement(quantity="p", observed=0.1, limit=0.2, unit="", beside=(row,))
    evidence = Evidence(basis=Basis.LOG, message="better", measurement=gain)
    results = (*report.results, samples().result("PG004", "unsupported-significance", evidence=(evidence,)))
    rows = rows_of(render(samples().set(replace(report, results=results)), (), "html"), "chart")
    assert "seed 1 1.10100 train_seed1.log:21" in rows
    assert "seed 2 1.10200 train_seed2.log:22" in rows
    assert "mean 1.10150 of 2; standard deviation 0.00071" in rows
    assert "claimed 1.10150 submission.json:4 (val_bpb)" in rows
    assert "to beat 1.20000 Last one, listed 2026-04-01" in rows


def test_on_every_fixture_the_parts_of_what_was_measured_add_up(fixture_reports: ReportSet):
    found = [item for report in fixture_reports.reports for item in measurements(report)]
    whole = [item for item in found if item.parts]
    assert {item.quantity for item in whole} == {"artifact"}
    assert all(sum(part.amount for part in item.parts) == item.observed for item in whole)
    assert {amount.unit for item in found for amount in item.beside} == {"bytes", "bits per byte"}


def test_nothing_is_drawn_of_what_was_not_measured(samples: Callable[..., Any]):
    text = render(samples().set(samples().error()), (), "html")
    assert "<table" not in text
    assert "The folder is empty." in text


def test_a_long_run_is_cut_and_says_so(samples: Callable[..., Any]):
    steps = tuple(
        Step(
            action=Action.SCORE,
            spans=((number, number + 1),),
            text="scores",
            location=samples().location("a.py", number + 1),
        )
        for number in range(130)
    )
    timeline = Timeline(basis=Basis.RUN, num_positions=130, steps=steps, caption="A run.")
    text = render(samples().set(replace(samples().violation(), timelines=(timeline,))), (), "html")
    assert len(rows_of(text, "timeline")) == 101
    assert "30 more steps are not drawn." in text


def test_the_number_of_steps_at_one_place_is_told_once(samples: Callable[..., Any]):
    text = render(samples().set(samples().violation()), (), "html")
    assert "step 1: <code>train_gpt.py:30, in eval_val</code> scores a chunk" in text
