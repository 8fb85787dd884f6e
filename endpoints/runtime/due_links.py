"""Schedules the running links: when each needs a tick, and which of them are due now."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from msgspec import Struct

from endpoints.runtime.ports import Now
from protocol.core.deadlines import Deadline
from protocol.wire.messages import Identifier

HEAP_SLACK = 256
"""How many more heap entries than twice the scheduled links are tolerated before a heap is rebuilt."""


class NextTick(Struct, frozen=True, kw_only=True):
    """When a link needs a tick although nothing happens to it: by whichever clock is first; None for never.

    Attributes:
        at: by the wall clock (ms).
        mono: by the monotonic clock (ms).
        real_s: by the machine's own monotonic clock (s), which an exercise does not change.
    """

    at: int | None = None
    mono: int | None = None
    real_s: int | None = None


class DueLinks:
    """The next tick of each link.

    Each clock has a heap of its own, so that a step of one clock, or another rate of an exercise, leaves all in order.
    """

    def __init__(self) -> None:
        self._at = _ByOneClock()
        self._mono = _ByOneClock()
        self._real_s = _ByOneClock()

    def schedule(self, link: Identifier, tick: NextTick) -> None:
        """Replace the next tick of `link`."""
        self._at.schedule(link, tick.at)
        self._mono.schedule(link, tick.mono)
        self._real_s.schedule(link, tick.real_s)

    def take(self, now: Now, limit: int) -> list[Identifier]:
        """Return up to `limit` links that are due at `now`; each must be scheduled again."""
        due: dict[Identifier, None] = {}
        for clock, reading in self._readings(now):
            while len(due) < limit and (link := clock.take(reading)) is not None:
                due[link] = None
        return [*due]

    def any_due(self, now: Now) -> bool:
        """Return whether a link is due at `now`."""
        return any(clock.is_due(reading) for clock, reading in self._readings(now))

    @property
    def deadline(self) -> Deadline:
        """When the first link is due by the wall clock, and by the monotonic clock.

        What goes by real time waits for the next turn, which comes within a second in any case.
        """
        return Deadline(self._at.first, self._mono.first)

    def _readings(self, now: Now) -> Iterator[tuple[_ByOneClock, int]]:
        yield self._at, now.at
        yield self._mono, now.mono
        yield self._real_s, now.real_s


class _ByOneClock:
    """The instants of the links by one clock. Replaced ones stay in the heap until they are first."""

    def __init__(self) -> None:
        self._instants: dict[Identifier, int] = {}
        self._heap: list[tuple[int, Identifier]] = []

    def schedule(self, link: Identifier, instant: int | None) -> None:
        """Replace the instant of `link`."""
        if self._instants.get(link) == instant:
            return
        if instant is None:
            del self._instants[link]
            return
        self._instants[link] = instant
        heapq.heappush(self._heap, (instant, link))
        # a busy link replaces its instant at each message, hours before it is reached
        if len(self._heap) > 2 * len(self._instants) + HEAP_SLACK:
            self._heap = [(each, link) for link, each in self._instants.items()]
            heapq.heapify(self._heap)

    @property
    def first(self) -> int | None:
        """The earliest instant."""
        while self._heap:
            instant, link = self._heap[0]
            if self._instants.get(link) == instant:
                return instant
            heapq.heappop(self._heap)
        return None

    def is_due(self, reading: int) -> bool:
        """Return whether the earliest instant is reached."""
        first = self.first
        return first is not None and first <= reading

    def take(self, reading: int) -> Identifier | None:
        """Remove and return the link of the earliest instant if that is reached."""
        if not self.is_due(reading):
            return None
        _, link = heapq.heappop(self._heap)
        del self._instants[link]
        return link
