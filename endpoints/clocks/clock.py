"""The only reader of time: the machine's clocks, or an exercise's.

`at` is the wall clock (ms since 1970, UTC); `mono` never steps and counts through the machine's sleep (ms). Both run
together, with the exercise when there is one; `real_ms` is the machine's own, whatever is exercised.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from endpoints.clocks.exercise_table import ExerciseTable
from protocol.wire.instants import Millis, written

TICK_S = 1.0
"""No wait is longer (real time): so a step of the wall clock, or the machine's sleep, is noticed within a second."""
REREAD_S = 0.2
"""A wait on an exercise's clock looks at the player's table at least that often (real time)."""
STEP_TOLERANCE_MS = 500
"""Wall and monotonic clock are disciplined alike; they part by more than this only when somebody set the wall clock."""
STALL_MS = 5_000
"""A service that ticks every second and was not there for this long has been blind."""


class Clock(Protocol):
    """What the shells know of time."""

    def now(self) -> tuple[Millis, Millis]:
        """Return `(at, mono)`."""
        ...

    def real_ms(self) -> Millis:
        """Return the machine's own `mono`, which runs at its own pace during an exercise too."""
        ...

    async def wait_until(self, at: Millis | None, mono: Millis | None) -> None:
        """Return when either instant is reached, and after a second of real time at the latest: look again."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> tuple[Millis, Millis]:
        """Return `(at, mono)`."""
        return time.time_ns() // 1_000_000, self.real_ms()

    def real_ms(self) -> Millis:
        """Return `mono`."""
        return _boot_ms()

    async def wait_until(self, at: Millis | None, mono: Millis | None) -> None:
        """Return when either instant is reached, and after `TICK_S` at the latest."""
        now_at, now_mono = self.now()
        await asyncio.sleep(_wait_s(at, mono, now_at, now_mono, rate=1.0))


class ExerciseClock:
    """The time that an exercise's player writes into a table: `mono` runs with the exercise, from its beginning.

    It never runs backwards, whatever the table says. Raises UserError if there is no such table.
    """

    def __init__(self, table: Path) -> None:
        self._path = table
        self._table = ExerciseTable.read(table)
        self._stamp = self._table.stamp
        self._last = self._table.exercise_at(_boot_ms())

    def now(self) -> tuple[Millis, Millis]:
        """Return `(at, mono)` of the exercise."""
        self._reread()
        self._last = max(self._last, self._table.exercise_at(_boot_ms()))
        return self._last, self._last - self._table.starts_at

    def real_ms(self) -> Millis:
        """Return the machine's own monotonic time."""
        return _boot_ms()

    async def wait_until(self, at: Millis | None, mono: Millis | None) -> None:
        """Return when either instant of the exercise is reached, and after `TICK_S` of real time at the latest."""
        end = _boot_ms() + int(TICK_S * 1_000)
        targets = [each for each in (at, None if mono is None else mono + self._table.starts_at) if each is not None]
        target = min(targets, default=None)
        while (real := _boot_ms()) < end:
            now, _ = self.now()
            if target is not None and now >= target:
                return
            due = None if target is None else self._table.real_at(target)
            wait_ms = end - real if due is None else min(end, due) - real
            await asyncio.sleep(min(REREAD_S, max(wait_ms, 1) / 1_000))

    def _reread(self) -> None:
        # the player replaces the file in one step; once it is gone, the last table stands
        stamp = ExerciseTable.stamp_of(self._path)
        if stamp is not None and stamp != self._stamp:
            self._table = ExerciseTable.read(self._path)
            self._stamp = stamp


def clock(exercise: Path | None) -> Clock:
    """Return the exercise's clock where the settings name one, else the machine's. Raises UserError."""
    return SystemClock() if exercise is None else ExerciseClock(exercise)


class Irregularity(Struct, frozen=True):
    """What `ClockWatch` noticed between two readings.

    Attributes:
        step_ms: how far the wall clock moved against the monotonic one (forward positive); 0 if it did not.
        blind_since: the instant of the reading before a sleep or stall, in its written form; empty if there was none.
    """

    step_ms: int
    blind_since: str


class ClockWatch:
    """Compares successive readings of the clocks; a pure value machine, for the service and for tests."""

    def __init__(self, at: Millis, mono: Millis, real_ms: Millis) -> None:
        self._at = at
        self._real_ms = real_ms
        self._offset = at - mono

    def observe(self, at: Millis, mono: Millis, real_ms: Millis) -> Irregularity | None:
        """Take a reading; return what is irregular about it, if anything is.

        A change of an exercise's rate is no step: wall and monotonic clock change together. A stall is measured in real
        time, so an hour of an exercise that passes in two seconds is none. Small steps add up.
        """
        step_ms = at - mono - self._offset
        stalled = real_ms - self._real_ms >= STALL_MS
        since = self._at
        self._at, self._real_ms = at, real_ms
        if abs(step_ms) <= STEP_TOLERANCE_MS:
            step_ms = 0
        self._offset += step_ms
        if not step_ms and not stalled:
            return None
        return Irregularity(step_ms=step_ms, blind_since=written(since) if stalled else "")


def _boot_ms() -> Millis:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def _wait_s(at: Millis | None, mono: Millis | None, now_at: Millis, now_mono: Millis, *, rate: float) -> float:
    waits = [TICK_S]
    if at is not None:
        waits.append((at - now_at) / 1_000 / rate)
    if mono is not None:
        waits.append((mono - now_mono) / 1_000 / rate)
    return max(0.0, min(waits))
