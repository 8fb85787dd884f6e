"""Serves the control application on a Unix socket, which only this user may open and one process may own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from endpoints.errors import UserError
from endpoints.keys.attempt_throttle import Caller
from endpoints.keys.private_files import FILE_MODE, FOLDER_MODE

CONNECTIONS_MAX = 64
"""Simultaneous clients; further ones receive 503."""
HEADERS_MAX_BYTES = 16_384
BACKLOG = 16
STREAMS_END_WITHIN_S = 2
_OTHERS = 0o077
# no process has a negative id
_unknown_processes = count(-1, -1)


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at `path` with mode 0600; the socket file of a dead process is replaced.

    Raises UserError if another process listens there, `path` is not a socket, or the folder is open to other users.
    """
    try:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        mode = stat.S_IMODE(path.parent.stat().st_mode)
        if mode & _OTHERS:
            raise UserError(
                f"{path.parent}: the control socket's folder is open to others (mode {mode:04o}); "
                f"make it private: chmod 700 {path.parent}"
            )
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
        raise UserError(f"{path}: cannot listen on this control socket: {error.strerror or error}") from None
    listening.setblocking(False)
    return listening


def _clear(path: Path) -> None:
    """Remove the socket file of a dead process. Raises UserError for a live process or another kind of file."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise UserError(
                f"{path}: not a socket, and the control socket belongs here; remove the file, or configure another path"
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
    raise UserError(f"{path}: already running: another process answers on this control socket")


class ControlServer:
    """Serves the control application on a listening socket until `stop`."""

    def __init__(self, application: Starlette, listening: socket.socket, path: Path) -> None:
        self._listening = listening
        self._path = path
        self._server = _Quiet(
            uvicorn.Config(
                application,
                lifespan="off",
                http=_FromCaller,
                # a header must not name another caller
                proxy_headers=False,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                limit_concurrency=CONNECTIONS_MAX,
                h11_max_incomplete_event_size=HEADERS_MAX_BYTES,
                timeout_graceful_shutdown=STREAMS_END_WITHIN_S,
            )
        )

    async def run(self) -> None:
        """Serve until `stop` is called, then remove the socket file."""
        try:
            await self._server.serve([self._listening])
        finally:
            self._listening.close()
            self._path.unlink(missing_ok=True)

    async def stop(self, running: asyncio.Task[None]) -> None:
        """Stop accepting requests and wait for `run` to end. The application must have ended its streams before."""
        self._server.should_exit = True
        await running


class _FromCaller(H11Protocol):
    """uvicorn's protocol, whose requests name the calling user and process as their client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask the kernel who has connected."""
        super().connection_made(transport)
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


class _Quiet(uvicorn.Server):
    """uvicorn without its signal handlers: the process handles signals itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
