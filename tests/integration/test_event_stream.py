"""The event stream of the control socket: the whole state at each change, a beat each second, and resuming."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Iterator

import msgspec
import pytest

from endpoints.control.async_client import AsyncControlClient
from endpoints.control.client import BrokenOff, NotRunning, RequestRefused, Unreachable
from endpoints.control.connections import CONNECTIONS_MAX
from endpoints.control.event_lines import Beat, EventLine, State
from tests.support.station import ALL, LINK, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
EVENTS = f"GET /v1/links/{LINK}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode()
WITHIN_S = 60


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start(*ALL)
        yield station


def client(station: Station, name: str = "eucom") -> AsyncControlClient:
    return AsyncControlClient(station.config(name).parent / "control.sock")


async def until(lines: AsyncGenerator[EventLine], wanted: Callable[[EventLine], bool]) -> EventLine:
    """Return the first line that is wanted."""
    async with asyncio.timeout(WITHIN_S):
        async for line in lines:
            if wanted(line):
                return line
    raise AssertionError


async def quiet(lines: AsyncGenerator[EventLine]) -> EventLine:
    """Return the beat that follows another one: nothing happens."""
    await until(lines, lambda line: not isinstance(line, State))
    return await until(lines, lambda line: not isinstance(line, State))


async def test_it_begins_with_the_whole_state_and_beats(station: Station) -> None:
    station.settled()
    async with client(station) as eucom, contextlib.aclosing(eucom.events(LINK)) as lines:
        assert await eucom.links() == [LINK]
        first = await anext(lines)
        assert isinstance(first, State)
        assert first.snapshot is not None
        assert first.status.link == first.snapshot.link == LINK
        assert first.status.side == "eucom"
        assert first.rate == 1
        assert set(first.presence) == {"ndmc"}
        assert first.officers is not None
        assert set(first.officers) == set(first.snapshot.officers or ())
        beat = await quiet(lines)
        assert type(beat) is Beat
        assert first.at < beat.at
        assert beat.id == station.records("eucom")[-1]["n"]


async def test_a_change_is_seen_with_its_record(station: Station) -> None:
    async with client(station) as eucom, contextlib.aclosing(eucom.events(LINK)) as lines:
        await anext(lines)
        reference = await asyncio.to_thread(station.alert)
        line = await until(
            lines,
            lambda line: (
                isinstance(line, State)
                and line.snapshot is not None
                and any(alert.reference == reference for alert in line.snapshot.alerts)
            ),
        )
        written = next(each["n"] for each in station.records("eucom", "OfficerRaisedAlert"))
        assert line.id >= written


async def test_a_client_that_has_missed_nothing_begins_with_a_beat(station: Station) -> None:
    await asyncio.to_thread(station.settled)
    async with client(station) as eucom:
        async with contextlib.aclosing(eucom.events(LINK)) as lines:
            known = (await quiet(lines)).id
        async with contextlib.aclosing(eucom.events(LINK, known)) as lines:
            first = await anext(lines)
            assert type(first) is Beat, first
            assert first.id == known
        await asyncio.to_thread(station.alert)
        async with contextlib.aclosing(eucom.events(LINK, known)) as lines:
            later = await anext(lines)
            assert isinstance(later, State)
            assert later.id > known
        # of a journal that was restored since, or of another one
        async with contextlib.aclosing(eucom.events(LINK, 10**15)) as lines:
            assert isinstance(await anext(lines), State)


async def test_the_watch_shows_both_parties(station: Station) -> None:
    async with client(station, "watch") as watch, contextlib.aclosing(watch.events(LINK)) as lines:
        line = await until(lines, lambda line: all(each.state == "present" for each in line.presence.values()))
        assert set(line.presence) == {"eucom", "ndmc"}
        state = line if isinstance(line, State) else await anext(lines)
        assert state.id


@pytest.mark.parametrize(
    ("link", "after", "said"),
    [
        (LINK, "x", "after: expected a whole number, found 'x'"),
        (LINK, "-1", "after: expected a whole number, found '-1'"),
        (LINK, "9" * 40, "after: expected a whole number"),
        ("elsewhere", "1", "this process has no link 'elsewhere'"),
    ],
)
async def test_a_wrong_request_is_one_sentence(station: Station, link: str, after: str, said: str) -> None:
    async with client(station) as eucom:
        with pytest.raises(RequestRefused, match=said):
            await eucom.get(link, f"events?after={after}")


def connect(station: Station) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(str(station.config("eucom").parent / "control.sock"))
    made.settimeout(20)
    with contextlib.suppress(ConnectionError):
        made.sendall(EVENTS)
    return made


def answer(client: socket.socket) -> bytes:
    """Return the beginning of an answer, empty if the client was dropped."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n\r\n" not in got or got.endswith(b"\r\n\r\n"):
            piece = client.recv(65_536)
            if not piece:
                break
            got += piece
    return got


def test_of_200_streams_at_once_those_that_are_too_many_are_refused_in_words(station: Station) -> None:
    made = [connect(station) for _ in range(200)]
    try:
        answers = [answer(each) for each in made]
        streams = [each for each in answers if each.startswith(b"HTTP/1.1 200")]
        refused = [each for each in answers if each.startswith(b"HTTP/1.1 503")]
        assert len(streams) == CONNECTIONS_MAX * 3 // 4
        assert len(streams) + len(refused) == 200
        codes = {msgspec.json.decode(each.partition(b"\r\n\r\n")[2])["code"] for each in refused}
        assert codes == {"busy"}
        assert station.status("eucom")["broker"] == "connected"
    finally:
        for each in made:
            each.close()

    def room() -> bool:
        with contextlib.suppress(RequestRefused, Unreachable), connect(station) as again:
            return answer(again).startswith(b"HTTP/1.1 200")
        return False

    station.until(room)


async def test_a_process_that_hangs_is_noticed_and_one_that_ends_too(station: Station) -> None:
    async with client(station, "ndmc") as ndmc:
        lines = ndmc.events(LINK)
        await anext(lines)
        station.processes["ndmc"].popen.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(Unreachable, match="no answer in time"):
                await until(lines, lambda _: False)
        finally:
            station.processes["ndmc"].popen.send_signal(signal.SIGCONT)
        lines = ndmc.events(LINK)
        await anext(lines)
        station.kill("ndmc")
        with pytest.raises(BrokenOff, match="the connection was lost"):
            await until(lines, lambda _: False)
        with pytest.raises(NotRunning, match="nobody answers on this control socket"):
            await anext(ndmc.events(LINK))
        with pytest.raises(NotRunning):
            await ndmc.get(LINK, "status")
