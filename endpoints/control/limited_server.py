"""uvicorn with limits of time and number: a client that is slow, silent or never reads costs only its connection."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn
from msgspec import Struct
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from endpoints.control.connections import Acceptor, Listening

HEADERS_MAX_BYTES = 16_384
STREAMS_END_WITHIN_S = 2


class TimeLimits(Struct, frozen=True, kw_only=True):
    """How long a client may take, in seconds.

    Attributes:
        request_s: from the connection, or the first byte of a later request, to the last byte of the request.
        idle_s: without a request after a response, which it may still be reading.
        read_s: to read a full buffer.
    """

    request_s: float
    idle_s: float
    read_s: float


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol of one connection, with limits of time."""

    ended = False
    """Whether the connection has ended, or was never made."""
    _limit: asyncio.TimerHandle | None = None
    _resting = False

    def __init__(self, limits: TimeLimits, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        if self.ended:
            # dropped in the meantime
            transport.abort()
            return
        self._within(self._limits.request_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.ended = True
        self._within(None)
        super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """Whether no request of the client is complete and unanswered, nor arrives at this moment."""
        return self._unasked and not self._arriving

    @property
    def _unasked(self) -> bool:
        """Whether no request is complete and unanswered."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    @property
    def _arriving(self) -> bool:
        """Whether the connection has just been accepted, or bytes of it are unread."""
        if self.transport is None or self.ended:
            return not self.ended
        unread = select.poll()
        unread.register(self.transport.get_extra_info("socket"), select.POLLIN)
        return bool(unread.poll(0))

    def drop(self) -> None:
        """Break the connection off."""
        self.ended = True
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        if self._resting:
            self._within(self._limits.request_s)
        super().data_received(data)

    def handle_events(self) -> None:
        """Take what has arrived; a request that is complete has no limit: the application answers in its own time."""
        super().handle_events()
        if not self._unasked and not self.flow.write_paused:
            self._within(None)

    def on_response_complete(self) -> None:
        """Wait for the next request, and for the client to read this response."""
        self._within(self._limits.idle_s)
        self._resting = True
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        self._within(self._limits.read_s)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Continue: the client reads."""
        self._within(self._limits.idle_s if self._unasked else None)
        super().resume_writing()

    def _within(self, seconds: float | None) -> None:
        """Break the connection off after `seconds`, unless called again before; None: not at all."""
        self._resting = False
        if self._limit is not None:
            self._limit.cancel()
        self._limit = None if seconds is None else self.loop.call_later(seconds, self.drop)


class LimitedServer:
    """Serves an application on listening sockets until `stop`."""

    def __init__(
        self,
        application: ASGIApp,
        listening: Listening,
        limits: TimeLimits,
        *,
        protocol: type[LimitedProtocol] = LimitedProtocol,
        logs: bool = True,
        tls: ssl.SSLContext | None = None,
        most: int | None = None,
    ) -> None:
        """Prepare it; nobody is accepted before `run`.

        Args:
            application: answers the requests.
            listening: what listens; `run` closes it.
            limits: how long a client may take.
            protocol: of a connection.
            logs: whether to log clients that are dropped or not accepted.
            tls: with which clients connect, None without TLS.
            most: requests at once, beyond which uvicorn answers 503; None if the application has its own limit.
        """
        self._listening = listening
        config = uvicorn.Config(
            application,
            lifespan="off",
            # a header must not name another caller
            proxy_headers=False,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            limit_concurrency=most,
            h11_max_incomplete_event_size=HEADERS_MAX_BYTES,
            timeout_graceful_shutdown=STREAMS_END_WITHIN_S,
        )
        self._server = _Accepting(Acceptor(listening, logs=logs, tls=tls), config, limits, protocol)

    async def run(self) -> None:
        """Serve until `stop` is called."""
        try:
            await self._server.serve([])
        finally:
            self._listening.close()

    async def stop(self, running: asyncio.Task[None]) -> None:
        """Stop accepting requests and wait for `run` to end. The application must have ended its streams before."""
        self._server.should_exit = True
        await running


class _Accepting(uvicorn.Server):
    """uvicorn without its signal handlers and its way to accept: the process has its own."""

    def __init__(
        self, acceptor: Acceptor, config: uvicorn.Config, limits: TimeLimits, protocol: type[LimitedProtocol]
    ) -> None:
        super().__init__(config)
        self._acceptor = acceptor
        self._limits = limits
        self._protocol = protocol

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        await super().startup(sockets)
        self._acceptor.start(self._client)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, and end those that there are."""
        self._acceptor.stop()
        await super().shutdown(sockets)

    def _client(self) -> LimitedProtocol:
        state = self.lifespan.state
        return self._protocol(self._limits, config=self.config, server_state=self.server_state, app_state=state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
