"""Every screen of a full duty day, in both languages and themes, on a telephone, on paper, without JavaScript."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import product

import pytest
from playwright.sync_api import Page, expect

from endpoints.console.screens import SCREENS
from tests.support import duty_day
from tests.support.browser import Visits, faults, look, picture
from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LANGUAGES, THEMES = ("en", "ru"), ("light", "dark")
PICTURED = {("en", "light"), ("ru", "dark")}
NAMES = tuple(screen.name for screen in SCREENS if "investigator" in screen.roles)
PHONE = {"width": 320, "height": 640}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ConsoleStation, dict[str, str]]]:
    """Yield a link in the midst of a duty day, with an alarm, and the references of what was said."""
    with ConsoleStation.of(tmp_path_factory, starts=duty_day.STARTS) as station:
        station.start_all()
        yield station, duty_day.play(station)


def addresses(station: ConsoleStation, references: dict[str, str], side: str = "eucom") -> dict[str, str]:
    """Return the address of each screen, and of one message, by a name for its picture."""
    found = {name: station.screen(side, name) for name in NAMES}
    return found | {"message": station.screen(side, "messages", references["dam"])}


def shown(page: Page, address: str) -> None:
    """Open a screen and wait until its content is there."""
    answer = page.goto(address)
    assert answer is not None
    assert answer.ok, f"{address}: {answer.status}"
    expect(page.locator("main h1").first).to_be_attached()


def wide(page: Page) -> Sequence[str]:
    """Return the elements that reach beyond the right edge of the window, in which nothing may be cut off."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
            .filter((each) => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
            .filter((each) => !each.closest(".edge, .skip, .scrolls"))
            .map((each) => `${each.tagName} ${each.className}: ${each.textContent.trim().slice(0, 60)}`)"""
    )
    return found


def narrow(page: Page) -> Sequence[str]:
    """Return the elements whose text stands in a column too narrow to be read: a letter or two on each line."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("main *")]
            .filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim().length > 20))
            .filter((each) => each.getClientRects().length && getComputedStyle(each).position !== "absolute")
            .filter((each) => each.getBoundingClientRect().width < 70)
            .map((each) => `${each.tagName} ${each.className}: ${each.textContent.trim().slice(0, 60)}`)"""
    )
    return found


@pytest.mark.parametrize(("lang", "theme"), list(product(LANGUAGES, THEMES)))
def test_each_screen_is_accessible_and_fits(
    lang: str, theme: str, day: tuple[ConsoleStation, dict[str, str]], visits: Visits
) -> None:
    """Each pair of screen, language and theme is examined; nightly, each combination."""
    station, references = day
    page = visits.enter(station)
    look(page, lang=lang, theme=theme)
    parity = LANGUAGES.index(lang) + THEMES.index(theme)
    found = []
    for number, (name, address) in enumerate(addresses(station, references).items()):
        shown(page, address)
        if (lang, theme) in PICTURED:
            picture(page, f"{name}-{lang}-{theme}")
        if (number + parity) % 2 == 0 or "EVERY_COMBINATION" in os.environ:
            found += [f"{name}: {fault}" for fault in faults(page)]
        found += [f"{name}: too wide: {each}" for each in wide(page)]
        found += [f"{name}: too narrow: {each}" for each in narrow(page)]
    assert not found


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_screen_reflows_to_320_pixels(
    lang: str, day: tuple[ConsoleStation, dict[str, str]], visits: Visits
) -> None:
    station, references = day
    page = visits.enter(station, viewport=PHONE)
    look(page, lang=lang)
    found = []
    for name, address in addresses(station, references).items():
        shown(page, address)
        found += [f"{name}: {each}" for each in (*wide(page), *narrow(page))]
        if lang == "ru":
            picture(page, f"{name}-phone")
    assert not found


def test_each_screen_is_readable_without_javascript(day: tuple[ConsoleStation, dict[str, str]], visits: Visits) -> None:
    station, references = day
    page = visits.enter(station, java_script_enabled=False)
    for address in addresses(station, references).values():
        shown(page, address)
        # it is loaded anew, and says of when it is
        expect(page.locator('head noscript, meta[http-equiv="refresh"]')).not_to_have_count(0)
        expect(page.locator(".age").first).to_be_visible()
        expect(page.locator(".edge-top")).to_contain_text("EXERCISE · УЧЕНИЕ")
        expect(page.locator("main")).to_be_visible()
    shown(page, station.screen("eucom"))
    picture(page, "board-without-javascript")


def test_each_screen_prints_black_on_white_with_the_frame_word(
    day: tuple[ConsoleStation, dict[str, str]], visits: Visits
) -> None:
    station, references = day
    page = visits.enter(station)
    look(page, theme="dark")
    page.emulate_media(media="print")
    for name, address in addresses(station, references).items():
        shown(page, address)
        expect(page.locator(".edge-top")).to_be_visible()
        paper = page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
        assert paper == "rgb(255, 255, 255)", f"{name}: {paper}"
        if name in {"board", "message"}:
            picture(page, f"{name}-print", whole=True)
