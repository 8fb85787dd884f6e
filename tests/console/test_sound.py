"""A screen sounds until somebody acts, in a hidden tab too, and says as long as it can't. All is read from the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Visits, picture
from tests.support.console_station import ConsoleStation, console
from tests.support.processes import stopped

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

WITHIN_MS = 15_000
FLASH: dict[str, Any] = {"category": "air_pursuit", "precedence": "flash", "expires_in_s": 86_400}


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStation]:
    """Yield a link of these tests alone, where nothing else calls."""
    with ConsoleStation.of(tmp_path_factory) as station:
        station.start_all()
        station.prove()
        yield station


@pytest.fixture
def alerted(station: ConsoleStation) -> Iterator[str]:
    """Yield the reference of a flash alert that eucom has received; it is acknowledged afterwards."""
    draft = station.act("ndmc", "duty-1", "alert", text={"ru": "Внимание.", "en": "Attention."}, **FLASH)
    reference = station.act("ndmc", "duty-2", "release", draft=int(draft.removeprefix("draft/")))
    station.until(lambda: station.alert_state("eucom", reference) == "received")
    yield reference
    if station.alert_state("eucom", reference) == "received":
        acknowledge(station, reference)


def acknowledge(station: ConsoleStation, reference: str) -> None:
    station.act("eucom", "watch-1", "acknowledge", of=reference, decision="understood")


def armed(page: Page) -> None:
    """Arm the sound of a page with a click, as a person does."""
    page.locator('[data-do="arm"]').first.click()
    expect(page.locator("body")).to_have_attribute("data-armed", "yes", timeout=WITHIN_MS)


def played(page: Page) -> int:
    """Return how many sounds a page has played."""
    return int((page.locator("body").get_attribute("data-played") or "0").partition(" ")[0])


def plays(page: Page, sound: int) -> None:
    """Wait until a page plays another sound, of this number."""
    number = rf"^(?!{played(page)} )\d+ {sound}$"
    expect(page.locator("body")).to_have_attribute("data-played", re.compile(number), timeout=WITHIN_MS)


def test_a_screen_that_cannot_sound_says_so_until_somebody_clicks(station: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(station)
    expect(page.locator("body")).to_have_attribute("data-armed", "no", timeout=WITHIN_MS)
    button = page.locator('[data-do="arm"]').first
    expect(button).to_be_visible()
    picture(page, "board-sound-off")
    armed(page)
    expect(button).to_be_hidden()


def test_a_flash_alert_sounds_until_it_is_acknowledged(station: ConsoleStation, visits: Visits, alerted: str) -> None:
    page = visits.enter(station)
    armed(page)
    plays(page, 1)
    plays(page, 1)
    picture(page, "board-flash-alert")
    acknowledge(station, alerted)
    expect(page.locator("body")).to_have_attribute("data-calling", "no", timeout=WITHIN_MS)


def test_a_hidden_tab_sounds(station: ConsoleStation, visits: Visits, alerted: str) -> None:
    assert alerted
    page = visits.enter(station)
    armed(page)
    in_front = page.context.new_page()
    in_front.goto("about:blank")
    in_front.bring_to_front()
    plays(page, 1)
    plays(page, 1)


def test_silence_ends_with_the_next_call(station: ConsoleStation, visits: Visits, alerted: str) -> None:
    assert alerted
    page = visits.enter(station)
    armed(page)
    plays(page, 1)
    page.keyboard.press("s")
    expect(page.locator("body")).to_have_attribute("data-calling", "no", timeout=WITHIN_MS)
    draft = station.act("ndmc", "duty-1", "alert", text={"ru": "Ещё.", "en": "More."}, **FLASH)
    another = station.act("ndmc", "duty-2", "release", draft=int(draft.removeprefix("draft/")))
    plays(page, 1)
    station.until(lambda: station.alert_state("eucom", another) == "received")
    acknowledge(station, another)


def test_a_screen_that_has_lost_its_news_sounds(station: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(station)
    armed(page)
    with stopped(station, console("eucom")):
        plays(page, 4)
    expect(page.locator("#lost")).to_be_hidden(timeout=WITHIN_MS)
