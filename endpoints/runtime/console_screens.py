"""Knows how many screens of consoles show this process and can sound, and reports to its links if nobody would hear.

A console reports it every few seconds. One that is silent for a while has crashed: its screens are gone, and it is
still expected. One that ends in order reports that it closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from msgspec import Struct

from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.ports import Now
from endpoints.runtime.work_queue import WorkQueue
from protocol.core.alarms import AlarmCode
from protocol.core.environment import CONSOLE
from protocol.core.events import ListenersBack, ListenersMissing
from protocol.wire.instants import Millis
from protocol.wire.messages import Identifier

LAPSES_MS: Millis = 30_000
"""After this time without a report, a console has no screens."""
MISSING_AFTER_MS: Millis = 120_000
"""How long no screen may have its sound on before that is an alarm: long enough to open the console anew."""
CONSOLES_MAX = 16
"""Consoles that are remembered; with more, the one that was silent the longest is forgotten."""
LOOKS_EVERY_S = 2.0


class ConsoleCounts(Struct, frozen=True):
    """What one console shows, or all of them: sessions of browsers, screens, and screens whose sound is on."""

    sessions: int = 0
    screens: int = 0
    armed: int = 0


class _Console(Struct, frozen=True):
    counts: ConsoleCounts
    told_ms: Millis


class ConsoleScreens:
    """The consoles that show the links of one process."""

    def __init__(
        self, runners: Mapping[str, AnyRunner], queue: WorkQueue, real_ms: Callable[[], Millis], *, configured: bool
    ) -> None:
        """Report to `runners` through the loop's `queue`.

        Args:
            runners: the running links.
            queue: the loop's.
            real_ms: reads the machine's monotonic clock.
            configured: whether the settings have a console, so that one is expected.
        """
        self._runners = runners
        self._queue = queue
        self._real_ms = real_ms
        self._configured = configured
        # the one that was silent the longest first
        self._consoles: dict[str, _Console] = {}
        self._silent_since: Millis | None = None

    def told(self, console: str, counts: ConsoleCounts, *, closing: bool) -> None:
        """Take what a console says; one that is `closing` is not expected any more."""
        self._consoles.pop(console, None)
        if not closing:
            self._consoles[console] = _Console(counts, self._real_ms())
        if len(self._consoles) > CONSOLES_MAX:
            del self._consoles[next(iter(self._consoles))]
        self.compare()

    @property
    def counts(self) -> ConsoleCounts:
        """The sum over all consoles that have said something lately."""
        now = self._real_ms()
        alive = [each.counts for each in self._consoles.values() if now - each.told_ms < LAPSES_MS]
        return ConsoleCounts(
            sessions=sum(each.sessions for each in alive),
            screens=sum(each.screens for each in alive),
            armed=sum(each.armed for each in alive),
        )

    async def run(self) -> None:
        """Compare again and again, until cancelled."""
        while True:
            self.compare()
            await asyncio.sleep(LOOKS_EVERY_S)

    def compare(self) -> None:
        """Report to the links whose alarm differs from what is known."""
        missing = self._missing()
        if missing is not None and any(_differs(runner, missing=missing) for runner in self._runners.values()):
            self._queue.push(_ListenersItem(self._runners, missing=missing))

    def _missing(self) -> bool | None:
        """Return whether nobody would hear an alarm; None while that is not for long."""
        if self.counts.armed or not (self._configured or self._consoles):
            self._silent_since = None
            return False
        now = self._real_ms()
        self._silent_since = now if self._silent_since is None else self._silent_since
        return True if now - self._silent_since >= MISSING_AFTER_MS else None


class _ListenersItem:
    """Whether nobody would hear an alarm."""

    def __init__(self, runners: Mapping[str, AnyRunner], *, missing: bool) -> None:
        self._runners = runners
        self._missing = missing

    @property
    def links(self) -> Collection[Identifier]:
        """Every link."""
        return self._runners.keys()

    def take(self, now: Now) -> None:
        """Report it to each link that has not stopped and does not know it yet."""
        kind = ListenersMissing if self._missing else ListenersBack
        for runner in self._runners.values():
            if _differs(runner, missing=self._missing):
                runner.take(kind(at=now.at, mono=now.mono))

    def settle(self) -> None:
        """Do nothing: nobody waits for it."""


def _differs(runner: AnyRunner, *, missing: bool) -> bool:
    """Return whether a link that has not stopped has another alarm than `missing` asks for."""
    return runner.failure is None and runner.core.active_alarm(AlarmCode.NOBODY_LISTENING, CONSOLE) != missing
