"""The loop: the one consumer that owns every room's state (group commit).

A turn: read the clocks, drain what has arrived, hand each to its room, see what falls due, close and append each room's
batch with one flush, perform, acknowledge and answer in order of arrival. Within a turn nothing awaits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from endpoints.clocks.clock import Clock, ClockWatch
from endpoints.failpoints import failpoint
from endpoints.runtime.link_runner import Now
from endpoints.runtime.work_items import AnyLink
from endpoints.runtime.work_queue import WorkQueue
from protocol.core.deadlines import Deadline
from protocol.core.events import ClockStepped, Resumed
from protocol.wire.instants import parsed

BATCH_MAX_ITEMS = 256
"""One flush serves that many; more would keep the first of them waiting while the last are verified."""


class Loop:
    """Turns over `rooms` until it is told to stop. `inbox` is how everything else reaches them.

    `printed` is told after each turn: journals may have grown.
    """

    def __init__(self, clock: Clock, runners: Mapping[str, AnyLink], printed: Callable[[], None]) -> None:
        self.queue = WorkQueue()
        self.started = asyncio.Event()
        """Every room has started, and that is on disk."""
        self._clock = clock
        self._runners = runners
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
        self.queue.wake()

    async def run(self) -> None:
        """Start every room, take turns until `stop`, then let every room stop cleanly. Raises UserError."""
        now = self.now()
        for runner in self._running():
            runner.start(now)
        self.turn()
        failpoint("after_started")
        self.started.set()
        try:
            while not self._stopping:
                self._arm()
                await self.queue.woken()
                self.turn()
        finally:
            if self._timer is not None:
                self._timer.cancel()
        self._end()

    def turn(self) -> None:
        """Take one turn."""
        now = self.now()
        self._look_at_the_clocks(now)
        items = self.queue.drain(BATCH_MAX_ITEMS)
        failpoint("after_drain")
        for item in items:
            item.take(now)
        for runner in self._running():
            runner.tick(now)
        for runner in self._running():
            runner.commit(now)
        for runner in self._running():
            runner.perform(now)
        for item in items:
            item.settle()
        self._printed()

    def _end(self) -> None:
        while len(self.queue):
            self.turn()
        now = self.now()
        for runner in self._running():
            failpoint("before_stopped")
            runner.stop(now)
            runner.commit(now)
            runner.perform(now)
            failpoint("after_stopped")
        for runner in self._running():
            runner.close(now)
        self._printed()

    def _running(self) -> list[AnyLink]:
        return [runner for runner in self._runners.values() if runner.failure is None]

    def _look_at_the_clocks(self, now: Now) -> None:
        irregular = self._watch.observe(now.at, now.mono, self._clock.real_ms())
        if irregular is None:
            return
        step_ms, since = irregular.step_ms, irregular.blind_since
        # the last reading before the gap, or the old clock's reading of now
        before = parsed(since) if since else now.at - step_ms
        mono = now.mono - (now.at - step_ms - before)
        for runner in self._running():
            runner.plan_over(before, mono, now.at)
            # the sleep before the step: so that one record tells of all that both have passed over (SPEC W5.2)
            if since:
                runner.take(Resumed(at=now.at, mono=now.mono, since=since))
            if step_ms:
                runner.take(ClockStepped(at=now.at, mono=now.mono, step_ms=step_ms))

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
        self.queue.wake()

    def _earliest(self) -> Deadline:
        deadlines = [deadline for runner in self._running() if (deadline := runner.core.next_deadline()) is not None]
        return Deadline(
            at=min((each.at for each in deadlines if each.at is not None), default=None),
            mono=min((each.mono for each in deadlines if each.mono is not None), default=None),
        )


def _sooner(wanted: int | None, armed: int | None) -> bool:
    return wanted is not None and (armed is None or wanted < armed)
