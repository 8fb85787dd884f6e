"""Checks the path of a control socket."""

from __future__ import annotations

import os
from pathlib import Path

from endpoints.errors import UserError
from protocol.phrases import phrase

SOCKET_PATH_MAX_BYTES = 107
"""The kernel's `sun_path` holds 108 bytes including the closing NUL."""


def check_socket(socket: Path, *, at: str) -> Path:
    """Return `socket` if the kernel can bind it. Raises UserError, naming the key `at`, if the path is too long."""
    length = len(os.fsencode(socket))
    if length > SOCKET_PATH_MAX_BYTES:
        raise UserError(
            phrase(
                "{at}: the path of this socket has {length} bytes, more than "
                "{socket_path_max_bytes}: {socket}; choose a shorter one, such as "
                "/run/deconflict/eucom.sock",
                at=at,
                length=length,
                socket_path_max_bytes=SOCKET_PATH_MAX_BYTES,
                socket=socket,
            )
        )
    return socket
