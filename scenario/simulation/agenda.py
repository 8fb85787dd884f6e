"""Virtual time: a heap of the actions that are due."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from protocol.wire.instants import Millis

SPIN_MAX = 50_000
"""Actions at one instant; the largest flood is some hundred frames to two readers."""
Action = Callable[[], None]


class Agenda:
    """Runs actions in the order of their true instants, in ms since 1970. Actions of one instant keep their order."""

    def __init__(self, now: Millis) -> None:
        self.now = now
        self.events = 0
        self._order = 0
        self._due: list[tuple[Millis, int, Action]] = []

    def at(self, instant: Millis, action: Action) -> None:
        """Schedule `action` at `instant`, or now if that is past."""
        self._order += 1
        heapq.heappush(self._due, (max(instant, self.now), self._order, action))

    def after(self, delay: Millis, action: Action) -> None:
        """Schedule `action` in `delay` ms."""
        self.at(self.now + delay, action)

    def run_until(self, end: Millis) -> None:
        """Run the actions that are due before `end`, in order, and advance the time to `end`."""
        due = self._due
        here = 0
        while due and due[0][0] < end:
            before = self.now
            self.now, _, action = heapq.heappop(due)
            self.events += 1
            here = here + 1 if self.now == before else 0
            if here > SPIN_MAX:
                raise RuntimeError("time stands still: an action schedules itself at the same instant without end")
            action()
        self.now = max(self.now, end)
