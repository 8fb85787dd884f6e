"""What has arrived and waits for the loop's next turn: bounded, in order of arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from endpoints.runtime.link_runner import Now

INBOX_MAX_ITEMS = 4_096
"""Four times what the broker may deliver unacknowledged, plus every control request: only a flood outside of MQTT's
flow control (QoS 0) reaches it."""


class WorkItem(Protocol):
    """Something that happened, to be taken by the loop in its turn."""

    def take(self, now: Now) -> None:
        """Hand it to its room as an event of this turn; nothing leaves the process yet."""

    def settle(self) -> None:
        """Acknowledge or answer it: what it led to is on disk and performed."""


class WorkQueue:
    """Items in order of arrival; `woken` also ends when there is nothing but a deadline or a tick to look at."""

    def __init__(self, limit: int = INBOX_MAX_ITEMS) -> None:
        self._limit = limit
        # bounded: by `put`, and by the sources of what is pushed; a `maxlen` would drop the oldest without a word
        self._items: deque[WorkItem] = deque()
        self._awake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: WorkItem) -> bool:
        """Add `item` and wake the loop. Return whether there was room."""
        if len(self._items) >= self._limit:
            return False
        self._items.append(item)
        self._awake.set()
        return True

    def push(self, item: WorkItem) -> None:
        """Add what must not be lost and is bounded by its source: connections made and lost, notices under way."""
        self._items.append(item)
        self._awake.set()

    def wake(self) -> None:
        """Let the loop take a turn although nothing arrived."""
        self._awake.set()

    async def woken(self) -> None:
        """Wait until there is something to do."""
        await self._awake.wait()
        self._awake.clear()

    def drain(self, limit: int) -> list[WorkItem]:
        """Take up to `limit` items; if more are left, the loop is woken again at once."""
        taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
        if self._items:
            self._awake.set()
        return taken
