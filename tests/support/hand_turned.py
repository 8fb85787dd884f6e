"""A loop that a test turns by hand: clocks that the test moves, no timer, and notifications that are only collected."""

from __future__ import annotations

from collections.abc import Mapping

from endpoints.clocks.clock import ClockWatch
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.loop import Loop
from endpoints.runtime.work_queue import WorkQueue
from protocol.core.deadlines import Deadline
from protocol.core.effects import Notify
from protocol.wire.instants import Millis


class HandClock:
    """Clocks that a test moves: the wall clock, the monotonic one, and real time."""

    def __init__(self, at: Millis) -> None:
        self.at, self.mono, self.real = at, 1_000_000, 5_000

    def now(self) -> tuple[Millis, Millis]:
        return self.at, self.mono

    def real_ms(self) -> Millis:
        return self.real

    def passes(self, ms: Millis, *, real: Millis | None = None) -> None:
        """Let time pass; in real time less, as in an exercise."""
        self.at += ms
        self.mono += ms
        self.real += ms if real is None else real


class NoTimer:
    """Never wakes the loop: the test turns it."""

    def arm(self, deadline: Deadline) -> None:
        del deadline

    def cancel(self) -> None:
        pass


class Notices:
    """Collects the ids of notifications."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def submit(self, link: str, side: str, effect: Notify) -> None:
        del link, side
        self.ids.append(effect.id)


def hand_turned(runners: Mapping[str, AnyRunner], clock: HandClock) -> Loop:
    """Return a loop over `runners` that takes a turn only when the test calls `turn`."""
    monitor = ClockWatch(*clock.now(), clock.real_ms())
    return Loop(runners, WorkQueue(), clock, monitor, NoTimer(), lambda: None)
