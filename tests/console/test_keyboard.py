"""Every screen is reached by the keyboard alone; no single key acts, and none is taken from somebody who writes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from endpoints.console.screens import SCREENS
from tests.support.browser import Visits, faults, look, picture
from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

KEYS = {screen.key: screen.name for screen in SCREENS if screen.key}


def test_each_key_of_the_menu_opens_its_screen_and_escape_leads_back(station: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(station, role="watch-1")
    before = "board"
    for key, name in KEYS.items():
        page.keyboard.press(key)
        there(page, name)
        if name != before:
            page.keyboard.press("Escape")
            there(page, before)
            page.keyboard.press(key)
            there(page, name)
        before = name


def there(page: Page, name: str) -> None:
    """Wait until a screen is there, and its scripts hear keys."""
    expect(page).to_have_url(re.compile(f"/links/eucom-ndmc/{name}"))
    expect(page.locator("#live")).to_be_visible()
    page.wait_for_load_state("load")


def test_the_help_lists_the_keys_and_keeps_the_focus(station: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(station, role="watch-1")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    for key in KEYS:
        expect(page.locator("#help kbd", has_text=re.compile(f"^{key}$"))).to_be_visible()
    assert not faults(page)
    picture(page, "keys")
    # while it is open, keys lead nowhere
    page.keyboard.press("m")
    expect(page).to_have_url(re.compile("/board$"))
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()


def test_letters_belong_to_a_field_and_can_be_switched_off(station: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(station)
    page.keyboard.press("h")
    expect(page).to_have_url(re.compile("/history"))
    page.locator("main input").first.wait_for()
    page.keyboard.press("/")
    field = page.locator("main input:focus, main select:focus")
    expect(field).to_have_count(1)
    page.keyboard.type("bamx")
    expect(page).to_have_url(re.compile("/history"))
    look(page, keys="off")
    page.goto(station.screen("eucom"))
    page.keyboard.press("m")
    page.keyboard.press("?")
    expect(page).to_have_url(re.compile("/board$"))
    expect(page.locator("#help")).to_be_hidden()


def test_the_focus_is_visible_and_survives_an_update(station: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(station)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    while page.locator(".menu a:focus").count() == 0:
        page.keyboard.press("Shift+Tab")
    focused = page.locator(":focus").text_content()
    version = page.locator("#live").get_attribute("data-version")
    station.alert()
    expect(page.locator("#live")).not_to_have_attribute("data-version", version or "")
    expect(page.locator(":focus")).to_have_text(focused or "")
    outline = page.locator(":focus").evaluate("each => getComputedStyle(each).outlineStyle")
    assert outline != "none"
