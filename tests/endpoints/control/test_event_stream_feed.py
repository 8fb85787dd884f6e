"""All who read a link's event stream share one look at it, and a look says whether a client has missed something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from endpoints.clocks.clock import SystemClock
from endpoints.control.application import Control
from endpoints.control.event_lines import Beat, EventLine, State
from endpoints.control.event_stream import APART_MS, LOOK_AGAIN_MS, EventFeed
from endpoints.control.present_state import PresentState
from endpoints.control.requests import ACTIONS
from endpoints.control.status import Status, status
from endpoints.control.streams import Streams
from endpoints.keys.officer_credentials import OfficerCredentials
from endpoints.runtime.console_screens import ConsoleScreens
from endpoints.runtime.link_runner import AnyRunner
from tests.support.hand_turned import LINK, Machine


class Site:
    """A machine whose link is looked at, and how often."""

    def __init__(self, folder: Path) -> None:
        self.eucom = Machine(folder, "eucom")
        self.looks = 0
        self.real_ms = 0
        self.runners: dict[str, AnyRunner] = {LINK: self.eucom.runner}
        self._present = PresentState()
        self.feed = EventFeed(self._present, self._status, self.eucom.loop.now, lambda: 7, self._real)
        self.feed.join(LINK)

    def _status(self, runner: AnyRunner) -> Status:
        self.looks += 1
        return status(self._present.of(runner), runner.gauges(), self.eucom.loop.now())

    def _real(self) -> int:
        return self.real_ms

    def look(self, after_ms: int = APART_MS) -> Any:
        self.real_ms += after_ms
        return self.feed.look(self.eucom.runner)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.eucom.dies()


async def test_readers_share_a_look_until_the_link_changes(site: Site) -> None:
    first = site.look()
    assert site.look() is first
    site.eucom.asks()
    site.eucom.turn()
    assert site.look().n > first.n
    assert site.looks == 2


async def test_two_looks_are_apart_however_many_changes_there_are(site: Site) -> None:
    site.look()
    for number in range(20):
        site.eucom.asks(f"request-{number}")
        site.eucom.turn()
        site.look(APART_MS // 10)
    assert site.looks == 3


async def test_a_link_becomes_late_without_any_event(site: Site) -> None:
    first = site.look()
    site.eucom.asks()
    site.eucom.turn()
    second = site.look()
    site.eucom.clock.passes(31_000)
    third = site.look(LOOK_AGAIN_MS)
    assert len({first.content, second.content, third.content}) == 3
    assert msgspec.json.decode(third.line, type=State).status.state == "late"
    # a client that knows the state as of this record may know the one before
    assert (second.certain, third.certain) == (True, False)
    assert third.n == second.n
    assert site.look(LOOK_AGAIN_MS).certain is False
    site.eucom.asks("request-2")
    site.eucom.turn()
    assert site.look().certain


async def test_that_time_passes_is_no_change(site: Site) -> None:
    first = site.look()
    site.eucom.clock.passes(1_000)
    assert site.look(LOOK_AGAIN_MS).content == first.content


async def test_without_readers_no_line_is_kept(site: Site) -> None:
    first = site.look()
    site.feed.part(LINK)
    again = site.look(0)
    assert (again.content, again.certain) == (first.content, True)
    assert site.looks == 2


async def test_of_a_stopped_link_the_failure_alone_is_shown(site: Site) -> None:
    site.look()
    site.eucom.breaks()
    site.eucom.asks()
    site.eucom.turn()
    on_disk = site.eucom.on_disk()
    shown = msgspec.json.decode(site.look().line, type=State)
    assert shown.snapshot is None
    assert shown.status.state == "alarm"
    assert shown.id == on_disk
    assert shown.presence["ndmc"].state == "unknown"


async def test_a_line_says_the_rate_and_who_may_act(site: Site) -> None:
    shown = msgspec.json.decode(site.look().line, type=State)
    assert shown.rate == 7
    assert shown.officers == site.eucom.runner.core.officers
    beat = msgspec.json.decode(site.feed.beat(site.eucom.runner, 5), type=Beat)
    assert (beat.id, beat.rate) == (5, 7)
    assert beat.presence == shown.presence


async def stream(site: Site, after: int | None = None) -> AsyncGenerator[EventLine]:
    streams = Streams(site.runners, site.feed, SystemClock().real_ms)
    response: Any = streams.events(LINK, after)
    async for line in response.body_iterator:
        yield msgspec.json.decode(line, type=EventLine)


@pytest.mark.parametrize("difference", [-1, 0, 1])
async def test_a_client_that_comes_back_sees_what_it_has_missed(site: Site, difference: int) -> None:
    n = site.look().n
    lines = stream(site, n + difference)
    async with asyncio.timeout(60):
        first = await anext(lines)
    assert isinstance(first, State) is (difference != 0)
    await lines.aclose()


async def test_every_stream_ends_when_the_process_closes(tmp_path: Path) -> None:
    eucom = Machine(tmp_path, "eucom")
    clock = SystemClock()
    officers = OfficerCredentials({}, clock.real_ms)
    never: Callable[[], Any] = asyncio.Event().wait
    runners: dict[str, AnyRunner] = {LINK: eucom.runner}
    screens = ConsoleScreens(runners, eucom.loop.queue, clock.real_ms, configured=False)
    control = Control(eucom.loop, runners, officers, clock, ACTIONS, never, screens)
    response: Any = control._streams.events(LINK, None)
    lines = aiter(response.body_iterator)
    assert isinstance(msgspec.json.decode(await anext(lines), type=EventLine), State)
    following = asyncio.ensure_future(anext(lines, None))
    await asyncio.sleep(0)
    control.close()
    async with asyncio.timeout(60):
        assert await following is None
    eucom.dies()
