"""The first day, on which nothing has happened: each screen says what will be here and what is due next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.support.browser import Visits, faults, look, picture
from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SAID: dict[str, dict[str, tuple[str, ...]]] = {
    "board": {
        "en": ("no line test yet", "nothing sent yet", "nothing waits for an officer", "none yet; the first is due"),
        "ru": ("проверок линии ещё не было", "ничего не отправлено"),
    },
    "messages": {"en": ("No message yet", "The next line test is due:", "16:00:00 UTC"), "ru": ("16:00:00 UTC",)},
    "alarms": {"en": ("No alarms.", "The next line test is due:", "16:00:00 UTC"), "ru": ("16:00:00 UTC",)},
    "history": {"en": ("The history ends here",), "ru": ("Здесь история заканчивается",)},
    "investigate": {"en": ("Not asked yet.",), "ru": ()},
}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStation]:
    """Yield a link that has just been started: no message, no line test, no alarm."""
    with ConsoleStation.of(tmp_path_factory) as station:
        station.start_all()
        yield station


@pytest.mark.parametrize(("lang", "theme"), [("en", "light"), ("ru", "dark")])
def test_an_empty_screen_says_what_will_be_there_and_what_is_due(
    lang: str, theme: str, fresh: ConsoleStation, visits: Visits
) -> None:
    page = visits.enter(fresh)
    look(page, lang=lang, theme=theme)
    found = []
    for name, words in SAID.items():
        page.goto(fresh.screen("eucom", name))
        for each in words[lang]:
            expect(page.locator("main")).to_contain_text(each)
        expect(page.locator(".bar .state")).not_to_have_class("level-normal")
        found += [f"{name}: {fault}" for fault in faults(page)]
        picture(page, f"{name}-first-day-{lang}")
    assert not found
