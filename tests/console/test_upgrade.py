"""The console is upgraded under an open page: it asks for a reload, and never reloads by itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.browser import Visits, look, picture
from tests.support.console_station import ConsoleStation, console
from tests.support.station import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

WITHIN_MS = 30_000
PACKAGES = ("broker", "endpoints", "protocol", "scenario", "load")


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """Return a folder with the packages of another version, whose style differs."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    style = tmp_path / "endpoints" / "console" / "static" / "screens.css"
    style.write_text(style.read_text("utf-8") + "\n/* another build */\n", "utf-8")
    return tmp_path


def test_an_open_page_asks_for_a_reload_and_keeps_what_is_typed(
    station: ConsoleStation, visits: Visits, newer: Path
) -> None:
    page = visits.enter(station)
    russian = visits.enter(station)
    look(russian, lang="ru", theme="dark")
    russian.reload()
    page.goto(station.screen("eucom", "history"))
    build = page.locator("body").get_attribute("data-build")
    page.locator("#f-text").fill("half a wo")
    assert station.stop(console("eucom")) == 0
    station.open_console("eucom", root=newer)
    try:
        for each in (page, russian):
            expect(each.locator("#old-page")).to_be_visible(timeout=WITHIN_MS)
            expect(each.locator("#lost")).to_be_hidden(timeout=WITHIN_MS)
        # it goes on as it is
        expect(page.locator("#f-text")).to_have_value("half a wo")
        assert page.locator("body").get_attribute("data-build") == build
        reference = station.alert()
        expect(page.locator("#rows")).to_contain_text(reference, timeout=WITHIN_MS)
        expect(page.locator("#f-text")).to_have_value("half a wo")
        picture(page, "history-old-page")
        picture(russian, "board-old-page-ru")
        page.locator("#old-page a").click()
        expect(page.locator("#old-page")).to_be_hidden()
        expect(page.locator("body")).not_to_have_attribute("data-build", build or "")
        expect(page.locator("[data-shown]").first).not_to_have_text(page.locator("[data-shown]").first.inner_text())
        expect(page.locator("#old-page")).to_be_hidden()
    finally:
        station.stop(console("eucom"))
        station.open_console("eucom")
