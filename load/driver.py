"""Drives exchanges on the running event loop: begins each when it is due, and notes when it has finished.

The open model begins each exchange at its intended instant, whatever comes back. The closed model keeps a window of
them in flight. Latency counts from the intended instant, so a stall is not hidden.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterator

from msgspec import Struct

from endpoints.errors import UserError
from load.arrivals import SECOND_NS, window_at

Begin = Callable[[int], None]
"""Begins the exchange with this number; `Driver.finished` reports its end."""
ClockNs = Callable[[], int]
Told = Callable[[int], None]
"""Takes how many exchanges have finished."""

TELL_EVERY_S = 0.5
BEGUN_AT_ONCE = 64
"""Late exchanges that are begun before other callbacks of the loop run."""


class Slice(Struct, kw_only=True):
    """What one uninterrupted piece of a run measured, by number of the exchange.

    Attributes:
        begins_ns: when it began, by the clock that all processes share.
        ends_ns: when its last exchange finished, or the patience ended.
        intended_ns: the intended instant of each exchange.
        finished_ns: when it finished, 0 if it did not.
        warm: exchanges before this number are not measured.
        stopped: an interrupt ended it early.
    """

    begins_ns: int
    ends_ns: int
    intended_ns: list[int]
    finished_ns: list[int]
    warm: int = 0
    stopped: bool = False

    @property
    def unfinished(self) -> int:
        """The number of exchanges that did not finish."""
        return self.finished_ns.count(0)

    def latencies_ns(self) -> Iterator[tuple[int, int]]:
        """Yield the intended instant and the latency of each measured exchange that finished."""
        for intended, finished in zip(self.intended_ns[self.warm :], self.finished_ns[self.warm :], strict=True):
            if finished:
                yield intended, finished - intended


class Load(Struct, frozen=True, kw_only=True):
    """What a driver has to do.

    Attributes:
        offsets_ns: the open model's intended instants, from the beginning; empty for the closed model.
        window: exchanges in flight of the closed model, 0 for the open model.
        seconds: how long exchanges begin, warm-up included.
        warmup_s: how long exchanges are not measured at first.
        ramp_s: how long the window grows.
        count_max: no more exchanges than this begin.
        patience_s: how long the last ones may take.
    """

    offsets_ns: tuple[int, ...] = ()
    window: int = 0
    seconds: float
    warmup_s: float = 0.0
    ramp_s: float = 0.0
    count_max: int
    patience_s: float


class Driver:
    """One slice of a run. Its methods are called from the event loop."""

    def __init__(self, load: Load, begin: Begin, clock_ns: ClockNs, told: Told) -> None:
        """Prepare it; `run` begins the exchanges by calling `begin` with their numbers, from 0.

        `told` is called repeatedly with how many have finished.
        """
        self._load = load
        self._begin = begin
        self._clock_ns = clock_ns
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._intended = array("q")
        self._finished = array("q")
        self._pending = 0
        self._began_ns = 0
        self._issuing = True
        self._stopped = False
        self._failure: UserError | None = None
        self._quiet = asyncio.Event()
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    @property
    def begun(self) -> int:
        """The number of exchanges that have begun."""
        return len(self._intended)

    @property
    def done(self) -> int:
        """The number of exchanges that have finished."""
        return len(self._intended) - self._pending

    def finished(self, number: int, at_ns: int) -> None:
        """Note that an exchange has finished at `at_ns`; a second report of the same one is ignored."""
        if self._finished[number]:
            return
        self._finished[number] = at_ns
        self._pending -= 1
        if self._issuing and self._load.window:
            self._fill()
        elif not self._issuing and not self._pending:
            self._quiet.set()

    def fail(self, error: UserError) -> None:
        """End the run with an error, which `run` raises."""
        self._failure = self._failure or error
        self._end_issuing()
        self._quiet.set()

    def stop(self) -> None:
        """Begin no more exchanges; `run` returns when those in flight have finished."""
        self._stopped = True
        self._end_issuing()

    async def run(self) -> Slice:
        """Begin all exchanges and wait for the last. Raises UserError from `fail`."""
        self._began_ns = self._clock_ns()
        self._issue()
        telling = self._loop.create_task(self._tell())
        try:
            await self._quiet_within(self._load.seconds + self._load.patience_s)
        finally:
            telling.cancel()
        if self._failure is not None:
            raise self._failure
        warm_ns = self._began_ns + round(self._load.warmup_s * SECOND_NS)
        return Slice(
            begins_ns=self._began_ns,
            ends_ns=max(max(self._finished, default=0), self._began_ns),
            intended_ns=self._intended.tolist(),
            finished_ns=self._finished.tolist(),
            warm=sum(1 for each in self._intended if each < warm_ns),
            stopped=self._stopped,
        )

    async def _quiet_within(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._quiet.wait(), seconds)
        except TimeoutError:
            self._end_issuing()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            self._told(self.done)

    # --- beginning ------------------------------------------------------------------------------------------------

    def _issue(self) -> None:
        if not self._issuing:
            return
        if self._load.window:
            self._fill()
            if self._issuing:
                # the window grows during the ramp, and a peer that never answers must not keep the run
                self._timer = self._loop.call_later(0.05, self._issue)
            return
        self._issue_due()

    def _fill(self) -> None:
        now_ns = self._clock_ns()
        elapsed_s = (now_ns - self._began_ns) / SECOND_NS
        if elapsed_s >= self._load.seconds or self.begun >= self._load.count_max:
            self._end_issuing()
            return
        window = window_at(elapsed_s, self._load.window, self._load.ramp_s)
        while self._pending < window and self.begun < self._load.count_max and self._failure is None:
            self._one(self._clock_ns())

    def _issue_due(self) -> None:
        offsets = self._load.offsets_ns
        for _ in range(BEGUN_AT_ONCE):
            if not self._issuing:
                return
            if self.begun >= len(offsets):
                self._end_issuing()
                return
            intended_ns = self._began_ns + offsets[self.begun]
            wait_ns = intended_ns - self._clock_ns()
            if wait_ns > 0:
                self._timer = self._loop.call_later(wait_ns / SECOND_NS, self._issue_due)
                return
            self._one(intended_ns)
        self._timer = self._loop.call_soon(self._issue_due)

    def _one(self, intended_ns: int) -> None:
        number = self.begun
        self._intended.append(intended_ns)
        self._finished.append(0)
        self._pending += 1
        self._begin(number)

    def _end_issuing(self) -> None:
        self._issuing = False
        if self._timer is not None:
            self._timer.cancel()
        if not self._pending:
            self._quiet.set()
