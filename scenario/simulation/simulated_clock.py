"""Simulates a machine's clocks, and the timer and clock monitor of the loop that runs on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from endpoints.clocks.clock import ClockWatch, Irregularity
from protocol.core.deadlines import Deadline
from protocol.wire.instants import Millis
from scenario.simulation.agenda import Agenda

BOOT_MS: Millis = 20_000
"""What the monotonic clock shows when the endpoint starts after its machine."""
_TICK_MS: Millis = 1_000
"""The service's loop reads its clocks at least this often."""


class SimulatedClock:
    """A machine's wall clock, which can be set, and its monotonic clock, which restarts at a boot."""

    def __init__(self, agenda: Agenda) -> None:
        self.skew: Millis = 0
        """How far the wall clock is ahead of true time."""
        self._agenda = agenda
        # the true instant at which the monotonic clock showed 0
        self._boot: Millis = agenda.now - BOOT_MS

    def now(self) -> tuple[Millis, Millis]:
        """Return `(at, mono)`."""
        return self._agenda.now + self.skew, self._agenda.now - self._boot

    def real_ms(self) -> Millis:
        """Return `mono`: the simulation has no exercise clock."""
        return self._agenda.now - self._boot

    def step(self, step_ms: Millis) -> None:
        """Set the wall clock ahead by `step_ms`, or back."""
        self.skew += step_ms

    def boot(self, delay: Millis) -> None:
        """Restart the monotonic clock with the machine, whose endpoint starts in `delay` ms."""
        self._boot = self._agenda.now + delay - BOOT_MS

    def finish_boot(self) -> None:
        """Complete a boot that is under way."""
        self._boot = min(self._boot, self._agenda.now - BOOT_MS)

    def true_instant(self, deadline: Deadline) -> Millis | None:
        """Return the true instant at which either clock reaches `deadline`, None if it names neither."""
        instants = [
            *([] if deadline.at is None else [deadline.at - self.skew]),
            *([] if deadline.mono is None else [deadline.mono + self._boot]),
        ]
        return min(instants, default=None)


class SkippedTicks:
    """Monitors the clocks like `ClockWatch`, without the turns in which the loop finds nothing to do.

    The service's loop reads the clocks every second. The simulated loop takes a turn only when something is due. Each
    reading is therefore compared with one of a second before, unless `look` announced a change of the clocks.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._watch = ClockWatch(*clock.now(), clock.real_ms())
        self._changing = False

    def look(self) -> None:
        """Read the clocks now, because they will be irregular at the next turn."""
        self._watch.observe(*self._clock.now(), self._clock.real_ms())
        self._changing = True

    def observe(self, at: Millis, mono: Millis, real_ms: Millis) -> Irregularity | None:
        """Take a reading; return the step, sleep or stall since the last one, None if there was none."""
        if not self._changing:
            self._watch.observe(at - _TICK_MS, mono - _TICK_MS, real_ms - _TICK_MS)
        self._changing = False
        return self._watch.observe(at, mono, real_ms)


class AgendaTimer:
    """Wakes a simulated loop through the agenda, at its deadline or sooner."""

    def __init__(self, agenda: Agenda, clock: SimulatedClock, woken: Callable[[], None]) -> None:
        self._agenda = agenda
        self._clock = clock
        self._woken = woken
        self._next: Millis | None = None
        # the instants for which the agenda holds a wake-up
        self._scheduled: set[Millis] = set()
        self._cancelled = False

    def arm(self, deadline: Deadline) -> None:
        """Wake when a clock of the machine reaches `deadline`."""
        instant = self._clock.true_instant(deadline)
        if instant is not None:
            self.wake_at(max(instant, self._agenda.now))

    def wake_at(self, instant: Millis) -> None:
        """Wake at the true instant `instant`, unless an earlier one is set."""
        if self._next is not None and instant >= self._next:
            return
        self._next = instant
        if instant not in self._scheduled:
            self._scheduled.add(instant)
            self._agenda.at(instant, partial(self._due, instant))

    def disarm(self) -> None:
        """Forget the instant: the clocks reach the deadline at another one now."""
        self._next = None

    def cancel(self) -> None:
        """Stop waking: the process has ended."""
        self._cancelled = True

    def _due(self, instant: Millis) -> None:
        if self._cancelled:
            return
        self._scheduled.discard(instant)
        if self._next == instant:
            self._next = None
            self._woken()
