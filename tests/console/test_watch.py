"""The watch is taken by an officer who has heard the sounds, handed over, and left: in browsers, and in the journal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Visits, every_look, faults, look, picture
from tests.support.console_station import ConsoleStation
from tests.support.duty_pages import WITHIN_MS, armed, form, on, refused, said, send

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SIDE = "eucom"


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStation]:
    """Yield a link with an alarm, an alert that waits at each side, and a draft."""
    with ConsoleStation.of(tmp_path_factory) as station:
        station.start_all()
        station.client(SIDE).act("test", {})
        station.forward(11 * 60, rate=300)
        station.alarm(SIDE, "heartbeat_unanswered")
        station.alert(SIDE)
        station.alert("ndmc", precedence="priority")
        station.alert(SIDE, precedence="flash")
        station.settled()
        yield station


def on_watch(station: ConsoleStation, officer: str | None) -> None:
    """Bring it about that `officer`, or nobody, has the watch."""
    now = station.status(SIDE)["on_watch"]
    if officer is None and now is not None:
        station.act(SIDE, now["officer"], "leave-watch", why="test")
    elif officer is not None and (now is None or now["officer"] != officer):
        relieves = {} if now is None else {"relieves": now["officer"]}
        station.act(SIDE, officer, "take-watch", **relieves)


def watch_of(station: ConsoleStation, visits: Visits, officer: str, **how: Any) -> Page:
    return on(visits.enter(station, SIDE, role=officer, **how), station, SIDE, "watch")


def heard(page: Page) -> None:
    """Hear the sounds, and confirm them and the sheet."""
    armed(page)
    found = form(page, "take-watch")
    found.locator('[value="heard"]').check()
    found.locator('[name="read"]').check()


def taken(station: ConsoleStation) -> tuple[str, str | None]:
    """Return who took the watch last, and from whom."""
    last = station.records(SIDE, "WatchTaken")[-1]
    return last["officer"], last.get("relieves")


def ended(station: ConsoleStation, officer: str) -> list[str]:
    """Return why sessions of an officer have ended."""
    return [each["why"] for each in station.records(SIDE, "SessionEnded") if each.get("officer") == officer]


# --- taking -------------------------------------------------------------------------------------------------------


def test_the_watch_is_taken_by_who_has_heard_the_sounds_and_read_the_sheet(
    station: ConsoleStation, visits: Visits
) -> None:
    on_watch(station, None)
    page = watch_of(station, visits, "watch-2")
    expect(page.locator(".bar .on-watch")).to_have_class(re.compile("level-serious"), timeout=WITHIN_MS)
    picture(page, "watch-nobody")
    before = len(station.records(SIDE, "WatchTaken"))
    credential = station.credential(SIDE, "watch-2")
    found = form(page, "take-watch")
    send(page, "take-watch", credential)
    refused(page, "take-watch", "choose one")
    found.locator('[value="heard"]').check()
    send(page, "take-watch", credential)
    refused(page, "take-watch", re.compile("Play each of the four sounds first|does not sound"))
    armed(page)
    send(page, "take-watch", credential)
    refused(page, "take-watch", "read the sheet first")
    assert len(station.records(SIDE, "WatchTaken")) == before
    heard(page)
    picture(page, "watch-to-take")
    send(page, "take-watch", credential)
    said(page, "watch-2 has the watch of eucom-ndmc.")
    expect(page.locator("#on-watch-title")).to_contain_text("watch-2", timeout=WITHIN_MS)
    expect(page.locator(".bar .on-watch")).to_contain_text("watch-2")
    assert taken(station) == ("watch-2", None)
    picture(page, "watch-taken")


def test_who_takes_it_at_a_screen_without_sound_says_who_listens(station: ConsoleStation, visits: Visits) -> None:
    on_watch(station, None)
    page = watch_of(station, visits, "watch-1")
    found = form(page, "take-watch")
    found.locator('[value="elsewhere"]').check()
    found.locator('[name="read"]').check()
    send(page, "take-watch", station.credential(SIDE, "watch-1"))
    refused(page, "take-watch", "the text is empty")
    found.locator('[name="listens"]').fill("Sgt Meyer at the wall display, room 2")
    send(page, "take-watch", station.credential(SIDE, "watch-1"))
    said(page, "watch-1 has the watch")
    assert taken(station) == ("watch-1", None)
    station.until(lambda: b"Sgt Meyer at the wall display" in station.output(f"console-{SIDE}"))


def test_of_two_who_take_it_at_once_the_second_sees_who_has_it(station: ConsoleStation, visits: Visits) -> None:
    on_watch(station, None)
    first, second = (watch_of(station, visits, officer) for officer in ("watch-1", "watch-2"))
    for page in (first, second):
        heard(page)
    second.route("**/watch", lambda route: route.abort() if "x-live" in route.request.headers else route.continue_())
    send(first, "take-watch", station.credential(SIDE, "watch-1"))
    said(first, "watch-1 has the watch")
    send(second, "take-watch", station.credential(SIDE, "watch-2"))
    refused(second, "take-watch", "watch-1 is on watch since")
    assert taken(station) == ("watch-1", None)
    picture(second, "watch-taken-by-another")
    second.unroute("**/watch")
    visits.faults.clear()


# --- handing over -------------------------------------------------------------------------------------------------


def test_it_is_handed_over_in_the_outgoing_officers_browser(station: ConsoleStation, visits: Visits) -> None:
    on_watch(station, "watch-1")
    page = watch_of(station, visits, "watch-1")
    before = len(ended(station, "watch-1"))
    heard(page)
    found = form(page, "take-watch")
    found.locator('[name="incoming"]').fill("watch-2")
    expect(found.locator(".sentence")).to_contain_text("I take the watch of eucom-ndmc from watch-1, as watch-2")
    picture(page, "watch-hand-over")
    send(page, "take-watch", station.credential(SIDE, "watch-1"))
    refused(page, "take-watch", re.compile("credential", re.IGNORECASE))
    assert station.status(SIDE)["on_watch"]["officer"] == "watch-1"
    heard(page)
    send(page, "take-watch", station.credential(SIDE, "watch-2"))
    expect(page.locator("body")).to_have_attribute("data-officer", "watch-2", timeout=WITHIN_MS)
    expect(page.locator("#on-watch-title")).to_contain_text("watch-2")
    expect(page.locator("#signed-out")).to_be_hidden()
    assert taken(station) == ("watch-2", "watch-1")
    station.until(lambda: len(ended(station, "watch-1")) > before)
    assert ended(station, "watch-1")[-1] == "handover"
    assert station.records(SIDE, "SessionBegan")[-1]["officer"] == "watch-2"
    # the sounds go on without another click
    expect(page.locator("body")).to_have_attribute("data-armed", "yes", timeout=WITHIN_MS)


def test_it_is_handed_over_in_the_incoming_officers_browser(station: ConsoleStation, visits: Visits) -> None:
    on_watch(station, "watch-1")
    outgoing, incoming = (watch_of(station, visits, officer) for officer in ("watch-1", "watch-2"))
    heard(incoming)
    send(incoming, "take-watch", station.credential(SIDE, "watch-2"))
    said(incoming, "watch-2 has the watch")
    expect(outgoing.locator("#signed-out")).to_be_visible(timeout=WITHIN_MS)
    assert taken(station) == ("watch-2", "watch-1")
    assert ended(station, "watch-1")[-1] == "handover"
    expect(incoming.locator("#on-watch-title")).to_contain_text("watch-2")
    picture(outgoing, "watch-handed-over")


def test_a_hand_over_on_the_command_line_ends_the_outgoing_officers_sessions(
    station: ConsoleStation, visits: Visits
) -> None:
    on_watch(station, "watch-1")
    page = watch_of(station, visits, "watch-1")
    on_watch(station, "watch-2")
    expect(page.locator("#signed-out")).to_be_visible(timeout=WITHIN_MS)
    station.until(lambda: ended(station, "watch-1")[-1] == "handover")


@pytest.mark.parametrize("incoming", ["", "watch-1", "Watch-2", "<b>", "a" * 4_000, "\u202ewatch-2", "watch-9"])
def test_the_incoming_officer_is_another_one_who_proves_themselves(
    incoming: str, station: ConsoleStation, visits: Visits
) -> None:
    on_watch(station, "watch-1")
    page = watch_of(station, visits, "watch-1")
    heard(page)
    form(page, "take-watch").locator('[name="incoming"]').fill(incoming)
    send(page, "take-watch", station.credential(SIDE, "watch-2"))
    expect(form(page, "take-watch").locator(".problem")).to_be_visible(timeout=WITHIN_MS)
    assert station.status(SIDE)["on_watch"]["officer"] == "watch-1"


# --- leaving ------------------------------------------------------------------------------------------------------


def test_who_leaves_the_watch_leaves_it_to_nobody_and_says_why(station: ConsoleStation, visits: Visits) -> None:
    on_watch(station, "watch-1")
    page = watch_of(station, visits, "watch-1")
    board = visits.enter(station, SIDE, role="board")
    why = form(page, "leave-watch").locator('[name="why"]')
    for wrong in ("", "x" * 4_000):
        why.evaluate("(field, text) => { field.removeAttribute('maxlength'); field.value = text; }", wrong)
        send(page, "leave-watch", station.credential(SIDE, "watch-1"))
        refused(page, "leave-watch", re.compile("the text is empty|the limit is 200"))
    why.fill("fire alarm <b>now</b> 🚒")
    send(page, "leave-watch", station.credential(SIDE, "watch-1"))
    said(page, "watch-1 has left the watch of eucom-ndmc: nobody has it.")
    assert station.records(SIDE, "WatchLeft")[-1]["why"] == "fire alarm <b>now</b> 🚒"
    for screen in (page, board):
        expect(screen.locator(".bar .on-watch")).to_have_class(re.compile("level-serious"), timeout=WITHIN_MS)
        expect(screen.locator(".bar .on-watch")).to_contain_text("nobody on watch")
    expect(board.locator(".reasons")).to_contain_text("nobody has the watch")
    expect(page.locator("#on-watch")).to_contain_text("watch-1 left the watch: fire alarm <b>now</b>")
    picture(board, "board-nobody-on-watch")


def test_a_removed_officer_has_lost_the_watch_and_acts_no_more(station: ConsoleStation, visits: Visits) -> None:
    file = station.credential_file(SIDE, "watch-3")
    added = station.deconflict("officer", "add", str(station.config(SIDE)), "watch-3", "--credential-file", str(file))
    assert added.returncode == 0, added.stderr
    station.until(lambda: "watch-3" in (station.snapshot(SIDE)["officers"] or ()))
    on_watch(station, None)
    on_watch(station, "watch-3")
    page = watch_of(station, visits, "watch-3")
    credential = station.credential(SIDE, "watch-3")
    form(page, "leave-watch").locator(".credential").fill(credential)
    removed = station.deconflict("officer", "remove", str(station.config(SIDE)), "watch-3", "--yes")
    assert removed.returncode == 0, removed.stderr
    station.until(lambda: station.status(SIDE)["on_watch"] is None)
    expect(page.locator("#signed-out")).to_be_visible(timeout=WITHIN_MS)


# --- the sheet ----------------------------------------------------------------------------------------------------


def test_the_sheet_has_what_waits_and_stands_on_paper(station: ConsoleStation, visits: Visits) -> None:
    on_watch(station, "watch-1")
    page = watch_of(station, visits, "watch-2")
    sheet = page.locator("#sheet")
    expect(sheet).to_contain_text("Handover sheet")
    expect(sheet.locator('a[href*="draft/"]')).to_be_visible()
    expect(sheet.locator("table tbody tr")).not_to_have_count(0)
    expect(sheet.locator(".recorded li")).not_to_have_count(0)
    page.emulate_media(media="print")
    expect(page.locator("#on-watch .act").first).to_be_hidden()
    expect(sheet).to_be_visible()
    picture(page, "watch-print", whole=True)


def test_an_investigator_reads_the_sheet_and_takes_nothing(station: ConsoleStation, visits: Visits) -> None:
    page = on(visits.enter(station, SIDE), station, SIDE, "watch")
    expect(page.locator("#sheet")).to_be_visible()
    expect(page.locator("form[data-act]")).to_have_count(0)


@every_look
def test_the_forms_fit_and_are_accessible(
    lang: str, theme: str, width: int, station: ConsoleStation, visits: Visits
) -> None:
    on_watch(station, "watch-1")
    officer = "watch-1" if theme == "dark" else "watch-2"
    page = visits.enter(station, SIDE, role=officer, viewport={"width": width, "height": 800})
    look(page, lang=lang, theme=theme)
    on(page, station, SIDE, "watch")
    form(page, "take-watch")
    if officer == "watch-1":
        form(page, "leave-watch")
    found = faults(page)
    if page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        found.append("scrolls sideways")
    picture(page, f"watch-{lang}-{theme}-{width}", whole=True)
    assert not found
