"""Decides when Python's garbage collector runs: young objects as they come, all objects only while nothing waits.

A full collection looks at every object of the process: with thousands of open alerts it stops the loop for tens of
milliseconds. Nearly all objects are freed without it, as soon as nobody refers to them. Large blocks of memory go back
to the system when they are freed.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc

from endpoints.runtime.work_queue import WorkQueue

NEVER = 1 << 30
IDLE_S = 1.0
"""How long no item may have come before all objects are collected."""
BUSY_S = 600.0
"""After so long without such a pause they are collected all the same."""
_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 128 << 10
"""What is at least as large, such as the state in a checkpoint, goes back to the system: glibc's own first value."""


class MemoryUpkeep:
    """Collects garbage for one process, beside its loop."""

    def __init__(self, queue: WorkQueue, *, idle_s: float = IDLE_S, busy_s: float = BUSY_S) -> None:
        """Prepare it; `run` takes over.

        Args:
            queue: the loop's; what it has handed out tells whether the process is busy.
            idle_s: how long no item may have come before all objects are collected.
            busy_s: after so long without such a pause they are collected all the same.
        """
        self._queue = queue
        self._idle_s = idle_s
        self._busy_s = busy_s

    async def run(self) -> None:
        """Replace Python's own schedule, and collect until cancelled."""
        before = gc.get_threshold()
        young, survivors, _ = before
        gc.set_threshold(young, survivors, NEVER)
        _return_large_blocks()
        try:
            await self._collect()
        finally:
            gc.set_threshold(*before)
            gc.unfreeze()

    async def _collect(self) -> None:
        collected: int | None = None
        waited_s = 0.0
        while True:
            seen = self._queue.taken
            await asyncio.sleep(self._idle_s)
            waited_s += self._idle_s
            if self._queue.taken == seen != collected or waited_s >= self._busy_s:
                gc.collect()
                if collected is None:
                    # what a start leaves behind stays until the process ends: no collection looks at it again
                    gc.freeze()
                collected, waited_s = self._queue.taken, 0.0


def _return_large_blocks() -> None:
    """Keep glibc from raising the size from which a freed block goes back to the system, as it does at the first one.

    Between the small blocks that stay, the room of large ones would be lost. Other C libraries have no such value.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
