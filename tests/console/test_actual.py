"""A link of status actual: every screen, icon, title, sheet of paper and file names it, with and without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from endpoints.console.screens import SCREENS
from protocol.wire.instants import parsed
from tests.support.broker_site import now
from tests.support.browser import Visits, faults, look, picture
from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

WORD = "ACTUAL · РЕАЛЬНО"
NAMES = tuple(each.name for each in SCREENS if "investigator" in each.roles and each.replays is None)
WITHIN_MS = 15_000
AHEAD = "const real = Date.now; Date.now = () => real() + {ms};"


@pytest.fixture(scope="module")
def actual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStation]:
    """Yield a link of status actual, which is fine, with a message of each side."""
    with ConsoleStation.of(tmp_path_factory, status="actual") as station:
        station.start_all()
        station.prove()
        station.alert("eucom")
        station.alert("ndmc")
        yield station


def framed(page: Page) -> None:
    """Assert that the frame is that of an actual link: its word, plain, and nothing of an exercise."""
    for edge in page.locator(".edge").all():
        expect(edge).to_have_text(WORD)
    assert "actual" in (page.locator("link[rel=icon]").get_attribute("href") or "")
    assert page.locator("html").get_attribute("data-status") == "actual"
    hatch = page.locator(".edge-top").evaluate("each => getComputedStyle(each).backgroundImage")
    assert hatch == "none", "the hatch is an exercise's"
    # a filter of the history names every status
    shown = "".join(page.locator(".edge, .bar, .purpose, .banner").all_inner_texts())
    assert not re.search("exercise|учени", shown, re.IGNORECASE)


@pytest.mark.parametrize(("lang", "prefix", "theme"), [("en", "[ACTUAL]", "light"), ("ru", "[РЕАЛЬНО]", "dark")])
def test_an_actual_link_is_framed_as_one_on_every_screen(
    lang: str, prefix: str, theme: str, actual: ConsoleStation, visits: Visits
) -> None:
    page = visits.enter(actual)
    look(page, lang=lang, theme=theme)
    for name in NAMES:
        page.goto(actual.screen("eucom", name))
        framed(page)
        assert page.title().startswith(f"{prefix} eucom-ndmc"), page.title()
        # live news keep it
        expect(page.locator("[data-shown]").first).not_to_have_text(page.locator("[data-shown]").first.inner_text())
        assert page.title().startswith(prefix)
        if name in {"board", "messages"}:
            assert not faults(page)
            picture(page, f"{name}-actual-{lang}")


def test_an_actual_link_is_framed_as_one_without_javascript_and_before_the_log_in(
    actual: ConsoleStation, visits: Visits
) -> None:
    page = visits.profile(java_script_enabled=False).new_page()
    page.goto(f"{actual.origin('eucom')}/log-in")
    assert page.title().startswith(WORD)
    assert "actual" in (page.locator("link[rel=icon]").get_attribute("href") or "")
    page.goto(actual.board_link("eucom", "investigator"))
    for name in NAMES:
        page.goto(actual.screen("eucom", name))
        assert page.title().startswith("[ACTUAL]")
        assert page.locator("html").get_attribute("data-status") == "actual"
        expect(page.locator(".edge-top")).to_have_text(WORD)
        expect(page.locator(".edge-top")).to_be_visible()
        expect(page.locator("main")).to_be_visible()


def test_an_actual_link_says_so_on_paper_and_in_the_names_of_files(actual: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(actual)
    page.emulate_media(media="print")
    for name in ("board", "messages"):
        page.goto(actual.screen("eucom", name))
        expect(page.locator(".edge-top")).to_be_visible()
        expect(page.locator(".edge-top")).to_have_text(WORD)
        # the style sheet prints the word of this named page above and below each sheet
        assert page.locator("body").evaluate("each => getComputedStyle(each).page") == "actual"
    picture(page, "messages-actual-print", whole=True)
    page.emulate_media(media="screen")
    page.goto(actual.screen("eucom", "investigate"))
    for link in page.locator(".files a").all():
        with page.expect_download() as downloading:
            link.click()
        assert downloading.value.suggested_filename.startswith("ACTUAL-eucom-ndmc-eucom"), "each file says it"


def test_a_clock_of_this_computer_that_is_wrong_is_named_and_never_shown(
    actual: ConsoleStation, visits: Visits
) -> None:
    profile = visits.profile()
    profile.add_init_script(AHEAD.format(ms=7_000))
    page = profile.new_page()
    page.goto(actual.board_link("eucom", "investigator"))
    off = page.locator("#clock-off")
    expect(off).to_be_visible(timeout=WITHIN_MS)
    expect(off).to_contain_text(re.compile(r"0:00:0[67]"))
    shown = page.locator("[data-offset='0']").first.inner_text()
    late = now() - parsed(f"{actual.utc()[:10]}T{shown}.000Z")
    assert -1_000 < late < 3_000, "the time is the console's"
    picture(page, "board-clock-off")

    right = visits.enter(actual)
    # as many news as are compared
    for _ in range(7):
        expect(right.locator("[data-shown]").first).not_to_have_text(right.locator("[data-shown]").first.inner_text())
    expect(right.locator("#clock-off")).to_be_hidden()


def test_the_time_of_an_exercise_is_not_compared_with_this_computer(station: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(station)
    for _ in range(7):
        expect(page.locator("[data-shown]").first).not_to_have_text(page.locator("[data-shown]").first.inner_text())
    expect(page.locator("#clock-off")).to_be_hidden()
