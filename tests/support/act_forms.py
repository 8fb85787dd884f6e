"""Drives the forms of acts in a browser, and reads what both sides have recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Visits
from tests.support.console_station import ConsoleStation
from tests.support.station import SIDES


def other(side: str) -> str:
    """Return the other side."""
    return SIDES[side == SIDES[0]]


def alert(station: ConsoleStation, side: str = "eucom", **ask: Any) -> str:
    """Return the reference of an alert that has arrived at the other side."""
    reference = station.alert(side, **ask)
    station.until(lambda: station.alert_state(other(side), reference) == "received")
    return reference


def officer(visits: Visits, station: ConsoleStation, side: str, name: str) -> Page:
    """Return a page of an officer who has logged in, in a browser of their own."""
    page = visits.enter(station, side, name)
    expect(page.locator(f"body[data-officer='{name}']")).to_be_attached(timeout=30_000)
    return page


def message(page: Page, station: ConsoleStation, side: str, reference: str) -> None:
    """Open the page of a message, with its forms ready."""
    page.goto(station.screen(side, "messages", reference))
    expect(page.locator("html[data-acts]")).to_be_attached()


def form(page: Page, act: str) -> Locator:
    """Return the form of an act, open."""
    details = page.locator(f"details.act[id^='act-{act}-']")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    return details.locator("form")


def fill(act: Locator, station: ConsoleStation, side: str, officer: str, **fields: str) -> None:
    """Fill in a form: choices by their value, a text by `en` or `ru`, and the credential."""
    for name, value in fields.items():
        if name in {"en", "ru"}:
            act.locator(f"[name='text.{name}']").fill(value)
        elif act.locator(f"select[name='{name}']").count():
            act.locator(f"select[name='{name}']").select_option(value)
        else:
            act.locator(f"[name='{name}'][value='{value}']").check()
    act.locator(".credential").fill(station.credential(side, officer))


def send(act: Locator) -> None:
    """Press the button of a form."""
    act.locator(".buttons button").click()


def said(page: Page) -> str:
    """Wait until the page says what was said; return it, and close it."""
    expect(page.locator("#said")).to_be_visible(timeout=30_000)
    found: str = page.locator("#said .text").inner_text()
    page.locator("#said button").click()
    return found


def acts(station: ConsoleStation, reference: str, *wanted: Mapping[str, str]) -> None:
    """Wait until both sides have recorded exactly these acts on a message, in this order."""

    def recorded(side: str) -> bool:
        found = station.ask(side, f"items/{reference}")["acts"]
        return [{name: each.get(name) for name in want} for each, want in zip(found, wanted, strict=False)] == list(
            wanted
        ) and len(found) == len(wanted)

    try:
        station.each(SIDES, recorded, 15)
    except AssertionError:
        raise AssertionError({side: station.ask(side, f"items/{reference}")["acts"] for side in SIDES}) from None
    station.settled()
