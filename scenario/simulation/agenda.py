"""Virtual time: a heap of what is due, and nothing that ticks."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from protocol.wire.instants import Millis

SPIN_MAX = 50_000
"""Events at one instant; the greatest flood here is some hundreds of frames to two readers."""
Action = Callable[[], None]


class Agenda:
    """What happens next in the simulated world. True time, in ms since 1970; what is due together keeps its order."""

    def __init__(self, now: Millis) -> None:
        self.now = now
        self.events = 0
        self._order = 0
        self._due: list[tuple[Millis, int, Action]] = []

    def at(self, instant: Millis, action: Action) -> None:
        """Let `action` happen at `instant`, or now if that is past."""
        self._order += 1
        heapq.heappush(self._due, (max(instant, self.now), self._order, action))

    def after(self, delay: Millis, action: Action) -> None:
        """Let `action` happen `delay` ms from now."""
        self.at(self.now + delay, action)

    def run_until(self, end: Millis) -> None:
        """Let happen what is due before `end`, in order; then it is `end`."""
        due = self._due
        here = 0
        while due and due[0][0] < end:
            before = self.now
            self.now, _, action = heapq.heappop(due)
            self.events += 1
            here = here + 1 if self.now == before else 0
            if here > SPIN_MAX:
                raise RuntimeError("time stands still: something is due again and again without an end")
            action()
        self.now = max(self.now, end)
