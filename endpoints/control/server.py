"""Serves the control application on a Unix socket, which only this user may open and one process may own."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
from http import HTTPStatus
from itertools import count
from pathlib import Path

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from endpoints.control.answers import error_of
from endpoints.control.connections import connections_max
from endpoints.control.limited_server import LimitedProtocol, LimitedServer, TimeLimits
from endpoints.errors import UserError, os_reason
from endpoints.keys.attempt_throttle import Caller
from endpoints.keys.private_files import FILE_MODE, FOLDER_MODE, chmod, make_folders
from protocol.phrases import phrase

LIMITS = TimeLimits(request_s=10.0, idle_s=10.0, read_s=60.0)
"""A client may be stopped on a terminal, and then reads nothing."""
BACKLOG = 128
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

    def __init__(
        self, application: Starlette, listening: socket.socket, path: Path, limits: TimeLimits = LIMITS
    ) -> None:
        self._path = path
        bounded = _Bounded(application, connections_max())
        self._server = LimitedServer(bounded, listening, limits, protocol=_FromCaller)

    async def run(self) -> None:
        """Serve until `stop` is called, then remove the socket file."""
        try:
            await self._server.run()
        finally:
            self._path.unlink(missing_ok=True)

    async def stop(self, running: asyncio.Task[None]) -> None:
        """Stop accepting requests and wait for `run` to end. The application must have ended its streams before."""
        await self._server.stop(running)


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


class _FromCaller(LimitedProtocol):
    """A connection whose requests name the calling user and process as their client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask the kernel who has connected."""
        super().connection_made(transport)
        if not self.ended:
            self.client = caller(transport.get_extra_info("socket"))


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
