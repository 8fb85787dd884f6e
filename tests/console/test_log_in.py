"""An officer logs in at the page, reads, prints and logs out; whatever is wrong, the answer is the same."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Visits, faults, picture
from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

WITHIN_MS = 15_000


def log_in(page: Page, officer: str, credential: str) -> None:
    page.locator("#officer").fill(officer)
    page.locator("#credential").fill(credential)
    page.locator("form button").click()


def test_wrong_and_right(station: ConsoleStation, visits: Visits) -> None:
    page = visits.profile().new_page()
    page.goto(station.screen("eucom"))
    expect(page).to_have_url(re.compile("/log-in$"))
    right, said = station.credential("eucom", "watch-1"), []
    for officer, credential in (("watch-1", "wrong"), ("nobody", right), ("watch-2", right), ("Watch 1' --", right)):
        log_in(page, officer, credential)
        expect(page.locator(".banner")).to_be_visible(timeout=WITHIN_MS)
        said.append(page.locator(".banner").inner_text())
        # what was typed stays, but for the credential
        expect(page.locator("#officer")).to_have_value(officer)
        expect(page.locator("#credential")).to_have_value("")
        assert page.context.cookies() == [each for each in page.context.cookies() if "watch" not in each["name"]]
    assert len(set(said)) == 1, "which of both was wrong is not told"
    assert "watch-2" not in said[0], "officers are not listed"
    assert not faults(page)
    picture(page, "log-in-wrong")

    log_in(page, "watch-1", right)
    expect(page).to_have_url(re.compile("/links/eucom-ndmc/board$"), timeout=WITHIN_MS)
    expect(page.locator(".foot")).to_contain_text("watch-1")
    # the journal has the session, and none of the credential
    page.goto(station.screen("eucom", "history") + "?kind=officers&officer=watch-1")
    expect(page.locator("#rows")).to_contain_text("watch-1 logged in at a console", timeout=WITHIN_MS)
    assert right.encode() not in station.output("eucom")


def test_a_print_names_its_reader_and_the_log_out_ends_all_pages(station: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(station, role="watch-2")
    expect(page).to_have_url(re.compile("/board$"), timeout=WITHIN_MS)
    page.emulate_media(media="print")
    printed = page.locator(".printed").last
    expect(printed).to_be_visible()
    expect(printed).to_contain_text("watch-2")
    page.emulate_media(media="screen")
    other = page.context.new_page()
    other.goto(station.screen("eucom", "messages"))
    expect(other.locator("#live")).to_be_visible()

    page.locator(".foot form button").click()
    expect(page).to_have_url(re.compile("/log-in$"), timeout=WITHIN_MS)
    expect(other.locator("#signed-out")).to_be_visible(timeout=WITHIN_MS)
    page.go_back()
    expect(page).to_have_url(re.compile("/log-in$"))
    page.goto(station.screen("eucom"))
    expect(page).to_have_url(re.compile("/log-in$"))
