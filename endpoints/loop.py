"""The loop: the one consumer that owns every room's state (group commit).

A turn: read the clocks, drain what has arrived, hand each to its room, see what falls due, close and append each room's
batch with one flush, perform, acknowledge and answer in order of arrival. Within a turn nothing awaits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from endpoints.clock import Clock, ClockWatch
from endpoints.failpoints import failpoint
from endpoints.inbox import Inbox
from endpoints.items import AnyRoom
from endpoints.room import Now
from protocol.events import ClockStepped, Resumed
from protocol.instants import parsed
from protocol.timeline import Deadline

BATCH_MAX_ITEMS = 256
"""One flush serves that many; more would keep the first of them waiting while the last are verified."""


class Loop:
    """Turns over `rooms` until it is told to stop. `inbox` is how everything else reaches them.

    `printed` is told after each turn: journals may have grown.
    """

    def __init__(self, clock: Clock, rooms: Mapping[str, AnyRoom], printed: Callable[[], None]) -> None:
        self.inbox = Inbox()
        self.started = asyncio.Event()
        """Every room has started, and that is on disk."""
        self._clock = clock
        self._rooms = rooms
        self._printed = printed
        self._watch = ClockWatch(*clock.now(), clock.real_ms())
        self._timer: asyncio.Task[None] | None = None
        self._armed = Deadline(None, None)
        self._stopping = False

    def now(self) -> Now:
        """Return a reading of the clocks."""
        at, mono = self._clock.now()
        return Now(at, mono, self._clock.real_ms() // 1_000)

    def stop(self) -> None:
        """Let `run` end after the turn that is due."""
        self._stopping = True
        self.inbox.wake()

    async def run(self) -> None:
        """Start every room, take turns until `stop`, then let every room stop cleanly. Raises UserError."""
        now = self.now()
        for room in self._running():
            room.start(now)
        self.turn()
        failpoint("after_started")
        self.started.set()
        try:
            while not self._stopping:
                self._arm()
                await self.inbox.woken()
                self.turn()
        finally:
            if self._timer is not None:
                self._timer.cancel()
        self._end()

    def turn(self) -> None:
        """Take one turn."""
        now = self.now()
        self._look_at_the_clocks(now)
        items = self.inbox.drain(BATCH_MAX_ITEMS)
        failpoint("after_drain")
        for item in items:
            item.take(now)
        for room in self._running():
            room.tick(now)
        for room in self._running():
            room.commit(now)
        for room in self._running():
            room.perform(now)
        for item in items:
            item.settle()
        self._printed()

    def _end(self) -> None:
        while len(self.inbox):
            self.turn()
        now = self.now()
        for room in self._running():
            failpoint("before_stopped")
            room.stop(now)
            room.commit(now)
            room.perform(now)
            failpoint("after_stopped")
        for room in self._running():
            room.close(now)
        self._printed()

    def _running(self) -> list[AnyRoom]:
        return [room for room in self._rooms.values() if room.failure is None]

    def _look_at_the_clocks(self, now: Now) -> None:
        irregular = self._watch.observe(now.at, now.mono, self._clock.real_ms())
        if irregular is None:
            return
        step_ms, since = irregular.step_ms, irregular.blind_since
        # the last reading before the gap, or the old clock's reading of now
        before = parsed(since) if since else now.at - step_ms
        mono = now.mono - (now.at - step_ms - before)
        for room in self._running():
            room.plan_over(before, mono, now.at)
            # the sleep before the step: so that one record tells of all that both have passed over (SPEC W5.2)
            if since:
                room.take(Resumed(at=now.at, mono=now.mono, since=since))
            if step_ms:
                room.take(ClockStepped(at=now.at, mono=now.mono, step_ms=step_ms))

    def _arm(self) -> None:
        """Let the timer wake the loop at the earliest deadline; one that is armed too early does no harm."""
        wanted = self._earliest()
        running = self._timer is not None and not self._timer.done()
        if running and not (_sooner(wanted.at, self._armed.at) or _sooner(wanted.mono, self._armed.mono)):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = wanted
        self._timer = asyncio.create_task(self._wait(wanted))

    async def _wait(self, deadline: Deadline) -> None:
        await self._clock.wait_until(deadline.at, deadline.mono)
        self.inbox.wake()

    def _earliest(self) -> Deadline:
        deadlines = [deadline for room in self._running() if (deadline := room.core.next_deadline()) is not None]
        return Deadline(
            at=min((each.at for each in deadlines if each.at is not None), default=None),
            mono=min((each.mono for each in deadlines if each.mono is not None), default=None),
        )


def _sooner(wanted: int | None, armed: int | None) -> bool:
    return wanted is not None and (armed is None or wanted < armed)
