"""Officers act on messages in real browsers; each test states what the journals of both sides say afterwards."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Visits
from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def alert(station: ConsoleStation, side: str = "eucom", **ask: Any) -> str:
    """Return the reference of an alert that has arrived at the other side."""
    reference = station.alert(side, **ask)
    other = "ndmc" if side == "eucom" else "eucom"
    station.until(lambda: station.alert_state(other, reference) == "received")
    return reference


def act(page: Page, name: str) -> Locator:
    """Return the form of an act, open."""
    details = page.locator(f"details.act[id^='act-{name}-']")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    return details.locator("form")


def test_an_acknowledgement_is_said_once_and_recorded_by_both_sides(station: ConsoleStation, visits: Visits) -> None:
    reference = alert(station)
    page = visits.enter(station, "ndmc", "duty-1")
    page.goto(station.screen("ndmc", "messages", reference))
    form = act(page, "acknowledge")
    form.get_by_label("understood").check()
    expect(form.locator(".sentence")).to_have_text(f"You say, as duty-1, to eucom, of {reference}: understood.")
    form.locator("textarea").first.fill("Thank you.")
    form.locator(".credential").fill(station.credential("ndmc", "duty-1"))
    form.locator("button").dblclick()
    expect(page.locator("#said")).to_contain_text("acknowledged")
    expect(page.locator(".ladder")).to_contain_text("duty-1")
    station.until(lambda: station.alert_state("eucom", reference) == "understood")
    for side in ("eucom", "ndmc"):
        item = station.ask(side, f"items/{reference}")
        assert [(each["act"], each["officer"], each["decision"]) for each in item["acts"]] == [
            ("acknowledged", "duty-1", "understood")
        ]
    assert re.search(r"ndmc/1/\d+", page.locator("#said").inner_text())
    assert form.locator(".credential").input_value() == ""
