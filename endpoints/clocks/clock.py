"""Reads the clocks: the machine's, or an exercise's. No other module does.

`at` is the wall clock (ms since 1970, UTC). `mono` is monotonic and counts through the machine's sleep (ms). During an
exercise both run on the exercise's time; `real_ms` always reads the machine's own monotonic clock.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from endpoints.clocks.exercise_table import ExerciseTable
from protocol.wire.instants import Millis, written

TICK_S = 1.0
"""The longest wait, in real time: a step of the wall clock, or the machine's sleep, is noticed within a second."""
REREAD_S = 0.2
"""How often a wait on an exercise's clock reads the player's table again, in real time."""
STEP_TOLERANCE_MS = 500
"""NTP disciplines both clocks alike; they differ by more than this only after the wall clock was set."""
STALL_MS = 5_000
"""A service that did not tick for this long, although it should every second, was blind."""


class Clock(Protocol):
    """The time, as everything outside the core reads it."""

    def now(self) -> tuple[Millis, Millis]:
        """Return `(at, mono)`."""
        ...

    def real_ms(self) -> Millis:
        """Return the machine's own monotonic time (ms), during an exercise too."""
        ...

    def rate(self) -> int:
        """Return how many times as fast as real time `now` runs at this moment: 0 while an exercise stands still."""
        ...

    async def wait_until(self, at: Millis | None, mono: Millis | None) -> None:
        """Wait until either instant is reached, `TICK_S` of real time at most; the caller checks the clock again."""
        ...


class SystemClock:
    """The machine's clocks."""

    def precise_ns(self) -> int:
        """Return a monotonic time (ns) that all processes of this machine share: for measurements."""
        return time.monotonic_ns()

    def now(self) -> tuple[Millis, Millis]:
        """Return `(at, mono)`."""
        return time.time_ns() // 1_000_000, self.real_ms()

    def real_ms(self) -> Millis:
        """Return the machine's monotonic time (ms)."""
        return _boot_ms()

    def rate(self) -> int:
        """Return 1."""
        return 1

    async def wait_until(self, at: Millis | None, mono: Millis | None) -> None:
        """Wait until either instant is reached, `TICK_S` at most."""
        now_at, now_mono = self.now()
        await _sleep(_wait_s(at, mono, now_at, now_mono, rate=1.0))


class ExerciseClock:
    """The time of an exercise, which its player writes into a table. `mono` counts from the exercise's beginning.

    It never runs backwards, whatever the table contains. Raises UserError if the table does not exist.
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
        """Return the machine's monotonic time (ms)."""
        return _boot_ms()

    def rate(self) -> int:
        """Return the present rate of the exercise."""
        self._reread()
        return self._table.rate_at(_boot_ms())

    async def wait_until(self, at: Millis | None, mono: Millis | None) -> None:
        """Wait until either instant of the exercise is reached, `TICK_S` of real time at most."""
        end = _boot_ms() + int(TICK_S * 1_000)
        targets = [each for each in (at, None if mono is None else mono + self._table.starts_at) if each is not None]
        target = min(targets, default=None)
        while (real := _boot_ms()) < end:
            now, _ = self.now()
            if target is not None and now >= target:
                return
            due = None if target is None else self._table.real_at(target)
            wait_ms = end - real if due is None else min(end, due) - real
            await _sleep(min(REREAD_S, max(wait_ms, 1) / 1_000))

    def _reread(self) -> None:
        # the player replaces the file atomically; after it is deleted, the last table remains valid
        stamp = ExerciseTable.stamp_of(self._path)
        if stamp is not None and stamp != self._stamp:
            self._table = ExerciseTable.read(self._path)
            self._stamp = stamp


def clock(exercise: Path | None) -> Clock:
    """Return the clock of the exercise table `exercise`, or the machine's if it is None. Raises UserError."""
    return SystemClock() if exercise is None else ExerciseClock(exercise)


class Irregularity(Struct, frozen=True):
    """A step of the wall clock, or a pause, between two readings.

    Attributes:
        step_ms: how far the wall clock moved against the monotonic clock (forward is positive); 0 if it did not.
        blind_since: the instant of the reading before a sleep or stall, as RFC 3339; empty if there was none.
    """

    step_ms: int
    blind_since: str


class ClockWatch:
    """Compares successive readings of the clocks, which it takes as arguments."""

    def __init__(self, at: Millis, mono: Millis, real_ms: Millis) -> None:
        self._at = at
        self._real_ms = real_ms
        self._offset = at - mono

    def observe(self, at: Millis, mono: Millis, real_ms: Millis) -> Irregularity | None:
        """Compare a reading with the one before; return what is irregular about it, or None.

        A changed rate of an exercise is not a step, since both clocks change together. A stall is measured in real
        time, so an hour of an exercise that passes in two seconds is not one. Small steps add up.
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


async def _sleep(seconds: float) -> None:
    import asyncio  # noqa: PLC0415 - `status` and other commands read a clock and never wait

    await asyncio.sleep(seconds)
