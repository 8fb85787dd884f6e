"""Measures a yardstick over the broker of a stack; checks that the skeleton is lean enough to compare with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median

from msgspec import Struct

from load.arrivals import SECOND_NS
from load.channel import EndRun, Ran, RunYardstick
from load.child import Child
from load.driver import Load, Slice, Told
from load.histogram import Latencies
from load.measuring import Repeat
from load.plan import PATIENCE_S, LoadPlan
from load.processes import between, used_us
from load.yardsticks.client import RECEIVER, SENDER

NAMES = ("floor", "paho", "aiomqtt", "skeleton")
COUNT_MAX = 2_000_000
"""Exchanges of one repeat: their times are kept in memory."""
LEAN_P50_MAX, LEAN_RATE_MIN = 4.5, 1.2
"""What the skeleton must reach without its flush, as ratios to the floor: one at a time, and 64 in flight."""
_CHECKS = 3
_CHECK_S = 0.5
_WINDOW = 64
_MODULE = "load.yardsticks.process"


class YardstickBroker(Struct, frozen=True, kw_only=True):
    """The broker of the yardsticks.

    Attributes:
        port: on this machine.
        authority: the certificate of its authority.
        tls: the folder of each identity's certificate.
        folder: a folder on the disk that the journals lie on.
        broker: its process.
    """

    port: int
    authority: Path
    tls: Mapping[str, Path]
    folder: Path
    broker: int


class YardstickSubject:
    """One yardstick: its two processes run only while it is measured, so that the next one has the machine."""

    def __init__(self, name: str, place: YardstickBroker, size_bytes: int) -> None:
        self.name = name
        self._place = place
        self._size_bytes = size_bytes
        self._sender: Child | None = None

    async def measure(self, plan: LoadPlan, number: int, told: Told) -> Repeat:
        """Measure repeat `number`. Raises UserError."""
        (load,) = plan.loads(number, COUNT_MAX)
        repeat = Repeat(latencies=Latencies(), cpu_us={})
        async with self.running() as (sender, pids):
            before = used_us(pids)
            times = await self.exchange(sender, load, told)
            repeat.take(times, load, between(before, used_us(pids)))
        return repeat

    def stop(self) -> None:
        """Begin no more exchanges."""
        if self._sender is not None:
            self._sender.tell(EndRun())

    async def exchange(self, sender: Child, load: Load, told: Told, *, flush: bool = True) -> Slice:
        """Run a slice."""
        ran = await sender.ask(RunYardstick(load, self._size_bytes, flush), told)
        assert isinstance(ran, Ran), "RunYardstick is answered with Ran"
        return ran.slice

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Child, dict[str, int]]]:
        """Start both processes; yield the sending one, and the processes by name."""
        place = self._place
        async with AsyncExitStack() as stack:
            children = []
            for identity in (RECEIVER, SENDER):
                arguments = [self.name, identity, str(place.port), str(place.authority), str(place.tls[identity])]
                errors = place.folder / f"{identity}.errors"
                child = await Child.start(identity, _MODULE, [*arguments, str(place.folder)], errors)
                stack.push_async_callback(child.stop)
                await child.serving()
                children.append(child)
            receiver, self._sender = children
            try:
                yield self._sender, {"sender": self._sender.pid, "receiver": receiver.pid, "broker": place.broker}
            finally:
                self._sender = None


class SkeletonCheck(Struct, frozen=True, kw_only=True):
    """The skeleton without its flush beside the floor.

    Attributes:
        p50_ratio: of latencies, one at a time.
        rate_ratio: of rates, with 64 in flight.
        counts: both are good enough, so ratios to the skeleton count.
    """

    p50_ratio: float
    rate_ratio: float
    counts: bool


async def check_skeleton(place: YardstickBroker, size_bytes: int) -> SkeletonCheck:
    """Measure the skeleton without its flush and the floor, alternating, and return the check. Raises UserError."""
    floor, skeleton = (YardstickSubject(name, place, size_bytes) for name in ("floor", "skeleton"))
    p50s: list[float] = []
    rates: list[float] = []
    for _ in range(_CHECKS):
        floor_p50, floor_rate = await _quick(floor)
        p50, rate = await _quick(skeleton)
        p50s.append(p50 / floor_p50)
        rates.append(rate / floor_rate)
    p50_ratio, rate_ratio = round(median(p50s), 2), round(median(rates), 2)
    return SkeletonCheck(
        p50_ratio=p50_ratio, rate_ratio=rate_ratio, counts=p50_ratio <= LEAN_P50_MAX and rate_ratio >= LEAN_RATE_MIN
    )


async def _quick(subject: YardstickSubject) -> tuple[float, float]:
    """Return the p50 one at a time (ms) and the rate with 64 in flight (per s), without flushes."""
    async with subject.running() as (sender, _):
        alone = await subject.exchange(sender, _load(1), _ignore, flush=False)
        many = await subject.exchange(sender, _load(_WINDOW), _ignore, flush=False)
    p50_ms = Latencies(latency for _, latency in alone.latencies_ns()).ms(50)
    seconds = (many.ends_ns - many.begins_ns) / SECOND_NS
    return max(p50_ms, 1e-3), max(len(many.intended_ns) / seconds if seconds else 0.0, 1e-3)


def _load(window: int) -> Load:
    return Load(window=window, seconds=_CHECK_S, count_max=COUNT_MAX, patience_s=PATIENCE_S)


def _ignore(_done: int) -> None:
    """Take progress that nobody looks at."""
