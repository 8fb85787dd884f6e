"""Serves HTTP at the address of the health listener: one request a connection, with limits of bytes, time and number.

A client that is slow, silent or never reads its answer is dropped. It costs the links nothing but this connection.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import h11
from msgspec import Struct

from endpoints.config.health import HealthSettings
from endpoints.control.connections import Acceptor
from endpoints.errors import UserError, os_reason
from endpoints.structured_log import get_logger
from protocol.phrases import phrase

REQUEST_WITHIN_S = 5.0
"""From the connection to the last byte of the request."""
READ_WITHIN_S = 10.0
"""How long a client may take to read its answer and to close: as long as Prometheus waits for one."""
REQUEST_MAX_BYTES = 8_192
CLIENTS_MAX = 16
"""Simultaneous clients: some scrapers, a container's health check, a person."""
BACKLOG = 32
LOGGED_EVERY_S = 60.0
"""A dropped client is logged at most this often; the metrics count each."""

_log = get_logger()


class Answer(Struct, frozen=True):
    """An answer of HTTP."""

    status: HTTPStatus
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


Handle = Callable[[str], Awaitable[Answer | None]]
"""Returns the answer to a GET of a path, None if there is no such path."""
Dropped = Callable[[str], None]
"""Takes why a client was dropped: one of `families.DROPPED`."""


def listen(settings: HealthSettings) -> socket.socket:
    """Return a socket that listens at the address. Raises UserError."""
    family = socket.AF_INET6 if settings.family == 6 else socket.AF_INET  # noqa: PLR2004 - the version of IP
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UserError(
            phrase(
                "health: cannot listen at {host} port {port}: {reason}; choose an address of this machine and a free "
                "port, or switch the listener off ([health], DECONFLICT_HEALTH_PORT)",
                host=settings.host,
                port=settings.port,
                reason=os_reason(error),
            )
        ) from None
    listening.setblocking(False)
    return listening


def _refused(status: HTTPStatus) -> Answer:
    return Answer(status, f"{status.value} {status.phrase}\n".encode())


class HealthServer:
    """Answers requests at a listening socket until it is closed."""

    def __init__(self, listening: socket.socket, handle: Handle, dropped: Dropped) -> None:
        """Prepare it; `handle` makes the answers, and `dropped` is called for each client that is dropped."""
        self._acceptor = Acceptor(listening, CLIENTS_MAX, logs=False)
        self._handle = handle
        self._dropped = dropped
        self._quiet = False
        # bounded: by the acceptor
        self._connections: set[_HealthClient] = set()

    def start(self) -> None:
        """Accept clients from now on."""
        self._acceptor.start(lambda: _HealthClient(self._handle, self._connections, self._drop))

    def stop(self) -> None:
        """Accept nobody, and break off those that are there."""
        self._acceptor.stop()
        for connection in list(self._connections):
            connection.abort()

    def _drop(self, reason: str, why: str) -> None:
        self._dropped(reason)
        if not self._quiet:
            _log.warning("a client of the health listener was dropped", why=str(why))
            self._quiet = True
            asyncio.get_running_loop().call_later(LOGGED_EVERY_S, self._speak)

    def _speak(self) -> None:
        self._quiet = False


class _HealthClient(asyncio.Protocol):
    """One client: its request, and the answer, after which the connection ends."""

    def __init__(self, handle: Handle, all_: set[_HealthClient], dropped: Callable[[str, str], None]) -> None:
        self.ended = False
        """Whether the connection has ended, or was never made."""
        self._handle = handle
        self._all = all_
        self._dropped = dropped
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_MAX_BYTES)
        self._transport: asyncio.Transport | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._answering: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether the request is not complete."""
        return self._answering is None

    def drop(self) -> None:
        """Break the connection off: others wait."""
        self._dropped("crowded", phrase("it sent no request, and others waited"))
        self.abort()

    def abort(self) -> None:
        """Break the connection off."""
        self.ended = True
        if self._transport is not None:
            self._transport.abort()

    # --- what asyncio calls ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self.ended:
            # dropped in the meantime
            transport.abort()
            return
        self._all.add(self)
        self._within(
            REQUEST_WITHIN_S,
            "request",
            phrase("it sent no whole request within {seconds} s", seconds=round(REQUEST_WITHIN_S)),
        )

    def data_received(self, data: bytes) -> None:
        """Take a part of the request."""
        if self._answering is not None:
            return
        self._parser.receive_data(data)
        try:
            event = self._parser.next_event()
        except h11.RemoteProtocolError as error:
            self._answer(_refused(HTTPStatus(error.error_status_hint)))
            return
        if isinstance(event, h11.Request):
            self._take(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        del exc
        self.ended = True
        self._all.discard(self)
        self._within(None)
        if self._answering is not None:
            self._answering.cancel()

    # --- the answer -----------------------------------------------------------------------------------------------

    def _take(self, request: h11.Request) -> None:
        method, path = request.method, request.target.partition(b"?")[0].decode("latin-1")
        if method in {b"GET", b"HEAD"}:
            self._answer(path, head=method == b"HEAD")
        else:
            self._answer(_refused(HTTPStatus.METHOD_NOT_ALLOWED))

    def _answer(self, what: Answer | str, *, head: bool = False) -> None:
        """Write an answer, or that to a path as soon as it is made; what the client still sends is not read."""
        assert self._transport is not None
        self._within(None)
        self._transport.pause_reading()
        self._answering = asyncio.get_running_loop().create_task(self._write(what, head=head))

    async def _made(self, path: str) -> Answer:
        try:
            return await self._handle(path) or _refused(HTTPStatus.NOT_FOUND)
        except Exception:  # noqa: BLE001 - the listener goes on
            _log.exception("a bug of ours prevents an answer of the health listener")
            return _refused(HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _write(self, what: Answer | str, *, head: bool) -> None:
        answer = await self._made(what) if isinstance(what, str) else what
        assert self._transport is not None
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
            *([(b"allow", b"GET, HEAD")] if answer.status is HTTPStatus.METHOD_NOT_ALLOWED else []),
        ]
        lines = [f"HTTP/1.1 {answer.status.value} {answer.status.phrase}".encode()]
        lines += [name + b": " + value for name, value in headers]
        self._transport.write(b"\r\n".join([*lines, b"", b""]))
        if not head:
            self._transport.write(answer.body)
        self._within(
            READ_WITHIN_S,
            "unread",
            phrase("it left its answer unread, or the connection open, for {seconds} s", seconds=round(READ_WITHIN_S)),
        )
        # the client closes when it has read all: the kernel would take a short answer from us that nobody reads
        self._transport.write_eof()
        self._transport.resume_reading()

    def _within(self, seconds: float | None, reason: str = "", why: str = "") -> None:
        """Break the connection off after `seconds`, unless called again before; None: not at all."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = None
        if seconds is not None:
            self._limit = asyncio.get_running_loop().call_later(seconds, self._over, reason, why)

    def _over(self, reason: str, why: str) -> None:
        self._dropped(reason, why)
        self.abort()


async def served(server: HealthServer) -> None:
    """Serve until cancelled."""
    server.start()
    try:
        await asyncio.Event().wait()
    finally:
        server.stop()
