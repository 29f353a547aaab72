"""The pages in a real browser: what a reader can do with them by mouse, by keyboard, on paper and without scripts.

A browser answers an action when it gets to it: what follows from one is waited for (`expect`), never looked up at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from auditor.report import ReportSet

expect = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'pgolf[dev]'").expect
expect.set_options(timeout=20_000)  # of a machine that does other work beside

Show = Callable[..., Any]
PHONE = {"viewport": {"width": 390, "height": 844}}


def shown_rows(page: Any) -> Any:
    return page.locator("#table tbody tr:visible th")


def background(page: Any) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")  # type: ignore[no-any-return]


# ---- one report ----


def test_the_verdict_comes_first(show: Show, single: ReportSet, sample_rules: tuple[Any, ...]):
    page = show(single, sample_rules).page
    expect(page).to_have_title("PR #7: violation - pgolf audit")
    heading = page.locator("h1").inner_text().lower()
    assert "violation" in heading
    assert "pr #7" in heading


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_system_and_the_button_turns_it_over(show: Show, single: ReportSet, scheme: str):
    page = show(single, color_scheme=scheme).page
    button = page.get_by_role("button", name="Dark")
    before = background(page)
    assert button.get_attribute("aria-pressed") == str(scheme == "dark").lower()
    button.click()
    body = page.locator("body")
    expect(body).not_to_have_css("background-color", before)
    expect(button).to_have_attribute("aria-pressed", str(scheme != "dark").lower())
    button.press("Enter")
    expect(body).to_have_css("background-color", before)


def test_what_is_folded_opens_by_keyboard(show: Show, single: ReportSet):
    page = show(single).page
    summary = page.locator("summary", has_text="7 rules")
    table = page.locator("table.rules")
    expect(table).to_be_hidden()
    summary.focus()
    page.keyboard.press("Enter")
    expect(table).to_be_visible()


def test_the_first_stop_of_the_keyboard_skips_to_the_content(show: Show, single: ReportSet):
    page = show(single).page
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_what_has_the_focus_shows_it(show: Show, several: ReportSet):
    page = show(several).page
    for _ in range(12):
        page.keyboard.press("Tab")
        style = page.evaluate("(e => [e.tagName, getComputedStyle(e).outlineStyle])(document.activeElement)")
        assert style[0] == "BODY" or style[1] != "none", style


def test_paper_shows_all_that_is_folded_dark_on_light_and_no_controls(show: Show, several: ReportSet):
    page = show(several, anchor="#r1", color_scheme="dark").page
    expect(page.locator("table.rules")).to_be_hidden()
    page.emulate_media(media="print")
    assert page.locator("table.rules").bounding_box()["height"] > 50
    assert page.locator("ol.story").bounding_box()["height"] > 10
    assert background(page) == "rgb(253, 253, 251)"
    expect(page.locator("#theme")).to_be_hidden()
    expect(page.locator("#turn")).to_be_hidden()


def test_motion_is_left_out_where_it_is_not_wanted(show: Show, single: ReportSet):
    behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
    assert show(single).page.evaluate(behaviour) == "auto"
    assert show(single, reduced_motion="no-preference").page.evaluate(behaviour) == "smooth"


def test_the_picture_has_one_row_for_each_step_and_its_marks_lie_where_they_belong(show: Show, single: ReportSet):
    page = show(single).page
    rows = page.locator("table.timeline tbody tr")
    expect(rows).to_have_count(4)
    width = rows.nth(0).locator("svg").bounding_box()["width"]
    mark = rows.nth(3).locator("rect").nth(1).bounding_box()
    frame = rows.nth(3).locator("svg").bounding_box()
    assert (mark["x"] - frame["x"]) / width == pytest.approx(8 / 12, abs=0.01)
    assert mark["width"] / width == pytest.approx(4 / 12, abs=0.01)


# ---- the index ----


def test_filters_narrow_the_table_down_together(show: Show, several: ReportSet):
    page = show(several).page
    expect(shown_rows(page)).to_have_count(5)
    expect(page.locator("#shown")).to_have_text("5 of 5 shown")
    page.get_by_label("clean").uncheck()
    expect(shown_rows(page)).to_have_text(["PR #7", "2026-04-16_Odd", "empty"])
    page.get_by_label("Rule").select_option("foreign-log")
    expect(shown_rows(page)).to_have_text(["PR #7", "2026-04-16_Odd"])
    page.get_by_label("Text").fill("ODD 2026")
    expect(shown_rows(page)).to_have_text(["2026-04-16_Odd"])
    expect(page.locator("#shown")).to_have_text("1 of 5 shown")
    page.get_by_label("Text").fill("")
    page.get_by_label("Rule").select_option("")
    page.get_by_label("clean").check()
    expect(shown_rows(page)).to_have_count(5)


def test_the_text_filter_finds_paths_that_the_table_does_not_show(show: Show, several: ReportSet):
    page = show(several).page
    page.get_by_label("Text").fill("2026-04-15_big")
    expect(shown_rows(page)).to_have_text(["PR #7"])


def test_columns_sort_both_ways_with_what_is_empty_last(show: Show, several: ReportSet):
    page = show(several).page
    head = page.locator("#table thead th").nth(2)
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    expect(shown_rows(page).first).to_have_text("PR #12")
    expect(shown_rows(page).last).to_have_text("empty")
    head.get_by_role("button").press("Space")
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(shown_rows(page).nth(3)).to_have_text("PR #12")
    expect(shown_rows(page).last).to_have_text("empty")
    page.locator("#table thead th").nth(0).get_by_role("button").click()
    expect(page.locator("#table thead th[aria-sort]")).to_have_count(1)
    expect(shown_rows(page).filter(has_text="PR")).to_have_text(["PR #7", "PR #12"])  # 7 before 12, as numbers


def test_a_row_opens_its_report_and_the_way_back_leads_to_the_row(show: Show, several: ReportSet):
    page = show(several).page
    page.get_by_role("link", name="PR #12").focus()
    page.keyboard.press("Enter")
    expect(page.locator("article.report")).to_have_count(1)
    expect(page).to_have_title(re.compile("PR #12"))
    expect(page.locator("#index")).to_be_hidden()
    expect(page.locator("article.report h1")).to_be_focused()
    page.go_back()
    expect(page.locator("#index")).to_be_visible()
    expect(page.locator("article.report")).to_be_hidden()
    expect(page.get_by_role("link", name="PR #12")).to_be_focused()
    expect(page).to_have_title("5 submissions - pgolf audit")


def test_previous_and_next_follow_the_filtered_table(show: Show, several: ReportSet):
    page = show(several).page
    page.get_by_label("violation").uncheck()
    page.get_by_role("link", name="2026-04-16_Odd").click()
    expect(page.locator("#previous")).to_be_hidden()
    page.locator("#next").click()
    expect(page).to_have_title(re.compile("2026-04-17_Fine"))
    page.locator("#next").click()
    expect(page).to_have_title(re.compile("PR #12"))
    page.locator("#all").click()
    expect(page.locator("#index")).to_be_visible()


def test_an_address_with_a_report_opens_it(show: Show, several: ReportSet):
    page = show(several, anchor="#r2").page
    expect(page.locator("article.report h1")).to_have_text(re.compile("2026-04-16_Odd$"))


def test_skipping_to_the_content_of_an_open_report_leaves_it_open(show: Show, several: ReportSet):
    page = show(several, anchor="#r1").page
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("article.report")).to_be_visible()


def test_a_report_is_built_only_when_it_is_opened(show: Show, several: ReportSet):
    many = replace(several, reports=several.reports * 100)
    page = show(many).page
    expect(page.locator("article")).to_have_count(0)
    expect(page.locator("#shown")).to_have_text("500 of 500 shown")
    page.locator("#table tbody a").nth(321).click()
    expect(page.locator("article")).to_have_count(1)


# ---- without scripts, on a phone, for everybody ----


def test_without_scripts_every_report_is_there_to_be_read(show: Show, several: ReportSet):
    page = show(several, java_script_enabled=False).page
    expect(page.locator("article.report")).to_have_count(5)
    assert all(article.is_visible() for article in page.locator("article.report").all())
    expect(page.locator("#controls")).to_be_hidden()
    expect(page.locator("#theme")).to_be_hidden()
    page.get_by_role("link", name="PR #12").click()
    expect(page.locator("#r4 h1")).to_be_in_viewport()
    page.locator("#r1 summary", has_text="7 rules").click()
    expect(page.locator("#r1 table.rules")).to_be_visible()


@pytest.mark.parametrize("anchor", ["", "#r1"])
def test_a_phone_scrolls_in_one_direction_only(show: Show, several: ReportSet, anchor: str):
    page = show(several, anchor=anchor, **PHONE).page
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("anchor", ["", "#r1"], ids=["index", "report"])
def test_accessibility_checker_finds_nothing(
    show: Show, several: ReportSet, sample_rules: tuple[Any, ...], axe: str, anchor: str, scheme: str, settings: Any
):
    page = show(several, sample_rules, anchor, color_scheme=scheme, **settings).page
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.evaluate(axe)
    found = page.evaluate("axe.run().then(result => result.violations)")
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == []


# ---- what a submission writes ----

HOSTILE = (
    "</script><script>alert(1)</script>",
    "</noscript><img src=x onerror=alert(2)>",
    "<svg onload=alert(3)>",
    "\"><a href='http://example.org/'>x</a>",
    "</title><style>*{display:none}</style>",
    "<!-- <template> ]]> &lt;b&gt; &#x3c;i>",
    "exe.\N{RIGHT-TO-LEFT OVERRIDE}yp\N{LEFT-TO-RIGHT ISOLATE}",
    "javascript:alert(4)",
    "a\0b\x1b[31m\r\n\u2028::error::x",
)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_hostile_text_is_shown_and_does_nothing(show: Show, samples: Callable[..., Any], text: str, scripts: bool):
    made, harmless = samples(lambda word: f"{text}{word}"), samples()
    pages = [
        show(each.set(each.violation(), each.error()), anchor="#r1", java_script_enabled=scripts).page
        for each in (made, harmless)
    ]
    tags = [each.locator("body *:not(.lines *)").evaluate_all("all => all.map(each => each.tagName)") for each in pages]
    assert tags[0] == tags[1]
    shown = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    assert shown in pages[0].locator("article").first.inner_text()
