"""Become a program that ends when the process that started it does: `launch.py PARENT PROGRAM [ARGUMENT ...]`.

Run as a script by `broker.local`, in the child, so that nothing has to happen between a fork and an exec in a process
that may have threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, *command = sys.argv[1:]
    # KILL: one TERM can be lost, and nobody is left to repeat it
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it ended before the kernel knew
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted
