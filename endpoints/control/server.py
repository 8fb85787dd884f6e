"""Serves the control application on a Unix socket, which only this user may open and one process may own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import stat
import struct
from collections.abc import Iterator
from http import HTTPStatus
from itertools import count
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from endpoints.control.answers import error_of
from endpoints.control.connections import Acceptor, connections_max
from endpoints.errors import UserError, os_reason
from endpoints.keys.attempt_throttle import Caller
from endpoints.keys.private_files import FILE_MODE, FOLDER_MODE, chmod, make_folders
from protocol.phrases import phrase

REQUEST_WITHIN_S = 10.0
"""From the connection, or the response before, to the last byte of the request."""
READ_WITHIN_S = 60.0
"""How long a client may leave a full buffer unread: it may be stopped on a terminal."""
HEADERS_MAX_BYTES = 16_384
BACKLOG = 128
STREAMS_END_WITHIN_S = 2
_OTHERS = 0o077
# no process has a negative id
_unknown_processes = count(-1, -1)


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at `path` with mode 0600; the socket file of a dead process is replaced.

    Raises UserError if another process listens there, `path` is not a socket, or the folder is open to other users.
    """
    try:
        make_folders(path.parent, FOLDER_MODE)
        check_folder(path)
        _clear(path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # the mode is set before the file exists
            os.fchmod(listening.fileno(), FILE_MODE)
            listening.bind(str(path))
            path.chmod(FILE_MODE)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise UserError(
            phrase("{path}: cannot listen on this control socket: {reason}", path=path, reason=os_reason(error))
        ) from None
    listening.setblocking(False)
    return listening


def check_folder(path: Path) -> None:
    """Raise UserError if the folder of the control socket `path` is open to other users; OSError if it is missing."""
    folder = path.parent
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & _OTHERS:
        raise UserError(
            phrase(
                "{folder}: the control socket's folder is open to others (mode {mode}); make it private: {command}",
                folder=folder,
                mode=f"{mode:04o}",
                command=chmod("700", folder),
            )
        )


def _clear(path: Path) -> None:
    """Remove the socket file of a dead process. Raises UserError for a live process or another kind of file."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise UserError(
                phrase(
                    "{path}: not a socket, and the control socket belongs here; remove the file, or configure "
                    "another path",
                    path=path,
                )
            )
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        process = caller(probe).process
    who = phrase("process {process}", process=process) if process > 0 else phrase("another process")
    raise UserError(phrase("{path}: already running: {who} answers on this control socket", path=path, who=who))


class ControlServer:
    """Serves the control application on a listening socket until `stop`."""

    def __init__(self, application: Starlette, listening: socket.socket, path: Path) -> None:
        self._listening = listening
        self._path = path
        acceptor = Acceptor(listening)
        self._server = _Quiet(
            acceptor,
            uvicorn.Config(
                _Bounded(application, connections_max()),
                lifespan="off",
                http=_FromCaller,
                # a header must not name another caller
                proxy_headers=False,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                h11_max_incomplete_event_size=HEADERS_MAX_BYTES,
                timeout_graceful_shutdown=STREAMS_END_WITHIN_S,
            ),
        )

    async def run(self) -> None:
        """Serve until `stop` is called, then remove the socket file."""
        try:
            await self._server.serve([])
        finally:
            self._listening.close()
            self._path.unlink(missing_ok=True)

    async def stop(self, running: asyncio.Task[None]) -> None:
        """Stop accepting requests and wait for `run` to end. The application must have ended its streams before."""
        self._server.should_exit = True
        await running


class _Bounded:
    """The application, which answers so many requests at once; each further one is refused (`busy`)."""

    def __init__(self, application: ASGIApp, most: int) -> None:
        self._application = application
        self._most = most
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._running >= self._most:
            busy = phrase("{count} clients use this process already; repeat the command in a moment", count=self._most)
            await error_of(HTTPStatus.SERVICE_UNAVAILABLE, "busy", busy)(scope, receive, send)
            return
        self._running += 1
        try:
            await self._application(scope, receive, send)
        finally:
            self._running -= 1


class _FromCaller(H11Protocol):
    """uvicorn's protocol, whose requests name the calling user and process as their client, with limits of time."""

    ended = False
    """Whether the connection has ended, or was never made."""
    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask the kernel who has connected."""
        super().connection_made(transport)
        if self.ended:
            # dropped in the meantime
            transport.abort()
            return
        self.client = caller(transport.get_extra_info("socket"))
        self._within(REQUEST_WITHIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.ended = True
        self._within(None)
        super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """Whether no request of the client is complete and unanswered, nor arrives at this moment."""
        answered = self.cycle is None or self.cycle.response_complete or self.cycle.more_body
        return answered and not self._arriving

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

    def handle_events(self) -> None:
        """Take what has arrived; a request that is complete has no limit: the application answers in its own time."""
        super().handle_events()
        if not self.idle and not self.flow.write_paused:
            self._within(None)

    def on_response_complete(self) -> None:
        """Wait for the next request, and for the client to read this response."""
        self._within(REQUEST_WITHIN_S)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        self._within(READ_WITHIN_S)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Continue: the client reads."""
        self._within(REQUEST_WITHIN_S if self.idle else None)
        super().resume_writing()

    def _within(self, seconds: float | None) -> None:
        """Break the connection off after `seconds`, unless called again before; None: not at all."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = None if seconds is None else self.loop.call_later(seconds, self.drop)


def caller(connection: socket.socket) -> Caller:
    """Return the user and the process at the other end, as of when they connected.

    Where the system does not say (other systems than Linux, a process outside of this container), each connection
    counts as another process.
    """
    peer_credentials = getattr(socket, "SO_PEERCRED", None)
    if peer_credentials is None:
        return Caller("unknown", next(_unknown_processes))
    process, user, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, peer_credentials, 12))
    return Caller(f"uid-{user}", process or next(_unknown_processes))


class _Quiet(uvicorn.Server):
    """uvicorn without its signal handlers and its way to accept: the process has its own."""

    def __init__(self, acceptor: Acceptor, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._acceptor = acceptor

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        await super().startup(sockets)
        self._acceptor.start(
            lambda: _FromCaller(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, and end those that there are."""
        self._acceptor.stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
