"""Runs a program that the kernel kills when its parent process ends: `launch.py PARENT PROGRAM [ARGUMENT ...]`.

`broker.local` starts this script as the child process. So no Python code runs between fork and exec in a process that
may have threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, *command = sys.argv[1:]
    # SIGKILL: a SIGTERM can be lost, and the parent that would repeat it is gone
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # the parent ended before prctl
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is needed
