"""The loop's queue: work items, bounded and in order of arrival, and links to look at."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable
from typing import Protocol

from endpoints.runtime.ports import Now
from protocol.wire.messages import Identifier

QUEUE_MAX_ITEMS = 4_096
"""Far more than the deliveries that an endpoint may leave unacknowledged (`session.RECEIVE_MAX`). An officer's request
that finds the queue full is refused as `busy`. Only at the watch, whose transport acknowledges by itself, can a flood
of frames fill it: the watch misses the frames that find no place."""


class WorkItem(Protocol):
    """Something that the loop handles in its next turn."""

    @property
    def links(self) -> Collection[Identifier]:
        """The links to which it happens."""

    def take(self, now: Now) -> None:
        """Hand it to its link as an event of this turn; nothing leaves the process yet."""

    def settle(self) -> None:
        """Acknowledge or answer it: its records are on disk and their effects performed."""


class WorkQueue:
    """Items in order of arrival. `woken` also returns when only a deadline or a tick is due."""

    def __init__(self, limit: int = QUEUE_MAX_ITEMS) -> None:
        self.taken = 0
        """How many items `drain` has returned so far."""
        self._limit = limit
        # bounded: by `put`, and by the sources of what is pushed; a `maxlen` would drop the oldest silently
        self._items: deque[WorkItem] = deque()
        # bounded by the links of the process
        self._looked_for: dict[Identifier, None] = {}
        self._awake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def awake(self) -> bool:
        """Whether the loop takes another turn at once."""
        return self._awake.is_set()

    def put(self, item: WorkItem) -> bool:
        """Add `item` and wake the loop. Return whether there was room."""
        if len(self._items) >= self._limit:
            return False
        self._items.append(item)
        self._awake.set()
        return True

    def push(self, item: WorkItem) -> None:
        """Add an item that must not be lost and whose source bounds it: connection events, wrong credentials."""
        self._items.append(item)
        self._awake.set()

    def defer(self, item: WorkItem) -> None:
        """Add an item like `push`, for the next turn: it causes none itself. The timer does, within a second."""
        self._items.append(item)

    def wake(self, links: Iterable[Identifier] = ()) -> None:
        """Wake the loop without an item, to look at `links`, at which something has changed, and what is due."""
        self._looked_for.update(dict.fromkeys(links))
        self._awake.set()

    async def woken(self) -> None:
        """Wait until the loop has something to do."""
        await self._awake.wait()
        self._awake.clear()

    def drain(self, limit: int) -> list[WorkItem]:
        """Return up to `limit` items; if more are left, wake the loop again at once."""
        taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
        if self._items:
            self._awake.set()
        self.taken += len(taken)
        return taken

    def drain_links(self) -> Collection[Identifier]:
        """Return the links with which `wake` was called since the last time."""
        links, self._looked_for = self._looked_for, {}
        return links
