"""The health listener answers what it knows, and drops clients that are slow, silent, too long or too many."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest
import structlog

from endpoints.config.health import HealthSettings
from endpoints.errors import UserError
from endpoints.metrics import listener
from endpoints.metrics.listener import Answer, HealthServer, listen
from tests.support.broker_site import free_port

LARGE = b"x" * 32_000_000
"""More than the buffers of both sockets take."""


class Serving:
    """A server on a port of its own, and what it has dropped."""

    def __init__(self) -> None:
        self.settings = HealthSettings("127.0.0.1", free_port())
        self.dropped: Counter[str] = Counter()
        self.drops = asyncio.Event()
        self.listening = listen(self.settings)
        self.server = HealthServer(self.listening, self.handle, self.note)

    def note(self, reason: str) -> None:
        self.dropped[reason] += 1
        self.drops.set()

    async def handle(self, path: str) -> Answer | None:
        match path:
            case "/large":
                return Answer(HTTPStatus.OK, LARGE)
            case "/bug":
                raise RuntimeError("planted")
            case "/":
                return Answer(HTTPStatus.OK, b"here\n")
            case _:
                return None

    async def exchange(self, sent: bytes) -> bytes:
        """Send bytes, and return what is received until the connection ends."""
        reader, writer = await asyncio.open_connection(self.settings.host, self.settings.port)
        try:
            writer.write(sent)
            return await asyncio.wait_for(reader.read(), 10)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def until_dropped(self) -> None:
        await asyncio.wait_for(self.drops.wait(), 10)


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    serving = Serving()
    serving.server.start()
    yield serving
    serving.server.stop()
    serving.listening.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "REQUEST_WITHIN_S", 0.2)
    monkeypatch.setattr(listener, "READ_WITHIN_S", 0.2)


def request(path: str = "/", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_a_get_has_its_answer_and_the_connection_ends(serving: Serving) -> None:
    head, _, body = (await serving.exchange(request())).partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"HTTP/1.1 200 OK"
    assert b"connection: close" in head
    assert b"content-length: 5" in head
    assert body == b"here\n"
    assert serving.dropped == {}


async def test_a_head_has_no_body(serving: Serving) -> None:
    assert (await serving.exchange(request(method="HEAD"))).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (request("/else"), b"HTTP/1.1 404 Not Found"),
        (request("/?a=/metrics"), b"HTTP/1.1 200 OK"),
        (request(method="POST"), b"HTTP/1.1 405 Method Not Allowed"),
        (request(method="DELETE"), b"HTTP/1.1 405 Method Not Allowed"),
        (request("/bug"), b"HTTP/1.1 500 Internal Server Error"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET /" + b"x" * 20_000, b"HTTP/1.1 431 Request Header Fields Too Large"),
        (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK"),
        (request() + request("/else"), b"HTTP/1.1 200 OK"),
    ],
)
async def test_other_requests_have_their_status(serving: Serving, sent: bytes, line: bytes) -> None:
    assert (await serving.exchange(sent)).splitlines()[0] == line


async def test_a_large_answer_arrives_whole(serving: Serving) -> None:
    assert (await serving.exchange(request("/large"))).endswith(b"\r\n\r\n" + LARGE)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:"])
async def test_a_client_without_a_whole_request_is_dropped(serving: Serving, sent: bytes) -> None:
    assert await serving.exchange(sent) == b""
    assert serving.dropped == {"request": 1}


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_never_reads_its_answer_is_dropped_and_others_are_served(serving: Serving) -> None:
    _reader, writer = await asyncio.open_connection(serving.settings.host, serving.settings.port, limit=1)
    with structlog.testing.capture_logs() as logged:
        writer.write(request("/large"))
        assert (await serving.exchange(request())).endswith(b"here\n")
        await serving.until_dropped()
    assert serving.dropped == {"unread": 1}
    assert [line["event"] for line in logged] == ["a client of the health listener was dropped"]
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("reads", [False, True])
async def test_a_short_answer_that_nobody_reads_or_closes_is_dropped_too(serving: Serving, *, reads: bool) -> None:
    reader, writer = await asyncio.open_connection(serving.settings.host, serving.settings.port)
    writer.write(request())
    if reads:
        assert (await reader.read()).endswith(b"here\n")
    # what else it sends is not kept
    writer.write(b"x" * 10_000)
    await serving.until_dropped()
    assert serving.dropped == {"unread": 1}
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_idle_clients_make_room_for_others_with_one_line_in_the_log(serving: Serving) -> None:
    idle = [
        await asyncio.open_connection(serving.settings.host, serving.settings.port) for _ in range(listener.CLIENTS_MAX)
    ]
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            assert (await serving.exchange(request())).endswith(b"here\n")
    assert serving.dropped["crowded"] >= 1
    assert [line["event"] for line in logged] == ["a client of the health listener was dropped"]
    for _reader, writer in idle:
        writer.close()


async def test_a_taken_address_and_a_foreign_one_are_errors_of_one_line(serving: Serving) -> None:
    with pytest.raises(UserError, match=f"cannot listen at 127.0.0.1 port {serving.settings.port}: Address already"):
        listen(serving.settings)
    with pytest.raises(UserError, match=r"cannot listen at 10\.255\.255\.1 port 1"):
        listen(HealthSettings("10.255.255.1", 1))


async def test_it_listens_at_an_address_of_ip_6() -> None:
    try:
        listening = listen(HealthSettings("::1", free_port()))
    except UserError:
        pytest.skip("this machine has no loopback address of IPv6")
    assert listening.family is socket.AF_INET6
    listening.close()
