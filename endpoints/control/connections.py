"""Accepts the connections of a listening socket, with limits: clients that do nothing cost nobody anything.

asyncio's own server complains a hundred times a second when descriptors run out, and accepts without a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

from endpoints.structured_log import get_logger

CONNECTIONS_MAX = 64
"""Simultaneous clients. Beyond it the oldest that has no request is dropped; if all have one, a client receives 503."""
CONNECTIONS_MIN = 4
_SHARE = 4
"""One in so many of the descriptors that the process may have."""
_AT_ONCE_SHARE = 8
"""One in so many of the clients is accepted in one go. With more, the last of them would crowd out the first, whose
requests have not been read yet, although older clients are idle."""
_REFUSED_AT_ONCE = 8
"""Clients beyond the limit that wait for their 503."""
HANDSHAKE_WITHIN_S = 5.0
_PAUSE_S = 0.5
_CROWDED_S = 0.02
"""How long new clients wait while there are too many, all with a request."""
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_log = get_logger()


def connections_max() -> int:
    """Return how many clients may be connected: fewer if the process may have few descriptors."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(CONNECTIONS_MIN, min(CONNECTIONS_MAX, allowed // _SHARE))


class Listening(Protocol):
    """A listening socket, not blocking, or several that are accepted from as one."""

    def fileno(self) -> int:
        """Return a descriptor that is readable while a connection waits."""

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection that waits. Raises OSError."""

    def close(self) -> None:
        """Accept no more."""


class ClientProtocol(Protocol):
    """The protocol object of one connection."""

    @property
    def idle(self) -> bool:
        """Whether no request of the client is complete and unanswered, nor arrives at this moment."""

    @property
    def ended(self) -> bool:
        """Whether the connection has ended."""

    def drop(self) -> None:
        """Break the connection off."""


class Acceptor:
    """Accepts connections, each with a protocol object of its own, until `stop`."""

    def __init__(
        self,
        listening: Listening,
        most: int | None = None,
        *,
        logs: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare to accept connections; none is accepted before `start`.

        Args:
            listening: what listens.
            most: how many clients there may be at once, if fewer than `connections_max`.
            logs: whether to log what is dropped or not accepted; else the client's `drop` does.
            tls: with which clients connect, None without TLS. Its handshake has a limit of time.
        """
        self._listening = listening
        self._tls = tls
        self._logs = logs
        self._waiting = select.poll()
        self._waiting.register(listening, select.POLLIN)
        self._make: Callable[[], ClientProtocol] | None = None
        self._max = connections_max() if most is None else min(most, connections_max())
        # the oldest first
        self._clients: list[ClientProtocol] = []
        self._beginning: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None
        self._refilling: asyncio.TimerHandle | None = None
        self._reserve = _reserved()

    def start(self, make: Callable[[], ClientProtocol]) -> None:
        """Accept from now on; `make` returns the protocol object of a connection."""
        self._make = make
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def stop(self) -> None:
        """Accept no more connections."""
        asyncio.get_running_loop().remove_reader(self._listening)
        for timer in (self._resume, self._refilling):
            if timer is not None:
                timer.cancel()
        for task in self._beginning:
            task.cancel()
        _release(self._reserve)
        self._reserve = -1

    def _accept(self) -> None:
        """Accept some of the connections that wait, so that their requests share a flush of the journal."""
        for _ in range(max(1, self._max // _AT_ONCE_SHARE)):
            # asked before each: without descriptors, accept fails even if none waits
            if not self._waiting.poll(0) or not self._accept_one():
                return

    def _accept_one(self) -> bool:
        """Accept the connection that waits; return whether another may follow at once."""
        self._clients = [client for client in self._clients if not client.ended]
        if len(self._clients) >= self._max:
            self._drop_oldest_idle()
        if len(self._clients) >= self._max + _REFUSED_AT_ONCE:
            self._pause(_CROWDED_S)
            return False
        try:
            accepted = self._next()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            # the descriptor of a dropped client is free soon after the loop comes back
            if not self._drop_oldest_idle() and not self._beginning:
                if self._logs:
                    _log.error("the control socket accepts no connection", why=error.strerror)
                self._pause()
            return False
        self._begin(accepted)
        return True

    def _next(self) -> socket.socket:
        """Accept one connection; if descriptors have run out, with the one in reserve. Raises OSError."""
        try:
            return self._listening.accept()[0]
        except OSError as error:
            if error.errno not in _EXHAUSTED or self._reserve < 0:
                raise
        _release(self._reserve)
        self._reserve = -1
        try:
            return self._listening.accept()[0]
        finally:
            self._refill()

    def _refill(self) -> None:
        """Hold a descriptor in reserve again, as soon as there is one."""
        self._reserve = _reserved()
        if self._reserve < 0:
            self._refilling = asyncio.get_running_loop().call_later(_PAUSE_S, self._refill)

    def _drop_oldest_idle(self) -> bool:
        """Drop the oldest client without a complete request; return whether there was one."""
        for client in self._clients:
            if client.idle and not client.ended:
                if self._logs:
                    _log.warning(
                        "a client of the control socket was dropped", why="it sends no request, and others wait"
                    )
                client.drop()
                self._clients.remove(client)
                return True
        return False

    def _begin(self, accepted: socket.socket) -> None:
        assert self._make is not None, "only a started acceptor accepts"
        accepted.setblocking(False)
        client = self._make()
        self._clients.append(client)
        task = asyncio.create_task(_connect(client, accepted, self._tls))
        # bounded: each is one of the clients
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    def _pause(self, seconds: float = _PAUSE_S) -> None:
        """Accept nothing for a moment: connections wait in the kernel meanwhile."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listening)
        self._resume = loop.call_later(seconds, loop.add_reader, self._listening, self._accept)


async def _connect(client: ClientProtocol, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
    within_s = None if tls is None else HANDSHAKE_WITHIN_S
    try:
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: cast("asyncio.Protocol", client), accepted, ssl=tls, ssl_handshake_timeout=within_s
        )
    except OSError:
        client.drop()
        accepted.close()


def _reserved() -> int:
    """Return a descriptor that is of no other use, -1 if there is none."""
    with contextlib.suppress(OSError):
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return -1


def _release(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)
