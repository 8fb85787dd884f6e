"""Runs a program that the kernel kills when its parent process ends.

    launch.py [--user=UID:GID] PARENT PROGRAM [ARGUMENT ...]

`broker.local` starts this script as the child process. So no Python code runs between fork and exec in a process that
may have threads. The program writes no core dumps: it may hold a private key.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_USER = "--user="

if __name__ == "__main__":
    arguments = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if arguments[0].startswith(_USER):
        user, group = map(int, arguments.pop(0).removeprefix(_USER).split(":"))
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    parent, *command = arguments
    # SIGKILL: a SIGTERM can be lost, and the parent that would repeat it is gone. After setresuid, which clears it
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # the parent ended before prctl
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is needed
