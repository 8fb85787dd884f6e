"""Opens the address at which browsers, or a proxy before them, reach the console."""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path

from endpoints.config.console_settings import ConsoleSettings, TcpListen, UnixListen
from endpoints.errors import UserError, os_reason
from protocol.phrases import phrase

BACKLOG = 128
SOCKET_MODE = 0o660
"""The proxy may run as another user of the socket's group; the folder decides who gets there."""
LOOPBACK = "127.0.0.1"


def listen(address: TcpListen | UnixListen) -> socket.socket:
    """Return a socket that listens at the address. Raises UserError."""
    where = str(address.path) if isinstance(address, UnixListen) else f"{address.host}:{address.port}"
    try:
        listening = _unix(address.path) if isinstance(address, UnixListen) else _tcp(address)
    except OSError as error:
        raise UserError(
            phrase(
                "console: cannot listen at {where}: {reason}; choose a free address of this machine ([console] listen)",
                where=where,
                reason=os_reason(error),
            )
        ) from None
    listening.setblocking(False)
    return listening


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


def _tcp(address: TcpListen) -> socket.socket:
    """Return a listening socket. Raises OSError."""
    host = LOOPBACK if address.host == "localhost" else address.host
    family, kind, protocol, _, target = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM)[0]
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
