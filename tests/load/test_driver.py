import asyncio
from collections.abc import Callable

import pytest

from endpoints.clocks.clock import SystemClock
from endpoints.errors import UserError
from load.driver import Driver, Load, Slice

CLOCK_NS = SystemClock().precise_ns


async def driven(load: Load, begin: Callable[[Driver, int], None]) -> Slice:
    """Run a driver whose exchanges `begin` begins."""
    driver = Driver(load, lambda number: begin(driver, number), CLOCK_NS, lambda _: None)
    return await driver.run()


def at_once(driver: Driver, number: int) -> None:
    asyncio.get_running_loop().call_soon(driver.finished, number, CLOCK_NS())


def never(_driver: Driver, _number: int) -> None:
    """Begin an exchange that does not finish."""


async def test_the_open_model_begins_every_exchange_although_none_finishes() -> None:
    times = await driven(Load(offsets_ns=(0, 10, 20), seconds=0.01, count_max=3, patience_s=0.01), never)

    assert [each - times.begins_ns for each in times.intended_ns] == [0, 10, 20]
    assert times.unfinished == 3
    assert list(times.latencies_ns()) == []


async def test_latency_counts_from_the_intended_instant() -> None:
    def late(driver: Driver, number: int) -> None:
        if number == 0:
            # nobody can begin the second one at its instant
            asyncio.get_running_loop().call_soon(stall)
        at_once(driver, number)

    def stall() -> None:
        began = CLOCK_NS()
        while CLOCK_NS() - began < 5_000_000:
            pass

    times = await driven(Load(offsets_ns=(0, 1_000), seconds=0.1, count_max=2, patience_s=5), late)

    assert all(latency >= 0 for _, latency in times.latencies_ns())
    assert times.intended_ns[1] - times.intended_ns[0] == 1_000


async def test_the_closed_model_keeps_its_window_and_begins_no_more_than_its_limit() -> None:
    pending, most = set[int](), 0

    def begin(driver: Driver, number: int) -> None:
        nonlocal most
        pending.add(number)
        most = max(most, len(pending))

        def finish() -> None:
            pending.discard(number)
            driver.finished(number, CLOCK_NS())

        asyncio.get_running_loop().call_soon(finish)

    times = await driven(Load(window=4, seconds=5, count_max=100, patience_s=5), begin)

    assert len(times.intended_ns) == 100
    assert times.unfinished == 0
    assert most == 4


async def test_the_closed_model_ends_although_nothing_finishes() -> None:
    times = await driven(Load(window=2, seconds=0.02, count_max=100, patience_s=0.02), never)

    assert len(times.intended_ns) == times.unfinished == 2


async def test_exchanges_of_the_warm_up_are_not_measured() -> None:
    offsets_ns = (0, 1_000_000, 20_000_000)
    times = await driven(Load(offsets_ns=offsets_ns, seconds=1, warmup_s=0.01, count_max=3, patience_s=5), at_once)

    assert times.warm == 2
    assert len(list(times.latencies_ns())) == 1


async def test_a_stop_waits_for_what_is_in_flight() -> None:
    def begin(driver: Driver, number: int) -> None:
        if number == 9:
            driver.stop()
        at_once(driver, number)

    times = await driven(Load(window=1, seconds=60, count_max=1_000, patience_s=5), begin)

    assert times.stopped
    assert len(times.intended_ns) == 10
    assert times.unfinished == 0


async def test_a_failure_ends_the_run() -> None:
    def begin(driver: Driver, _number: int) -> None:
        driver.fail(UserError("the outbox is full"))

    with pytest.raises(UserError, match="the outbox is full"):
        await driven(Load(window=8, seconds=60, count_max=1_000, patience_s=5), begin)
