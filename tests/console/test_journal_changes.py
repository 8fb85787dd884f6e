"""The journal changes under a console: it rotates, an older copy takes its place, and its own comes back."""

from __future__ import annotations

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page, expect

from endpoints.control.async_client import AsyncControlClient
from endpoints.journal.segments import segments
from tests.support.browser import Visits, picture
from tests.support.console_station import ConsoleStation
from tests.support.station import LINK

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WITHIN_MS = 40_000
"""A page of a link whose endpoint is gone asks every 20 s."""
LONG = {"en": "Long. " + "x" * 3_900, "ru": "Долго. " + "ж" * 3_900}


def received(station: ConsoleStation, reference: str) -> str:
    station.until(lambda: station.alert_state("ndmc", reference) == "received")
    return reference


def history(page: Page, station: ConsoleStation) -> None:
    page.goto(station.screen("ndmc", "history"))


def test_an_older_copy_of_the_journal_is_shown_as_what_it_is(station: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(station, "ndmc")
    first = received(station, station.alert())
    journal, backup = station.journal("ndmc"), station.folder / "backup"
    assert station.stop("ndmc") == 0
    shutil.copytree(journal, backup)
    station.start("ndmc")
    after = received(station, station.alert())
    history(page, station)
    row = page.locator("#rows", has_text=after)
    expect(row).to_be_visible(timeout=WITHIN_MS)
    assert station.stop("ndmc") == 0

    done = station.deconflict("log", "restore", str(backup), str(station.config("ndmc")), "--replace", "--json")
    assert done.returncode == 0, done.stderr
    # the page that is open: what the copy lacks is gone, what it has is there
    expect(row).to_have_count(0, timeout=WITHIN_MS)
    expect(page.locator("#rows")).to_contain_text(first)
    expect(page.locator("#banner-endpoint_gone")).to_be_visible()
    picture(page, "history-older-journal")
    answer = page.goto(station.screen("ndmc", "messages", after))
    assert answer is not None
    assert answer.status == 404
    expect(page.locator("h1")).to_contain_text("the journal has no such message")

    # and back
    shutil.rmtree(journal)
    shutil.move(msgspec.json.decode(done.stdout)["replaced"], journal)
    station.start("ndmc")
    history(page, station)
    expect(row).to_be_visible(timeout=WITHIN_MS)
    expect(page.locator("#banner-endpoint_gone")).to_have_count(0, timeout=WITHIN_MS)


def test_a_journal_that_rotates_is_followed_into_its_next_segment(station: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(station)
    page.goto(station.screen("eucom", "history"))
    before = len(segments(station.journal("eucom")))
    with ThreadPoolExecutor(1) as thread:
        # the browser's driver has an event loop in this one
        filling = thread.submit(lambda: asyncio.run(fill(station, before)))
        while not filling.done():
            page.wait_for_timeout(200)
        filling.result()
    assert len(segments(station.journal("eucom"))) > before
    last = station.alert(text={"en": "Behind the rotation.", "ru": "После смены файла."})
    expect(page.locator("#rows")).to_contain_text(last, timeout=WITHIN_MS)
    page.goto(station.screen("eucom", "messages", last))
    expect(page.locator("main")).to_contain_text("Behind the rotation.")


async def fill(station: ConsoleStation, before: int) -> None:
    """Raise long alerts until the journal of eucom has another segment."""
    client = AsyncControlClient(Path(station.config("eucom")).parent / "control.sock")
    credential = station.credential("eucom", "watch-1")
    number = 0
    while len(segments(station.journal("eucom"))) == before:
        assert number < 1_000, "the journal never rotated"
        alerts = []
        for number in range(number, number + 10):  # noqa: B020 - goes on where it was
            body = {"category": "air_pursuit", "precedence": "routine", "text": LONG, "expires_in_s": 86_400}
            asked = {"request": f"rotate-{number:04}", "officer": "watch-1", "credential": credential, **body}
            alerts.append(client.post(LINK, "alert", asked))
        await asyncio.gather(*alerts)
        number += 1
