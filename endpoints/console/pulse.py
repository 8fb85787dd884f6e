"""Wakes everybody who waits for news, once for each."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Pulse:
    """A signal that many may wait for."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def beat(self) -> None:
        """Wake those who wait."""
        self._next.set()
        self._next = asyncio.Event()

    @property
    def next(self) -> asyncio.Event:
        """What the next beat sets: taken before a look, it misses no news after it."""
        return self._next

    @staticmethod
    async def wait(event: asyncio.Event, at_most_s: float) -> None:
        """Wait for `event`, or as long as `at_most_s`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), at_most_s)
