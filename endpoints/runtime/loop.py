"""The loop: the single consumer that owns every running link's state (group commit).

A turn: read the clocks, drain the queue, hand each item to its link, take what is due, append each link's batch with
one flush, perform its effects, then acknowledge and answer in order of arrival. A turn never awaits. It visits only the
links to which something happens, or for which something is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping

from endpoints.failpoints import failpoint
from endpoints.runtime.due_links import DueLinks
from endpoints.runtime.flushing import FlushAll, one_by_one
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.ports import ClockMonitor, ClockReader, Now, Timer
from endpoints.runtime.work_queue import WorkQueue
from protocol.core.events import ClockStepped, Resumed
from protocol.wire.instants import parsed
from protocol.wire.messages import Identifier

BATCH_MAX_ITEMS = 256
"""Items of one turn, which share a flush. With more, the first of them would wait while the last are verified."""
DUE_MAX_LINKS = 16
"""Links of one turn for which only something is due, such as a slot that all links have in common: as many as are
flushed at the same time. With more, a frame that arrives meanwhile would wait for them."""


class Loop:
    """Takes turns over the running links. All other code reaches them through the queue."""

    def __init__(
        self,
        runners: Mapping[str, AnyRunner],
        queue: WorkQueue,
        clock: ClockReader,
        monitor: ClockMonitor,
        timer: Timer,
        turned: Callable[[], None],
        flush_all: FlushAll = one_by_one,
    ) -> None:
        """Prepare the loop; no link has started yet.

        Args:
            runners: the runners by link. A runner that has failed may be replaced by another.
            queue: what has arrived.
            clock: read once a turn.
            monitor: notices steps of the wall clock, sleeps and stalls.
            timer: wakes the queue at the next deadline.
            turned: called after each turn: journals may have grown.
            flush_all: flushes the journals of one turn.
        """
        self.queue = queue
        self.started = asyncio.Event()
        """Set when the start of every link is on disk."""
        self._runners = runners
        self._clock = clock
        self._monitor = monitor
        self._timer = timer
        self._turned = turned
        self._flush_all = flush_all
        self._due = DueLinks()
        self._stopping = False

    def now(self) -> Now:
        """Return a reading of the clocks."""
        at, mono = self._clock.now()
        return Now(at, mono, self._clock.real_ms() // 1_000)

    async def run(self) -> None:
        """Start, take turns whenever the queue wakes, and shut down after `stop`. Raises UserError."""
        try:
            self.start()
            while True:
                await self.queue.woken()
                if self._stopping:
                    break
                self.turn()
            self.shut_down()
        finally:
            self._timer.cancel()

    @property
    def stopping(self) -> bool:
        """Whether `run` shuts down, or has."""
        return self._stopping

    def stop(self) -> None:
        """Make `run` shut down."""
        self._stopping = True
        self.queue.wake()

    def start(self) -> None:
        """Start every link, in one turn. Raises UserError, before the first record of any link."""
        now = self.now()
        # the start of a link on records of older rules writes a checkpoint at once
        for runner in self._running(self._runners):
            runner.check_link_file()
        for runner in self._running(self._runners):
            runner.start(now)
        self.turn(self._runners)
        failpoint("after_started")
        self.started.set()

    def settle(self) -> Now:
        """Take turns until nothing waits, and return the time of the last one.

        Until the caller awaits something, nothing arrives: no item in the queue refers to a runner.
        """
        now = self.turn()
        while len(self.queue):
            now = self.turn()
        return now

    def turn(self, links: Iterable[Identifier] = ()) -> Now:
        """Take one turn, arm the timer for the next deadline, and return the time of the turn.

        It visits `links`, and those for which there is something to do.
        """
        now = self.now()
        links = dict.fromkeys((*links, *self._check_clocks(now)))
        items = self.queue.drain(BATCH_MAX_ITEMS)
        failpoint("after_drain")
        for item in items:
            item.take(now)
        links |= dict.fromkeys(link for item in items for link in item.links)
        links |= dict.fromkeys((*self.queue.drain_links(), *self._due.take(now, DUE_MAX_LINKS)))
        for runner in self._running(links):
            runner.tick(now)
        self._commit(links, now)
        for runner in self._running(links):
            runner.perform(now)
        for item in items:
            item.settle()
        self._turned()
        self._schedule(links, now)
        return now

    def shut_down(self) -> None:
        """Take the turn that is due, and others until the queue is empty; then stop and close every link."""
        self.settle()
        now = self.now()
        for runner in self._running(self._runners):
            runner.stop(now)
        for runner in self._running(self._runners):
            runner.close(now)
        self._turned()

    def _running(self, links: Iterable[Identifier]) -> list[AnyRunner]:
        """Return the runners of those of the links that have not stopped."""
        return [runner for link in links if (runner := self._runners[link]).failure is None]

    def _commit(self, links: Iterable[Identifier], now: Now) -> None:
        """Append the batch of each link to its journal: one flush for each, and all of them together."""
        closed = [runner for runner in self._running(links) if runner.close_batch(now)]
        self._flush_all([runner.flush for runner in closed])
        for runner in closed:
            runner.settle(now)

    def _schedule(self, links: Iterable[Identifier], now: Now) -> None:
        """Schedule the links of a turn, and arm the timer. A link that has stopped is due no more."""
        for runner in self._running(links):
            self._due.schedule(runner.link, runner.next_tick)
        if self._due.any_due(now):
            # more than one turn takes
            self.queue.wake()
        self._timer.arm(self._due.deadline)

    def _check_clocks(self, now: Now) -> Collection[Identifier]:
        """Report a step, sleep or stall to every link; return the links."""
        irregular = self._monitor.observe(now.at, now.mono, self._clock.real_ms())
        if irregular is None:
            return ()
        step_ms, since = irregular.step_ms, irregular.blind_since
        # the last reading before the gap, or what the clock would show now without its step
        before = parsed(since) if since else now.at - step_ms
        mono = now.mono - (now.at - step_ms - before)
        for runner in self._running(self._runners):
            runner.plan_over(before, mono, now.at)
            # the sleep before the step, so that one record covers all that both have skipped (SPEC W5.2)
            if since:
                runner.take(Resumed(at=now.at, mono=now.mono, since=since))
            if step_ms:
                runner.take(ClockStepped(at=now.at, mono=now.mono, step_ms=step_ms))
        return self._runners.keys()
