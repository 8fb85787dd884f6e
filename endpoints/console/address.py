"""Opens the address at which browsers, or a proxy before them, reach the console."""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from endpoints.config.console_settings import LOCALHOST, ConsoleSettings, TcpListen, UnixListen
from endpoints.errors import UserError, os_reason
from protocol.phrases import phrase

BACKLOG = 128
SOCKET_MODE = 0o660
"""The proxy may run as another user of the socket's group; the folder decides who gets there."""
LOOPBACKS = ("127.0.0.1", "::1")
"""What browsers take for `localhost`, in the order of their choice."""
_LACKING = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""Why a machine without IPv6 does not have `::1`."""


class ListeningSockets:
    """Listening sockets that are accepted from as one."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets
        self._waiting = select.epoll()
        for each in sockets:
            each.setblocking(False)
            self._waiting.register(each, select.EPOLLIN)

    def fileno(self) -> int:
        """Return a descriptor that is readable while a connection waits at any of them."""
        return self._waiting.fileno()

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection that waits. Raises OSError."""
        ready = {descriptor for descriptor, _ in self._waiting.poll(0)}
        for each in self._sockets:
            if each.fileno() in ready:
                return each.accept()
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def close(self) -> None:
        """Close all of them."""
        self._waiting.close()
        for each in self._sockets:
            each.close()


def listen(address: TcpListen | UnixListen) -> ListeningSockets:
    """Return what listens at the address. Raises UserError."""
    where = str(address.path) if isinstance(address, UnixListen) else f"{address.host}:{address.port}"
    try:
        return ListeningSockets([_unix(address.path)] if isinstance(address, UnixListen) else _tcp(address))
    except OSError as error:
        raise UserError(
            phrase(
                "console: cannot listen at {where}: {reason}; choose a free address of this machine ([console] listen)",
                where=where,
                reason=os_reason(error),
            )
        ) from None


def tls(settings: ConsoleSettings) -> ssl.SSLContext | None:
    """Return how browsers connect; None for plain HTTP, on this machine alone. Raises UserError."""
    if settings.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise UserError(
            phrase(
                "{path}: console: certificate and key cannot be used: {reason}",
                path=settings.path,
                reason=getattr(error, "reason", None) or os_reason(error),
            )
        ) from None
    return context


def _tcp(address: TcpListen) -> list[socket.socket]:
    """Return the listening sockets. Raises OSError."""
    if address.host.lower() != LOCALHOST:
        return [_at(address.host, address.port)]
    found = [_at(LOOPBACKS[0], address.port)]
    try:
        # else another user's process could take it, and with it what browsers send to localhost
        found.append(_at(LOOPBACKS[1], address.port))
    except OSError as error:
        if error.errno not in _LACKING:
            found[0].close()
            raise
    return found


def _at(host: str, port: int) -> socket.socket:
    """Return a socket that listens at one address. Raises OSError."""
    family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _bound(listening, target)


def _unix(path: Path) -> socket.socket:
    """Return a listening socket; the socket file of a dead process is replaced. Raises OSError."""
    if path.is_socket():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(str(path)) == errno.ECONNREFUSED:
                path.unlink(missing_ok=True)
    listening = _bound(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), str(path))
    path.chmod(SOCKET_MODE)
    return listening


def _bound(listening: socket.socket, target: object) -> socket.socket:
    try:
        listening.bind(target)  # type: ignore[arg-type]
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
