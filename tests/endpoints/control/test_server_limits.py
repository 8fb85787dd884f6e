"""A client of the control socket has limits of time: for its request, and for reading the answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from endpoints.control.limited_server import TimeLimits
from endpoints.control.server import ControlServer, listen

LIMITS = TimeLimits(request_s=0.3, idle_s=0.3, read_s=0.3)
GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


async def flood(_request: Request) -> Response:
    async def lines() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536
            await asyncio.sleep(0)

    return StreamingResponse(lines())


async def slow(_request: Request) -> Response:
    await asyncio.sleep(0.6)
    return PlainTextResponse("late")


async def echo(request: Request) -> Response:
    return PlainTextResponse((await request.body()).decode())


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "control.sock"
    routes = [Route("/flood", flood), Route("/slow", slow), Route("/echo", echo, methods=["POST"])]
    serving = ControlServer(Starlette(routes=routes), listen(path), path, LIMITS)
    running = asyncio.create_task(serving.run())
    yield path
    await serving.stop(running)


async def ended(path: Path, *pieces: bytes) -> bytes:
    """Send pieces, a moment apart; return what is received until the connection ends."""
    reader, writer = await asyncio.open_unix_connection(path)
    got = b""
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        got = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return got


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"GET /",),
        tuple(bytes([byte]) for byte in b"GET /slow HTTP/1.1\r\n"),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\n",),
    ],
)
async def test_a_request_that_is_not_complete_in_time_is_broken_off(path: Path, pieces: tuple[bytes, ...]) -> None:
    assert await ended(path, *pieces) == b""


async def test_a_body_that_is_not_complete_in_time_is_broken_off(path: Path) -> None:
    assert b"200" not in await ended(path, b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"{", b"}")


async def test_a_body_that_goes_on_after_the_answer_is_broken_off(path: Path) -> None:
    def insist() -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(path))
            connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            got = connection.recv(65_536)
            # faster than it is read, and never finished
            with contextlib.suppress(ConnectionError):
                for _ in range(32):
                    connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                while part := connection.recv(65_536):
                    got += part
            return got

    assert b"404" in await asyncio.to_thread(insist)


async def test_an_answer_may_take_its_time_and_the_connection_ends_after_it(path: Path) -> None:
    got = await ended(path, GET % b"slow")
    assert got.endswith(b"late")


async def test_a_client_that_does_not_read_is_broken_off(path: Path) -> None:
    _reader, writer = await asyncio.open_unix_connection(path, limit=1)
    writer.write(GET % b"flood")
    async with asyncio.timeout(60):
        # the reader stops at its limit of one byte; the end of the connection is noticed by writing
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
