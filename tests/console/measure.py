"""Measures the console beside its goals: `python -m tests.console.measure [DOCUMENT]` prints a table, or replaces it.

A real broker, both endpoints, the watch, a console and a browser. Leave the machine alone meanwhile. Instants come from
the exercise clock, which runs at the rate of real time here.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, CDPSession, Page

from endpoints.control.async_client import AsyncControlClient
from protocol.wire.instants import parsed
from tests.support.browser import DESKTOP, chromium, enter
from tests.support.console_station import ConsoleStation, console
from tests.support.processes import stopped
from tests.support.quick_officers import quicken
from tests.support.station import LINK, SIDES, boot_ms

BEGIN, END = "<!-- console: begin -->", "<!-- console: end -->"
SCREENS, EVENTS, PER_S = 8, 400, 20
MESSAGES = 10_000
EXCHANGES = 150
_WATCH_ROWS = """() => {
  window.seen = {};
  const note = () => requestAnimationFrame(() => requestAnimationFrame(() => {
    const at = performance.timeOrigin + performance.now();
    for (const each of document.querySelectorAll("article[id^='m-']")) window.seen[each.id] ??= at;
  }));
  new MutationObserver(note).observe(document.body, { childList: true, subtree: true });
  note();
}"""
_FRAMES = """async () => {
  const frames = [];
  let before = performance.now();
  for (let number = 0; number < 120; number++) {
    window.scrollBy(0, 40);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - before);
    before = now;
  }
  return frames;
}"""


class Row(NamedTuple):
    """A line of the table."""

    what: str
    measured: str
    goal: str
    met: bool


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


@contextmanager
def linked() -> Iterator[ConsoleStation]:
    """Yield a link that is fine, with cheap credentials, and a console at eucom."""
    with tempfile.TemporaryDirectory(prefix="measure-") as folder, ConsoleStation(Path(folder)) as station:
        for side in SIDES:
            quicken(station.config(side))
        station.start("watch", *SIDES)
        station.open_console("eucom")
        station.prove()
        yield station


def opened(browser: Browser, station: ConsoleStation, name: str = "messages") -> Page:
    """Return a page of a profile of its own, with a screen."""
    page = browser.new_context(viewport=DESKTOP).new_page()
    enter(page, station)
    page.goto(station.screen("eucom", name))
    page.locator("main h1").first.wait_for()
    return page


def waited(condition: Callable[[], bool], within_s: float = 30) -> float:
    """Return the milliseconds until a condition holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "it never happened"
        time.sleep(0.01)
    return (time.monotonic() - began) * 1_000


# --- the rows ---------------------------------------------------------------------------------------------------------


def first_view(browser: Browser, station: ConsoleStation) -> Row:
    """Return the bytes that a first view of the board takes, over the wire."""
    page = browser.new_context(viewport=DESKTOP).new_page()
    session: CDPSession = page.context.new_cdp_session(page)
    taken: list[float] = []
    session.on("Network.loadingFinished", lambda event: taken.append(event["encodedDataLength"]))
    session.send("Network.enable")
    enter(page, station)
    page.locator(".bar").wait_for()
    page.wait_for_load_state("load")
    total = sum(taken) / 1_000
    return Row("first view of the board, whole transfer", f"{total:.0f} kB", "< 60 kB", total < 60)


def keys(browser: Browser, station: ConsoleStation) -> Row:
    """Return how long a key takes until the screen that it opens is painted."""
    page = opened(browser, station, "board")
    took = []
    for key in "mahxb" * 6:
        page.evaluate(
            """() => addEventListener("keydown", () => {
                sessionStorage.pressed = String(performance.timeOrigin + performance.now());
            }, { capture: true, once: true })"""
        )
        with page.expect_navigation():
            page.keyboard.press(key)
        painted: float = page.evaluate(
            """() => new Promise((resolve) => {
                const look = () => {
                    const paint = performance.getEntriesByName("first-contentful-paint")[0];
                    if (paint) resolve(performance.timeOrigin + paint.startTime - Number(sessionStorage.pressed));
                    else setTimeout(look, 5);
                };
                look();
            })"""
        )
        took.append(painted)
    p95 = percentile(took, 95)
    what = f"p50 {percentile(took, 50):.0f} ms, p95 {p95:.0f} ms"
    return Row("key to the painted screen that it opens", what, "p95 < 100 ms", p95 < 100)


def painted(browser: Browser, station: ConsoleStation) -> Row:
    """Return how long a record takes to the paint, on several screens under a stream of events."""
    pages = [opened(browser, station) for _ in range(SCREENS)]
    for page in pages:
        page.evaluate(_WATCH_ROWS)
    shift = time.time() * 1_000 - boot_ms()  # noqa: TID251 - the browser's clock against the exercise's
    first = station.snapshot("eucom")["ours"]["last"] + 1
    beside(pages[0], lambda: asyncio.run(alerts(station, EVENTS, PER_S)))
    pages[0].wait_for_timeout(1_500)
    began = station.table.entries[0]
    at = {
        f"m-eucom-1-{effect['message']['seq']}": parsed(record["at"]) - began.exercise + began.real + shift
        for record in station.records("eucom", "OfficerRaisedAlert")
        for effect in record["effects"]
        if "message" in effect and effect["message"]["seq"] >= first
    }
    delays = [seen - at[row] for page in pages for row, seen in page.evaluate("() => window.seen").items() if row in at]
    for page in pages:
        page.context.close()
    share = len(delays) / (SCREENS * EVENTS)
    p95 = percentile(delays, 95)
    what = f"p50 {percentile(delays, 50):.0f} ms, p95 {p95:.0f} ms; {share:.0%} of the rows were seen"
    name = f"record to paint, {SCREENS} screens, {PER_S} alerts a second"
    return Row(name, what, "p95 < 300 ms", p95 < 300)


def beside(page: Page, work: Callable[[], object]) -> None:
    """Do work in another thread; meanwhile the browser's driver, which has an event loop in this one, goes on."""
    worker = threading.Thread(target=work)
    worker.start()
    while worker.is_alive():
        page.wait_for_timeout(100)
    worker.join()


async def alerts(station: ConsoleStation, count: int, per_s: float, side: str = "eucom") -> None:
    """Raise alerts at a rate; the answers are awaited at the end."""
    client = AsyncControlClient(station.config(side).parent / "control.sock")
    officer = {"eucom": "watch-1", "ndmc": "duty-1"}[side]
    credential = station.credential(side, officer)
    began, waiting = time.monotonic(), []
    for number in range(count):
        body = {
            "request": f"measure-{boot_ms()}-{number}",
            "officer": officer,
            "credential": credential,
            "category": "air_pursuit",
            "precedence": "routine",
            "text": {"en": f"Alert {number}.", "ru": f"Оповещение {number}."},
            "expires_in_s": 86_400,
        }
        waiting.append(asyncio.create_task(client.post(LINK, "alert", body)))
        if per_s:
            await asyncio.sleep(max(0, began + (number + 1) / per_s - time.monotonic()))
        elif len(waiting) % 32 == 0:
            await asyncio.gather(*waiting[-32:])
    await asyncio.gather(*waiting)


def stale(browser: Browser, station: ConsoleStation) -> list[Row]:
    """Return how long a screen takes to say that it is old, and to be live again."""
    page = opened(browser, station, "board")
    lost = page.locator("#lost")
    shown, back = [], []
    for _ in range(3):
        with stopped(station, console("eucom")):
            shown.append(waited(lost.is_visible))
        back.append(waited(lambda: not lost.is_visible()))
        station.processes.pop(console("eucom")).end(signal.SIGKILL)
        shown.append(waited(lost.is_visible))
        station.open_console("eucom")
        back.append(waited(lambda: not lost.is_visible()))
    page.context.close()
    return [
        Row("stale is shown: console stopped or killed", f"at most {max(shown):,.0f} ms", "< 4 s", max(shown) < 4_000),
        Row("live again: console continues or restarts", f"at most {max(back):,.0f} ms", "< 5 s", max(back) < 5_000),
    ]


def exchange(station: ConsoleStation) -> list[float]:
    """Return the milliseconds from request to signed receipt, of alerts one after the other."""
    client, took = station.client("eucom"), []
    credential = station.credential("eucom", "watch-1")
    for _ in range(EXCHANGES):
        began = time.perf_counter()
        reference = client.act(
            "alert",
            {
                "officer": "watch-1",
                "credential": credential,
                "category": "air_pursuit",
                "precedence": "routine",
                "text": {"en": "x", "ru": "x"},
                "expires_in_s": 86_400,
            },
        )
        with closing(client.follow(f"progress/{reference}", 10)) as ladders:
            for ladder in ladders:
                if "received" in ladder["steps"]:
                    break
        took.append((time.perf_counter() - began) * 1_000)
    return took


def cost(browser: Browser, station: ConsoleStation) -> Row:
    """Return what several open screens cost an exchange, in turns with and without them."""
    without, beside = [], []
    for _ in range(3):
        without += exchange(station)
        with ExitStack() as stack:
            for _ in range(SCREENS):
                stack.callback(opened(browser, station, "board").context.close)
            beside += exchange(station)
    ratio = statistics.median(beside) / statistics.median(without)
    what = f"{ratio:.2f}x: p50 {statistics.median(beside):.2f} ms beside {statistics.median(without):.2f} ms"
    return Row(f"what {SCREENS} boards cost an exchange, same machine", what, "1.05x", ratio <= 1.05)


def history(browser: Browser, station: ConsoleStation) -> list[Row]:
    """Return how a history of many messages behaves."""
    page = opened(browser, station, "board")
    beside(page, lambda: asyncio.run(alerts(station, MESSAGES, 0)))
    page.goto(station.screen("eucom", "history"))
    waited(lambda: page.locator("#rows tr").count() > 50, 60)
    rows = page.locator("#rows tr").count()
    filtered = waited(lambda: bool(page.goto(station.screen("eucom", "history") + "?kind=alert&text=9999")))
    jumped = waited(lambda: bool(page.goto(station.screen("eucom", "history") + f"?at={station.utc()[:16]}")))
    page.goto(station.screen("eucom", "history"))
    frames: list[float] = page.evaluate(_FRAMES)
    p95 = percentile(frames, 95)
    heap = f"rows of happenings in the page: {rows}"
    return [
        Row(f"history of {MESSAGES:,} messages", heap, "<= 100 rows a page", rows <= 130),
        Row("its filter, and a jump", f"{filtered:.0f} ms, {jumped:.0f} ms", "none set", True),
        Row("a frame while scrolling", f"p95 {p95:.1f} ms", "p95 < 20 ms", p95 < 20),
    ]


def memory(browser: Browser, station: ConsoleStation) -> Row:
    """Return the memory of the console and of a board's page, behind all that went before."""
    page = opened(browser, station, "board")
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    statm = Path(f"/proc/{station.processes[console('eucom')].popen.pid}/statm").read_text()
    resident = int(statm.split()[1]) * 4_096 / 1e6
    what = f"console {resident:.0f} MB resident, page {heap:.1f} MB of heap"
    return Row(f"memory after {MESSAGES + EVENTS:,} alerts", what, "80 MB, 100 MB", resident < 80 and heap < 100)


def table() -> str:
    """Return the table of all figures."""
    rows: list[Row] = []
    with chromium() as browser:
        with linked() as station:
            for part in (first_view, keys, stale, cost, painted):
                found: Any = part(browser, station)
                rows += found if isinstance(found, list) else [found]
                sys.stderr.write(f"{json.dumps(rows[-1], ensure_ascii=False)}\n")
        with linked() as station:
            rows += history(browser, station)
            rows.append(memory(browser, station))
        version = browser.version
    lines = ["| figure | measured | goal | reached |", "| --- | --- | --- | --- |"]
    lines += [f"| {each.what} | {each.measured} | {each.goal} | {'yes' if each.met else 'no'} |" for each in rows]
    load = Path("/proc/loadavg").read_text().split()[:3]
    return "\n".join([*lines, "", f"Chromium {version}, two cores, load average afterwards {' '.join(load)}."])


if __name__ == "__main__":
    made = table()
    if sys.argv[1:]:
        document = Path(sys.argv[1])
        text = document.read_text()
        document.write_text(re.sub(f"{BEGIN}\n.*?{END}", f"{BEGIN}\n{made}\n{END}", text, flags=re.DOTALL))
    print(made)
