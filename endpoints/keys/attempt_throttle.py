"""Slows down attempts to authenticate, by the user and the process that they come from, before a credential is checked.

A user whose processes tried a wrong credential within the last minute is *failing*:

- a process waits 1 s after its first wrong credential, twice as long after each further one, 30 s at most;
- the attempts of a failing user's processes are checked in order of arrival, one a second;
- one of two lanes for checks is kept for users who are not failing, so none of this makes them wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.wire.instants import Millis

FIRST_PAUSE_MS: Millis = 1_000
LONGEST_PAUSE_MS: Millis = 30_000
"""How long a process waits after its first wrong credential, and at most."""
PACE_MS: Millis = 1_000
"""The least time between two checks for a failing user: a new process does not buy a guesser more."""
FAILING_FOR_MS: Millis = 60_000
FORGOTTEN_AFTER_MS: Millis = 600_000
"""After this time without a wrong credential, a process's pauses begin anew."""
QUEUED_MAX = 16
"""Attempts of a failing user that wait for their turn: the last of them is checked within `PATIENCE_S`."""
PAUSED_MAX = 8
"""Processes of one user that wait for the end of their pause, each with one attempt."""
PATIENCE_S = 20.0
"""The longest wait for a check; clients give up after 30 s."""
SOURCES_MAX = 64
PROCESSES_MAX = 64
OTHERS = "others"
"""Stands for all further users while `SOURCES_MAX` of them have tried wrong credentials."""
LOOK_S = 1.0


class Caller(NamedTuple):
    """Where a request comes from: the user at the control socket (`uid-1000`), and which of their processes."""

    source: str
    process: int


Abandoned = Callable[[], Awaitable[bool]]
"""Returns whether nobody waits for the answer any more."""


class Attempt:
    """One check of a credential; the throttle assumes success unless `failed` is called."""

    def __init__(self, source: str, failed: Callable[[], None]) -> None:
        self.source = source
        """The source under which a failure is counted."""
        self.failed = failed


class _Failures(NamedTuple):
    """The wrong credentials of one process, and until when it waits."""

    times: int
    until: Millis


class _Source:
    """What is known of one user: turns are taken one at a time, in order of arrival."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.turn = asyncio.Lock()
        self.failed_at: Millis | None = None
        self.next_at: Millis = 0
        self.queued = 0
        self.paused: set[int] = set()
        # bounded: PROCESSES_MAX, the process that failed least recently is forgotten
        self.failures: dict[int, _Failures] = {}

    def failing(self, now: Millis) -> bool:
        """Return whether a wrong credential came from here within the last minute."""
        return self.failed_at is not None and now - self.failed_at < FAILING_FOR_MS

    def idle(self, now: Millis) -> bool:
        """Return whether there is nothing to remember."""
        forgotten = self.failed_at is None or now - self.failed_at >= FORGOTTEN_AFTER_MS
        return forgotten and not self.queued and not self.paused and not self.turn.locked()

    def paused_until(self, process: int) -> Millis:
        """Return when the pause of `process` ends."""
        return self.failures[process].until if process in self.failures else 0

    def fail(self, process: int, now: Millis) -> None:
        """Count a wrong credential."""
        before = self.failures.pop(process, _Failures(0, now))
        times = 1 if now - before.until >= FORGOTTEN_AFTER_MS else before.times + 1
        pause = min(FIRST_PAUSE_MS << min(times - 1, 8), LONGEST_PAUSE_MS)
        self.failures[process] = _Failures(times, now + pause)
        if len(self.failures) > PROCESSES_MAX:
            del self.failures[next(iter(self.failures))]
        self.failed_at = now


class AttemptThrottle:
    """Admits attempts one by one. `real_ms` reads the machine's monotonic clock."""

    def __init__(self, real_ms: Callable[[], Millis]) -> None:
        self._real_ms = real_ms
        # bounded by SOURCES_MAX, and one for all others
        self._sources: dict[str, _Source] = {}
        self._clean_lane, self._failing_lane = asyncio.Semaphore(1), asyncio.Semaphore(1)

    @asynccontextmanager
    async def turn(self, caller: Caller, abandoned: Abandoned) -> AsyncIterator[Attempt]:
        """Wait for the caller's turn; the check belongs into the body.

        Raises LocalProtocolError: `throttled` if too many wait already or the turn does not come within `PATIENCE_S`,
        `stopping` if `abandoned` meanwhile.
        """
        source = self._source(caller.source)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._admit(source, caller.process, abandoned)
        except TimeoutError:
            raise _throttled(source) from None
        try:
            failing = source.failing(self._real_ms())
            async with self._failing_lane if failing else self._clean_lane:
                yield Attempt(source.name, lambda: source.fail(caller.process, self._real_ms()))
        finally:
            source.next_at = self._real_ms() + PACE_MS
            source.turn.release()

    async def _admit(self, source: _Source, process: int, abandoned: Abandoned) -> None:
        """Wait for the end of the process's pause and for its turn; return with `source.turn` acquired."""
        while True:
            if self._real_ms() < source.paused_until(process):
                await self._sit_out(source, process, abandoned)
            if source.failing(self._real_ms()) and source.queued >= QUEUED_MAX:
                raise _throttled(source)
            source.queued += 1
            try:
                await source.turn.acquire()
                try:
                    if source.failing(self._real_ms()):
                        await self._wait(lambda: source.next_at, abandoned)
                    if self._real_ms() >= source.paused_until(process):
                        return
                    # another attempt of this process failed meanwhile
                    source.turn.release()
                except BaseException:
                    source.turn.release()
                    raise
            finally:
                source.queued -= 1

    async def _sit_out(self, source: _Source, process: int, abandoned: Abandoned) -> None:
        if process in source.paused or len(source.paused) >= PAUSED_MAX:
            raise _throttled(source)
        source.paused.add(process)
        try:
            await self._wait(lambda: source.paused_until(process), abandoned)
        finally:
            source.paused.discard(process)

    async def _wait(self, until: Callable[[], Millis], abandoned: Abandoned) -> None:
        while True:
            if await abandoned():
                raise LocalProtocolError(
                    "stopping", phrase("nobody waits for this request any more, so it was not carried out")
                )
            left_ms = until() - self._real_ms()
            if left_ms <= 0:
                return
            await asyncio.sleep(min(left_ms / 1_000, LOOK_S))

    def _source(self, name: str) -> _Source:
        now = self._real_ms()
        if name not in self._sources:
            for known in [each.name for each in self._sources.values() if each.idle(now)]:
                del self._sources[known]
            if len(self._sources) >= SOURCES_MAX:
                name = OTHERS
        return self._sources.setdefault(name, _Source(name))


def _throttled(source: _Source) -> LocalProtocolError:
    return LocalProtocolError(
        "throttled",
        phrase(
            "too many wrong credentials were tried by {name}; repeat the command in half a minute", name=source.name
        ),
    )
