"""New content never moves what is under the pointer: it waits, counted, while somebody reads or holds a row."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Visits, picture
from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

WITHIN_MS = 15_000
WAITING = "#waiting"


@pytest.fixture
def messages(station: ConsoleStation, visits: Visits) -> Page:
    """Return the list of messages, with some of both sides."""
    for _ in range(2):
        received(station, station.alert("ndmc"))
    page = visits.enter(station)
    page.goto(station.screen("eucom", "messages"))
    return page


def received(station: ConsoleStation, reference: str) -> str:
    station.until(lambda: station.alert_state("eucom", reference) is not None)
    return reference


def card(page: Page, reference: str) -> Locator:
    return page.locator(f"#m-{reference.replace('/', '-')}")


def top(row: Locator) -> float:
    box = row.bounding_box()
    assert box is not None
    return float(box["y"])


def updated(page: Page, version: str | None) -> None:
    """Wait until the bar of a page is of another version."""
    expect(page.locator("#live")).not_to_have_attribute("data-version", version or "", timeout=WITHIN_MS)


@pytest.mark.parametrize("how", ["read", "held", "focused"])
def test_new_rows_wait_while_a_row_is_used_and_the_bar_goes_on(
    how: str, station: ConsoleStation, messages: Page
) -> None:
    row = messages.locator("#theirs article").first
    if how == "focused":
        row.locator("a").first.focus()
    else:
        row.hover()
    if how == "held":
        messages.mouse.down()
    before, version = top(row), messages.locator("#live").get_attribute("data-version")

    references = [received(station, station.alert("ndmc")) for _ in range(3)]

    updated(messages, version)
    expect(messages.locator(WAITING)).to_have_text("3 new", timeout=WITHIN_MS)
    assert top(row) == before
    expect(card(messages, references[-1])).to_have_count(0)
    if how == "read":
        picture(messages, "messages-new-wait")
        messages.locator(WAITING).click()
    elif how == "held":
        messages.mouse.up()
        messages.locator(".bar").hover()
    else:
        messages.locator(".menu a").first.focus()
    expect(card(messages, references[-1])).to_have_count(1, timeout=WITHIN_MS)
    expect(messages.locator(WAITING)).to_be_hidden()


def test_a_click_into_the_content_freezes_nothing(station: ConsoleStation, messages: Page) -> None:
    """It gives the focus to the content, and what has the focus is updated all the same."""
    messages.locator("main h1").click()
    expect(messages.locator("main")).to_be_focused()
    reference = received(station, station.alert("ndmc"))
    expect(card(messages, reference)).to_have_count(1, timeout=WITHIN_MS)
    expect(messages.locator("main")).to_be_focused()


def test_rows_that_nobody_reads_are_shown_at_once(station: ConsoleStation, messages: Page) -> None:
    messages.locator(".bar").hover()
    reference = received(station, station.alert("ndmc"))
    expect(card(messages, reference)).to_have_count(1, timeout=WITHIN_MS)
    expect(messages.locator(WAITING)).to_be_hidden()


def test_what_happens_to_a_row_is_shown_in_it_while_it_is_read(station: ConsoleStation, messages: Page) -> None:
    """Only its place is kept: a state that is not of now would deceive."""
    reference = received(station, station.alert("eucom"))
    row = card(messages, reference)
    row.hover()
    before = top(row)
    station.until(lambda: station.alert_state("ndmc", reference) == "received")
    station.act("ndmc", "duty-1", "acknowledge", of=reference, decision="understood")
    expect(row).to_contain_text("acknowledged", timeout=WITHIN_MS)
    assert abs(top(row) - before) < 2
