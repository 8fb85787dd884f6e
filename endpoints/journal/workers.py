"""Worker processes for the long reading of a journal: as many as this process may use processors.

A worker ends with its parent, whatever ends that, and leaves Ctrl-C to it. An error in a worker is an error of the
caller: it is raised where the result is taken.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

_PR_SET_PDEATHSIG = 1
_CGROUPS = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """A pool of worker processes, until the `with` block ends; then all of them end, also in the midst of their work.

    They are forked with the first task, when this process has no other thread.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._others = active_children()
        self._pool = ProcessPoolExecutor(
            count, mp_context=get_context("fork"), initializer=_begin, initargs=(os.getpid(),)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End every worker at once."""
        for process in active_children():
            if process not in self._others:
                process.kill()
        self._pool.shutdown(cancel_futures=True)

    def submit(self, task: Callable[P, T], /, *args: P.args, **named: P.kwargs) -> Future[T]:
        """Have a worker call `task`, a function of a module. The future's `result` raises what the task raised."""
        return self._pool.submit(task, *args, **named)


def processors(groups: Path = _CGROUPS, mount: Path = _MOUNT) -> int:
    """Return how many processors this process may use: by its affinity, and by the quota of its control groups."""
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _quota(groups, mount))))


def _quota(groups: Path, mount: Path) -> float:
    """Return the processors that the control groups grant, infinite without a limit; of version 2 or 1."""
    least = math.inf
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return least
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, read = mount, _quota_2
        elif "cpu" in controllers.split(","):
            top, read = mount / "cpu", _quota_1
        else:
            continue
        own = top / path.lstrip("/")
        # in a container, the path may be the host's
        for folder in {own, *own.parents, top}:
            if folder.is_relative_to(top):
                least = min(least, read(folder))
    return least


def _quota_2(folder: Path) -> float:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        # no such group, or "max": no limit
        return math.inf


def _quota_1(folder: Path) -> float:
    try:
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    except (OSError, ValueError):
        return math.inf
    return quota / period if quota > 0 else math.inf


def _begin(parent: int) -> None:
    """Begin a worker: it ends with its parent, and Ctrl-C is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before prctl
        os._exit(1)
