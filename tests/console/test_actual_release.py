"""An actual link: its frame, its verbs, and the word that the releasing officer retypes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from endpoints.console.screens.drafts import CHECKED
from tests.support.browser import Visits, faults, tall
from tests.support.comparison import Comparison
from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ALERT: dict[str, Any] = {
    "category": "air_pursuit",
    "precedence": "flash",
    "text": {"en": "A fighter.", "ru": "Истребитель."},
}


@pytest.fixture(scope="module")
def actual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStation]:
    """Yield an actual link that eucom's officer has compared, with eucom's endpoint and console."""
    with ConsoleStation.of(tmp_path_factory, status="actual") as station:
        code, _, err = Comparison(station.config("eucom")).hear(station.files[0])
        assert code == 0, err
        station.start("eucom")
        station.open_console("eucom")
        yield station


def test_an_actual_alert_is_released_once_its_word_is_retyped(actual: ConsoleStation, visits: Visits) -> None:
    draft = actual.act("eucom", "watch-1", "alert", expires_in_s=3_600, **ALERT)
    page = visits.enter(actual, "eucom", "watch-2")
    page.goto(actual.screen("eucom", "drafts", draft))
    form = page.locator("form[data-act=release]")
    expect(page.locator(".edge-top")).to_have_text("ACTUAL · РЕАЛЬНО")
    expect(form.locator(".buttons button")).to_have_text("Release ACTUAL alert")
    for name in CHECKED:
        form.locator(f"[value={name}]").check()
    tall(page, "draft-actual")
    assert not faults(page)
    for word in ("", "EXERCISE", "PEAЛЬHO"):
        form.locator("[name=word]").fill(word)
        form.locator(".credential").fill(actual.credential("eucom", "watch-2"))
        form.locator(".buttons button").click()
        expect(form.locator(".problem")).to_contain_text("retype the word ACTUAL / РЕАЛЬНО")
    assert [each["draft"] for each in actual.snapshot("eucom")["drafts"]] == [draft]
    form.locator("[name=word]").fill("РЕАЛЬНО")
    form.locator(".credential").fill(actual.credential("eucom", "watch-2"))
    form.locator(".buttons button").click()
    expect(page.locator("#said")).to_contain_text(re.compile(r"eucom/1/\d+"), timeout=15_000)
    assert actual.snapshot("eucom")["alerts"][-1]["alert"]["status"] == "actual"


def test_the_form_of_an_actual_link_says_actual_and_warns_of_a_drill(actual: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(actual, "eucom", "watch-1")
    page.goto(actual.screen("eucom", "compose"))
    form = page.locator("form[data-act=alert]")
    form.locator("[name=precedence][value=routine]").check()
    expect(form.locator(".buttons button")).to_have_text("Send ACTUAL alert")
    form.locator("[name='text.en']").fill("This is a drill.")
    warning = form.locator(".seen-by-them .warning").filter(has_text="“drill”, but the status of the alert is ACTUAL")
    expect(warning).to_be_visible()
    form.locator("[name=status][value=test]").check()
    expect(warning).to_be_hidden()
    expect(form.locator(".buttons button")).to_have_text("Send TEST alert")
