"""A real browser for the tests of the HTML report. Where there is none they are skipped, and the reason says what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from auditor.output import render
from auditor.report import ReportSet
from tools.get_browser import find_axe, find_browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'pgolf[dev]'")
    found = find_browser()
    if found is None:
        pytest.skip("no Chromium: run `make browser`, install one, or name one in PGOLF_CHROMIUM")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=str(found.executable), args=arguments, env={**os.environ, **found.environment}
        )
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def axe() -> str:
    source = find_axe()
    if source is None:
        pytest.skip("no axe-core: run `make browser`")
    return source


@dataclass
class Opened:
    """A page in the browser, what it asked for and what it complained about."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


Open = Callable[..., Opened]


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens reports as a file; at the end nothing but that file was asked for and the console stayed empty."""
    opened: list[tuple[Opened, str]] = []

    def open_page(reports: ReportSet, rules: tuple[Any, ...] = (), anchor: str = "", **settings: Any) -> Opened:
        file = tmp_path / f"report{len(opened)}.html"
        file.write_text(render(reports, rules, "html"), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | settings)
        one = Opened(context.new_page())
        opened.append((one, file.as_uri()))
        one.page.on("request", lambda request: one.requests.append(request.url))
        one.page.on("console", lambda message: one.complaints.append(message.text))
        one.page.on("pageerror", lambda error: one.complaints.append(str(error)))
        one.page.on("dialog", lambda dialog: (one.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        one.page.goto(file.as_uri() + anchor)
        return one

    yield open_page
    for one, address in opened:
        one.page.context.close()
        assert one.complaints == []
        assert {url.partition("#")[0] for url in one.requests} == {address}


@pytest.fixture(scope="session")
def single(samples: Callable[..., Any]) -> ReportSet:
    """One report with something in every part."""
    return samples().set(samples().violation())  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def several(samples: Callable[..., Any]) -> ReportSet:
    """Reports of every verdict, with numbers to sort by."""
    made = samples()
    clean = made.clean()
    best = replace(
        clean,
        submission=replace(clean.submission, pr=12),
        headline=replace(clean.headline, val_bpb=1.05),
    )
    return made.set(made.violation(), made.review(), clean, best, made.error())  # type: ignore[no-any-return]
