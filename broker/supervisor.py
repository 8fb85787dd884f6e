"""Tells the service manager that started this process how it is: sd_notify(3) of systemd.

The protocol is one datagram for each word, and the variables below; other managers speak it, too. Without
`NOTIFY_SOCKET` nothing is sent, so that a process need not know who has started it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
_ALIVE: Final = "WATCHDOG=1"
_PARTS: Final = 3
"""A sign of life comes three times in the interval that the supervisor allows: one may be late."""


class Supervisor:
    """The supervisor that the environment names, or nobody."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read the environment; a supervisor that watches another process expects no sign of life from this one."""
        self._address = environment.get("NOTIFY_SOCKET", "")
        limit_us = environment.get("WATCHDOG_USEC", "")
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._every_ms = int(limit_us) / 1_000 / _PARTS if watched and limit_us.isdecimal() else None
        self._told_ms: float | None = None

    def tell(self, word: str) -> None:
        """Send a word such as READY. A supervisor that is gone, or does not read, holds nobody up."""
        if not self._address:
            return
        # a name that begins with @ is outside the file system
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
            sending.setblocking(False)
            sending.connect(address)
            sending.send(word.encode())

    def alive(self, real_ms: int) -> None:
        """Give a sign of life at the time `real_ms` (monotonic, ms), if one is due."""
        if self._every_ms is None or (self._told_ms is not None and real_ms - self._told_ms < self._every_ms):
            return
        self._told_ms = real_ms
        self.tell(_ALIVE)
