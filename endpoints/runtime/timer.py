"""The timer of a running process: an asyncio task that waits on the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from endpoints.clocks.clock import Clock
from protocol.core.deadlines import Deadline


class AsyncioTimer:
    """Calls `wake` at the armed deadline, and after a second of real time at the latest."""

    def __init__(self, clock: Clock, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._task: asyncio.Task[None] | None = None
        self._armed = Deadline(None, None)

    def arm(self, deadline: Deadline) -> None:
        """Wake at `deadline`. A wait for a sooner one is kept: waking too early does no harm."""
        waiting = self._task is not None and not self._task.done()
        if waiting and not (_sooner(deadline.at, self._armed.at) or _sooner(deadline.mono, self._armed.mono)):
            return
        self.cancel()
        self._armed = deadline
        self._task = asyncio.create_task(self._wait(deadline))

    def cancel(self) -> None:
        """Stop waiting."""
        if self._task is not None:
            self._task.cancel()

    async def _wait(self, deadline: Deadline) -> None:
        await self._clock.wait_until(deadline.at, deadline.mono)
        self._wake()


def _sooner(wanted: int | None, armed: int | None) -> bool:
    return wanted is not None and (armed is None or wanted < armed)
