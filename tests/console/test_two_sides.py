"""Both sides' consoles in one browser: each shows its own side, and neither ends the other's session."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.browser import Visits, enter
from tests.support.console_station import ConsoleStation
from tests.support.station import SIDES

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_two_consoles_in_one_browser_keep_sessions_of_their_own(station: ConsoleStation, visits: Visits) -> None:
    profile = visits.profile()
    pages = {side: profile.new_page() for side in SIDES}
    for side, page in pages.items():
        enter(page, station, side)
    cookies = [each for each in profile.cookies() if "watch" in each["name"]]
    assert len({each["name"] for each in cookies}) == 2
    for each in cookies:
        assert each["name"].startswith("__Host-")
        assert each["secure"]
        assert each["httpOnly"]
        assert each["sameSite"] == "Strict"
        assert len(each["value"]) >= 43, "256 bits"

    # the board shows the most urgent alone
    for side, page in pages.items():
        page.goto(station.screen(side, "messages"))
    reference = station.alert("ndmc")
    for page in pages.values():
        # both are live at once, over a stream of their own
        expect(page.locator("#live")).to_contain_text(reference, timeout=10_000)
    station.end_sessions("ndmc")
    expect(pages["ndmc"].locator("#signed-out")).to_be_visible(timeout=10_000)
    pages["eucom"].reload()
    expect(pages["eucom"].locator(".bar")).to_be_visible()
    expect(pages["eucom"].locator("#signed-out")).to_be_hidden()


def test_many_pages_of_one_browser_share_one_stream(station: ConsoleStation, visits: Visits) -> None:
    """A browser has six connections for one console; a stream for each page would leave none for the others."""
    profile = visits.profile()
    first = profile.new_page()
    enter(first, station)
    pages = [first, *(profile.new_page() for _ in range(7))]
    for page in pages[1:]:
        page.goto(station.screen("eucom"))
    for page in pages:
        shown = page.locator("[data-shown]").first
        expect(shown).not_to_have_text(shown.inner_text())
        expect(page.locator("#lost")).to_be_hidden()


def test_the_exercise_is_named_in_title_icon_and_frame(station: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(station)
    expect(page).to_have_title(re.compile(r"^\[EX\] eucom-ndmc"))
    assert "exercise" in (page.locator("link[rel=icon]").get_attribute("href") or "")
    for edge in page.locator(".edge").all():
        expect(edge).to_have_text("EXERCISE · УЧЕНИЕ")
