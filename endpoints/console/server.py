"""Serves the console with limits: a browser that is slow, silent or never reads costs nothing but its connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from endpoints.control.connections import Acceptor, connections_max

REQUEST_WITHIN_S = 10.0
"""From the first byte of a request to its last; a connection without a request is dropped when others wait."""
IDLE_MAX_S = 75.0
"""How long a connection is kept without a request."""
READ_WITHIN_S = 20.0
"""How long a browser may leave a full buffer unread."""
HEADERS_MAX_BYTES = 16_384
STREAMS_END_WITHIN_S = 2


class ConsoleServer:
    """Serves an application on a listening socket until `stop`."""

    def __init__(self, application: ASGIApp, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Prepare it; nobody is accepted before `run`. Without `tls`, the socket is of this machine or of a proxy."""
        self._listening = listening
        acceptor = Acceptor(listening, logs=False, tls=tls)
        config = uvicorn.Config(
            application,
            lifespan="off",
            http=_Browser,
            # a header must not name another source
            proxy_headers=False,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            limit_concurrency=connections_max() + 1,
            h11_max_incomplete_event_size=HEADERS_MAX_BYTES,
            timeout_graceful_shutdown=STREAMS_END_WITHIN_S,
        )
        self._server = _Accepting(acceptor, config)

    async def run(self) -> None:
        """Serve until `stop` is called."""
        try:
            await self._server.serve([])
        finally:
            self._listening.close()

    async def stop(self, running: asyncio.Task[None]) -> None:
        """Accept no more requests, and wait for `run` to end. The application must have ended its streams before."""
        self._server.should_exit = True
        await running


class _Browser(H11Protocol):
    """uvicorn's protocol with limits of time."""

    ended = False
    """Whether the connection has ended, or was never made."""
    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        if self.ended:
            # dropped in the meantime
            transport.abort()
            return
        self._within(REQUEST_WITHIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.ended = True
        self._within(None)
        super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """Whether no request is complete and unanswered."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def drop(self) -> None:
        """Break the connection off."""
        self.ended = True
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request, which has to be complete in time."""
        if self._resting:
            self._within(REQUEST_WITHIN_S)
        super().data_received(data)

    def handle_events(self) -> None:
        """Take what has arrived; a complete request has no limit."""
        super().handle_events()
        if not self.idle and not self.flow.write_paused:
            self._within(None)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._within(IDLE_MAX_S)
        self._resting = True
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for the browser to read."""
        self._within(READ_WITHIN_S)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Continue: the browser reads."""
        self._within(IDLE_MAX_S if self.idle else None)
        super().resume_writing()

    _resting = False

    def _within(self, seconds: float | None) -> None:
        """Break the connection off after `seconds`, unless called again before; None: not at all."""
        self._resting = False
        if self._limit is not None:
            self._limit.cancel()
        self._limit = None if seconds is None else self.loop.call_later(seconds, self.drop)


class _Accepting(uvicorn.Server):
    """uvicorn without its signal handlers and its way to accept: the process has its own."""

    def __init__(self, acceptor: Acceptor, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._acceptor = acceptor

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        await super().startup(sockets)
        self._acceptor.start(self._client)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, and end those that there are."""
        self._acceptor.stop()
        await super().shutdown(sockets)

    def _client(self) -> Any:
        return _Browser(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
