"""What officers do in their browsers at the line test and at the watch: forms, their fields, what is said then."""

from __future__ import annotations

import re
from collections.abc import Sequence

from playwright.sync_api import Locator, Page, expect

from tests.support.console_station import ConsoleStation

WITHIN_MS = 15_000


def form(page: Page, act: str) -> Locator:
    """Return the form of an act, opened."""
    found = page.locator(f'details.act:has(form[data-act="{act}"])').first
    expect(found).to_be_visible(timeout=WITHIN_MS)
    if found.get_attribute("open") is None:
        found.locator("summary").click()
    return found.locator("form")


def send(page: Page, act: str, credential: str) -> None:
    """Type the credential, and send the form."""
    found = form(page, act)
    found.locator(".credential").fill(credential)
    found.locator(".buttons button").click()


def said(page: Page, text: str | re.Pattern[str]) -> None:
    """Wait until the page says what was carried out."""
    expect(page.locator("#said")).to_contain_text(text, timeout=WITHIN_MS)


def refused(page: Page, act: str, text: str | re.Pattern[str]) -> None:
    """Wait until the form says why nothing was carried out, in one place, with the credential emptied."""
    found = page.locator(f'form[data-act="{act}"]').first
    expect(found.locator(".problem")).to_contain_text(text, timeout=WITHIN_MS)


def on(page: Page, station: ConsoleStation, side: str, name: str) -> Page:
    """Open a screen."""
    page.goto(station.screen(side, name))
    expect(page.locator("main h1").first).to_be_visible()
    return page


def read_back(page: Page, words: Sequence[str]) -> None:
    """Type the three words as an officer does, one field after the other."""
    fields = form(page, "answer").locator("[data-plain]")
    for place, word in enumerate(words):
        fields.nth(place).fill(word)
        fields.nth(place).blur()


def armed(page: Page) -> None:
    """Play the four sounds with clicks, and wait until the browser can sound."""
    for button in form(page, "take-watch").locator("[data-sound]").all():
        button.click()
    expect(page.locator("body")).to_have_attribute("data-armed", "yes", timeout=WITHIN_MS)
