"""Keeps private keys and credentials in this process's memory from core dumps and from other processes."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

from endpoints.errors import UserError
from protocol.phrases import phrase

_PR_SET_DUMPABLE = 4


def protect() -> None:
    """Forbid core dumps of this process, and that others attach to it or read its memory.

    On Linux, /proc/PID then belongs to root, and only root can still look into the process; elsewhere, it only dumps no
    core. A program that this process starts dumps no core either. Raises UserError if the system refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # not left to the limit, which a handler of core dumps may ignore
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise UserError(
            phrase("this process cannot protect its memory: {reason}", reason=os.strerror(ctypes.get_errno()))
        )
