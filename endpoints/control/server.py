"""The Unix socket on which `control` is served: for this user alone, and for one process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from endpoints.errors import UserError
from endpoints.keys.private_files import FILE_MODE, FOLDER_MODE

CONNECTIONS_MAX = 64
"""Consoles and commands at once; more are answered 503."""
HEADERS_MAX_BYTES = 16_384
BACKLOG = 16
STREAMS_END_WITHIN_S = 2
_OTHERS = 0o077


def listen(path: Path) -> socket.socket:
    """Return a socket listening at `path`, mode 0600. A dead process's socket file is replaced.

    Raises UserError if a live process listens there, something else stands there, or others can get at the folder.
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
            # 0600 from its first moment
            os.fchmod(listening.fileno(), FILE_MODE)
            listening.bind(str(path))
            path.chmod(FILE_MODE)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise UserError(f"{path}: cannot be listened at: {error.strerror or error}") from None
    listening.setblocking(False)
    return listening


def _clear(path: Path) -> None:
    """Remove a dead process's socket file. Raises UserError if what stands there is not one."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise UserError(f"{path}: not a socket; the control socket is to stand here: name another, or remove it")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise UserError(f"{path}: already running: a live process answers on this control socket")


class ControlServer:
    """Serves the control application on a listening socket until `stop`."""

    def __init__(self, application: Starlette, listening: socket.socket, path: Path) -> None:
        self._listening = listening
        self._path = path
        self._server = _Quiet(
            uvicorn.Config(
                application,
                lifespan="off",
                http="h11",
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
        """Serve."""
        try:
            await self._server.serve([self._listening])
        finally:
            self._listening.close()
            self._path.unlink(missing_ok=True)

    async def stop(self, running: asyncio.Task[None]) -> None:
        """Let `run` come to its end; its streams are to have ended by themselves."""
        self._server.should_exit = True
        await running


class _Quiet(uvicorn.Server):
    """uvicorn without signal handlers: the process's signals are its service's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
