"""Checks the path of a control socket."""

from __future__ import annotations

import os
from pathlib import Path

from endpoints.errors import UserError

SOCKET_PATH_MAX_BYTES = 107
"""The kernel's `sun_path` holds 108 bytes including the closing NUL."""


def check_socket(socket: Path, *, at: str) -> Path:
    """Return `socket` if the kernel can bind it. Raises UserError, naming the key `at`, if the path is too long."""
    length = len(os.fsencode(socket))
    if length > SOCKET_PATH_MAX_BYTES:
        raise UserError(
            f"{at}: the path of the control socket has {length} bytes, more than {SOCKET_PATH_MAX_BYTES}: {socket}; "
            "choose a shorter one, such as /run/deconflict/eucom.sock"
        )
    return socket
