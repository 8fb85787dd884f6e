"""The board at an instant of the past: it says that it is not now, nobody acts on it, and the present still calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect

from endpoints.journal.segments import segments
from protocol.wire.instants import parsed, written
from tests.console.test_screens import narrow, wide
from tests.console.test_sound import FLASH, WITHIN_MS, armed, plays
from tests.support.browser import DESKTOP, Visits, faults, look, picture
from tests.support.console_station import ConsoleStation
from tests.support.processes import killed

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

SLOW_MS = 30_000
"""A replay is folded at low priority, in a process of its own."""
LANGUAGES, THEMES = ("en", "ru"), ("light", "dark")
PHONE = {"width": 320, "height": 640}
NOT_NOW = re.compile(r"^EXERCISE · УЧЕНИЕ · REPLAY (\d\d:\d\d:\d\d) — not now · ПОВТОР \1 — не сейчас$")


class Past(NamedTuple):
    """Instants at which one alert was not sent yet, open here, and acknowledged."""

    station: ConsoleStation
    reference: str
    before: str
    open: str
    after: str


@pytest.fixture(scope="module")
def past(station: ConsoleStation) -> Past:
    before = records(station)[-1]["at"]
    reference = station.alert("ndmc", category="stray_munition", precedence="priority", expires_in_s=86_400)
    station.until(lambda: station.alert_state("eucom", reference) == "received")
    opened = records(station)[-1]["at"]
    station.until(lambda: station.utc() > opened)
    station.act("eucom", "watch-1", "acknowledge", of=reference, decision="understood")
    station.settled()
    return Past(station, reference, before, opened, records(station)[-1]["at"])


def records(station: ConsoleStation) -> list[dict[str, str]]:
    return station.records("eucom")


def address(station: ConsoleStation, **query: str) -> str:
    return f"{station.screen('eucom', 'replay')}?" + "&".join(f"{name}={value}" for name, value in query.items())


def shown(page: Page) -> str:
    """Return the instant that a replay says it shows."""
    expect(page.locator(".edge-top")).to_have_text(NOT_NOW, timeout=SLOW_MS)
    match = NOT_NOW.match(page.locator(".edge-top").inner_text())
    assert match is not None
    return match[1]


def test_the_board_is_put_at_an_instant_and_says_that_it_is_not_now(past: Past, visits: Visits) -> None:
    page = visits.enter(past.station, role="watch-1")
    page.goto(address(past.station, at=past.open))
    expect(page.locator("#open")).to_contain_text(past.reference)
    time = past.open[11:19]
    assert shown(page) == time
    for edge in page.locator(".edge").all():
        expect(edge).to_have_text(NOT_NOW)
        colour = edge.evaluate("each => getComputedStyle(each).backgroundColor")
        red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
        assert max(red, green, blue) - min(red, green, blue) < 32, f"not grey: {colour}"
    expect(page).to_have_title(re.compile(rf"^\[EX\] REPLAY {time} — not now · eucom-ndmc: .* – Replay$"))
    # its clocks stand, and no part of it is proven now
    expect(page.locator(".clocks time").first).to_have_text(time)
    expect(page.locator(".bar .state")).not_to_have_class(re.compile("level-normal"))
    expect(page.locator("#out li").first).to_have_class(re.compile("level-unknown"))
    expect(page.locator("#watch li")).to_have_class(re.compile("level-unknown"))
    # nothing acts
    expect(page.locator("[data-act], form.act, #live form[method=post]")).to_have_count(0)
    # the same view and the same template
    assert page.locator(".board > section").evaluate_all("all => all.map(each => each.id)") == [
        "out", "in", "test", "alarms", "open", "watch", "slots",
    ]  # fmt: skip
    version = page.locator("#live").get_attribute("data-version")
    past.station.act("eucom", "watch-1", "take-watch")
    expect(page.locator("#live")).not_to_have_attribute("data-version", version or "", timeout=WITHIN_MS)
    expect(page.locator(".clocks time").first).to_have_text(time)
    for at, open_ in ((past.before, False), (past.after, False), (past.open, True)):
        page.goto(address(past.station, at=at))
        expect(page.locator("#open")).to_contain_text(past.reference if open_ else "OPEN")
        assert (past.reference in page.locator("#open").inner_text()) is open_


def test_live_alarms_still_sound_and_one_key_returns_to_now(past: Past, visits: Visits) -> None:
    station = past.station
    page = visits.enter(station)
    armed(page)
    page.goto(address(station, at=past.before))
    page.locator(".clocks").first.click()
    expect(page.locator("body")).to_have_attribute("data-armed", "yes", timeout=WITHIN_MS)
    draft = station.act("ndmc", "duty-1", "alert", text={"ru": "Внимание.", "en": "Attention."}, **FLASH)
    reference = station.act("ndmc", "duty-2", "release", draft=int(draft.removeprefix("draft/")))
    plays(page, 1)
    # steps along the track silence nothing
    page.locator("#step-next").click()
    expect(page.locator("#step-next, .steps .off").first).to_be_visible()
    expect(page.locator(".edge-top")).not_to_contain_text(past.before[11:19], timeout=SLOW_MS)
    plays(page, 1)
    expect(page.locator("body")).to_have_attribute("data-armed", "yes")
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("/links/eucom-ndmc/board$"))
    expect(page.locator(".edge-top")).to_have_text("EXERCISE · УЧЕНИЕ")
    expect(page.locator("#open")).to_contain_text(reference)
    station.act("eucom", "watch-1", "acknowledge", of=reference, decision="understood")
    page.goto(address(station, at=past.open))
    page.locator(".back-to-now").click()
    expect(page).to_have_url(re.compile("/links/eucom-ndmc/board$"))


def test_the_present_is_named_beside_the_past(past: Past, visits: Visits) -> None:
    """An alarm of now stands on the replay, which itself shows the board without it."""
    station = past.station
    page = visits.enter(station)
    page.goto(address(station, at=past.open))
    expect(page.locator(".title .now")).to_contain_text("now: ")
    expect(page.locator("#alarms")).not_to_contain_text("broker", ignore_case=True)
    with killed(station, "eucom"):
        expect(page.locator(".title .now")).to_have_class(re.compile("level-unknown"), timeout=WITHIN_MS)
        expect(page.locator("#open")).to_contain_text(past.reference)
        expect(page.locator("#meanwhile")).to_be_empty()
        picture(page, "replay-endpoint-gone-now")
    expect(page.locator(".title .now")).not_to_have_class(re.compile("level-unknown"), timeout=60_000)


def test_the_scrubber_works_by_keyboard_and_by_steps(past: Past, visits: Visits) -> None:
    page = visits.enter(past.station)
    page.goto(address(past.station, at=past.after))
    first = shown(page)
    slider = page.locator("#to")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator(".edge-top")).not_to_contain_text(first, timeout=SLOW_MS)
    expect(page).to_have_url(re.compile(r"/replay\?span=all&to=\d+$"))
    # the focus stays, so that one can go on
    expect(slider).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator(".edge-top")).to_contain_text("REPLAY", timeout=SLOW_MS)
    # one key returns, with the focus on the scrubber too
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("/board$"))

    page.goto(address(past.station, at=past.after))
    seen = {shown(page)}
    page.locator("#step-first").click()
    expect(page.locator("#step-first")).to_have_count(0, timeout=SLOW_MS)
    begin = shown(page)
    for _ in range(3):
        before = page.url
        page.locator("#step-next").click()
        expect(page).not_to_have_url(before)
        expect(page.locator("main")).not_to_have_attribute("aria-busy", "true", timeout=SLOW_MS)
        seen.add(shown(page))
    assert begin <= min(seen)
    page.locator("#step-previous").click()
    page.locator("#step-last").click()
    expect(page.locator("#step-last")).to_have_count(0, timeout=SLOW_MS)
    page.locator("#span-hour").click()
    expect(page.locator("#span-hour")).to_have_attribute("aria-current", "true", timeout=SLOW_MS)


def test_without_javascript_an_instant_is_typed_or_chosen_on_the_track(past: Past, visits: Visits) -> None:
    page = visits.enter(past.station, java_script_enabled=False)
    page.goto(past.station.screen("eucom", "history"))
    page.locator("#f-at").fill(past.open[:19] + "Z")
    page.get_by_role("button", name="the board then").click()
    assert shown(page) == past.open[11:19]
    page.locator("#f-at").fill(past.open)
    page.get_by_role("button", name="show").click()
    expect(page.locator("#open")).to_contain_text(past.reference)
    page.get_by_role("button", name="go there").click()
    expect(page).to_have_url(re.compile(r"to=\d+"))
    expect(page.locator(".edge-top")).to_have_text(NOT_NOW)


def test_a_row_of_the_history_leads_to_the_board_then(past: Past, visits: Visits) -> None:
    page = visits.enter(past.station)
    page.goto(past.station.screen("eucom", "history"))
    page.locator("#rows tbody td.time a").last.click()
    assert shown(page)


@pytest.fixture
def damaged(station: ConsoleStation) -> Iterator[None]:
    """Make a byte of the journal another one for a while."""
    path = segments(station.journal("eucom"))[0]
    whole = path.read_bytes()
    place = whole.index(b'"batch":', len(whole.split(b"\0")[0]) // 3)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b'"bitch":')
    yield
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b'"batch":')


SENTENCES: Mapping[str, Mapping[str, str]] = {
    "yesterday": {"en": "expected a time in UTC such as", "ru": "ожидалось время UTC"},
    "2031-01-01": {"en": "this instant has not come yet", "ru": "этот момент ещё не наступил"},
    "1980-01-01": {"en": "the journal begins only at", "ru": "журнал начинается только в"},
}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_instants_of_which_the_journal_says_nothing_get_one_sentence(lang: str, past: Past, visits: Visits) -> None:
    page = visits.enter(past.station)
    look(page, lang=lang)
    for at, said in SENTENCES.items():
        page.goto(address(past.station, at=at))
        expect(page.locator("#f-error")).to_contain_text(said[lang])
        expect(page.locator(".board")).to_have_count(0)
        # nothing of the past is shown, so the frame is that of the present
        expect(page.locator(".edge-top")).to_have_text("EXERCISE · УЧЕНИЕ")
        expect(page.locator("#f-at")).to_have_value(at)
        assert not faults(page)
    picture(page, f"replay-too-early-{lang}")


def test_a_damaged_stretch_gets_one_sentence(past: Past, visits: Visits, damaged: None) -> None:
    del damaged
    page = visits.enter(past.station)
    at = written(parsed(past.after) + 1)
    page.goto(address(past.station, at=at))
    expect(page.locator("#f-error")).to_contain_text("the journal can't be read at this instant")
    expect(page.locator(".board")).to_have_count(0)
    picture(page, "replay-damaged")


@pytest.mark.parametrize(("lang", "theme"), list(product(LANGUAGES, THEMES)))
def test_a_replay_is_accessible_and_fits(lang: str, theme: str, past: Past, visits: Visits) -> None:
    for name, size in (("desktop", DESKTOP), ("phone", PHONE)):
        page = visits.enter(past.station, viewport=size)
        look(page, lang=lang, theme=theme)
        page.goto(address(past.station, at=past.open, span="hour"))
        expect(page.locator("#open")).to_contain_text(past.reference)
        picture(page, f"replay-{lang}-{theme}-{name}", whole=name == "phone")
        assert not faults(page)
        assert not [*wide(page), *narrow(page)]


def test_a_board_session_has_no_replay(past: Past, visits: Visits) -> None:
    page = visits.enter(past.station, role="board")
    answer = page.goto(address(past.station, at=past.open))
    assert answer is not None
    assert answer.status == 403
