"""Decides when Python's garbage collector runs: young objects as they come, all objects only while nothing waits.

A full collection looks at every object of the process: with thousands of open alerts it stops the loop for tens of
milliseconds. Nearly all objects are freed without it, as soon as nobody refers to them.
"""

from __future__ import annotations

import asyncio
import gc

from endpoints.runtime.work_queue import WorkQueue

NEVER = 1 << 30
IDLE_S = 1.0
"""How long no item may have come before all objects are collected."""
BUSY_S = 600.0
"""After so long without such a pause they are collected all the same."""


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
