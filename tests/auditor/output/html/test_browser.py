"""The pages in a real browser: what a reader can do with them by mouse, by keyboard, on paper and without scripts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from auditor.report import ReportSet

Show = Callable[..., Any]
PHONE = {"viewport": {"width": 390, "height": 844}}


def shown_rows(page: Any) -> list[str]:
    return page.locator("#table tbody tr:visible th").all_inner_texts()  # type: ignore[no-any-return]


def background(page: Any) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")  # type: ignore[no-any-return]


# ---- one report ----


def test_the_verdict_comes_first(show: Show, single: ReportSet, sample_rules: tuple[Any, ...]):
    page = show(single, sample_rules).page
    assert page.title() == "PR #7: violation - pgolf audit"
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
    turned = background(page)
    assert turned != before
    assert button.get_attribute("aria-pressed") == str(scheme != "dark").lower()
    button.press("Enter")
    assert background(page) == before


def test_what_is_folded_opens_by_keyboard(show: Show, single: ReportSet):
    page = show(single).page
    summary = page.locator("summary", has_text="7 rules")
    table = page.locator("table.rules")
    assert not table.is_visible()
    summary.focus()
    page.keyboard.press("Enter")
    assert table.is_visible()


def test_the_first_stop_of_the_keyboard_skips_to_the_content(show: Show, single: ReportSet):
    page = show(single).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_what_has_the_focus_shows_it(show: Show, several: ReportSet):
    page = show(several).page
    for _ in range(12):
        page.keyboard.press("Tab")
        style = page.evaluate("(e => [e.tagName, getComputedStyle(e).outlineStyle])(document.activeElement)")
        assert style[0] == "BODY" or style[1] != "none", style


def test_paper_shows_all_that_is_folded_dark_on_light_and_no_controls(show: Show, several: ReportSet):
    page = show(several, anchor="#r1", color_scheme="dark").page
    assert not page.locator("table.rules").is_visible()
    page.emulate_media(media="print")
    assert page.locator("table.rules").bounding_box()["height"] > 50
    assert page.locator("ol.story").bounding_box()["height"] > 10
    assert background(page) == "rgb(253, 253, 251)"
    assert not page.locator("#theme").is_visible()
    assert not page.locator("#turn").is_visible()


def test_motion_is_left_out_where_it_is_not_wanted(show: Show, single: ReportSet):
    behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
    assert show(single).page.evaluate(behaviour) == "auto"
    assert show(single, reduced_motion="no-preference").page.evaluate(behaviour) == "smooth"


def test_the_picture_has_one_row_for_each_step_and_its_marks_lie_where_they_belong(show: Show, single: ReportSet):
    page = show(single).page
    rows = page.locator("table.timeline tbody tr")
    assert rows.count() == 4
    width = rows.nth(0).locator("svg").bounding_box()["width"]
    mark = rows.nth(3).locator("rect").nth(1).bounding_box()
    frame = rows.nth(3).locator("svg").bounding_box()
    assert (mark["x"] - frame["x"]) / width == pytest.approx(8 / 12, abs=0.01)
    assert mark["width"] / width == pytest.approx(4 / 12, abs=0.01)


# ---- the index ----


def test_filters_narrow_the_table_down_together(show: Show, several: ReportSet):
    page = show(several).page
    assert len(shown_rows(page)) == 5
    assert page.locator("#shown").inner_text() == "5 of 5 shown"
    page.get_by_label("clean").uncheck()
    assert shown_rows(page) == ["PR #7", "2026-04-16_Odd", "empty"]
    page.get_by_label("Rule").select_option("foreign-log")
    assert shown_rows(page) == ["PR #7", "2026-04-16_Odd"]
    page.get_by_label("Text").fill("ODD 2026")
    assert shown_rows(page) == ["2026-04-16_Odd"]
    assert page.locator("#shown").inner_text() == "1 of 5 shown"
    page.get_by_label("Text").fill("")
    page.get_by_label("Rule").select_option("")
    page.get_by_label("clean").check()
    assert len(shown_rows(page)) == 5


def test_the_text_filter_finds_paths_that_the_table_does_not_show(show: Show, several: ReportSet):
    page = show(several).page
    page.get_by_label("Text").fill("2026-04-15_big")
    assert shown_rows(page) == ["PR #7"]


def test_columns_sort_both_ways_with_what_is_empty_last(show: Show, several: ReportSet):
    page = show(several).page
    head = page.locator("#table thead th").nth(2)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert (shown_rows(page)[0], shown_rows(page)[-1]) == ("PR #12", "empty")
    head.get_by_role("button").press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert (shown_rows(page)[-2], shown_rows(page)[-1]) == ("PR #12", "empty")
    page.locator("#table thead th").nth(0).get_by_role("button").click()
    assert page.locator("#table thead th[aria-sort]").count() == 1
    assert [row for row in shown_rows(page) if row.startswith("PR")] == ["PR #7", "PR #12"]  # 7 before 12, as numbers


def test_a_row_opens_its_report_and_the_way_back_leads_to_the_row(show: Show, several: ReportSet):
    page = show(several).page
    page.get_by_role("link", name="PR #12").focus()
    page.keyboard.press("Enter")
    assert page.locator("article.report").count() == 1
    assert "PR #12" in page.title()
    assert not page.locator("#index").is_visible()
    assert page.evaluate("document.activeElement.tagName") == "H1"
    page.go_back()
    assert page.locator("#index").is_visible()
    assert not page.locator("article.report").is_visible()
    assert page.evaluate("document.activeElement.textContent") == "PR #12"
    assert page.title() == "5 submissions - pgolf audit"


def test_previous_and_next_follow_the_filtered_table(show: Show, several: ReportSet):
    page = show(several).page
    page.get_by_label("violation").uncheck()
    page.get_by_role("link", name="2026-04-16_Odd").click()
    assert not page.locator("#previous").is_visible()
    page.locator("#next").click()
    assert "2026-04-17_Fine" in page.title()
    page.locator("#next").click()
    assert "PR #12" in page.title()
    page.locator("#all").click()
    assert page.locator("#index").is_visible()


def test_an_address_with_a_report_opens_it(show: Show, several: ReportSet):
    page = show(several, anchor="#r2").page
    assert page.locator("article.report h1").inner_text().endswith("2026-04-16_Odd")


def test_skipping_to_the_content_of_an_open_report_leaves_it_open(show: Show, several: ReportSet):
    page = show(several, anchor="#r1").page
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.locator("article.report").is_visible()


def test_a_report_is_built_only_when_it_is_opened(show: Show, several: ReportSet):
    many = replace(several, reports=several.reports * 100)
    page = show(many).page
    assert page.locator("article").count() == 0
    assert page.locator("#shown").inner_text() == "500 of 500 shown"
    page.locator("#table tbody a").nth(321).click()
    assert page.locator("article").count() == 1


# ---- without scripts, on a phone, for everybody ----


def test_without_scripts_every_report_is_there_to_be_read(show: Show, several: ReportSet):
    page = show(several, java_script_enabled=False).page
    assert page.locator("article.report").count() == 5
    assert all(article.is_visible() for article in page.locator("article.report").all())
    assert not page.locator("#controls").is_visible()
    assert not page.locator("#theme").is_visible()
    page.get_by_role("link", name="PR #12").click()
    assert page.locator("#r4 h1").bounding_box()["y"] < 900
    page.locator("#r1 summary", has_text="7 rules").click()
    assert page.locator("#r1 table.rules").is_visible()


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
