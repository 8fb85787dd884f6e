"""Garbage is collected while nothing waits, and all the same in a process that is never idle."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

from endpoints.runtime.memory_upkeep import MemoryUpkeep
from endpoints.runtime.ports import Now
from endpoints.runtime.work_queue import WorkQueue

DEADLINE_S = 10.0
LOOK_S = 0.001
LONG_S = 3_600.0


class Nothing:
    """A work item that does nothing."""

    links: tuple[str, ...] = ()

    def take(self, now: Now) -> None:
        del now

    def settle(self) -> None:
        pass


class Node:
    """Refers to itself: only a collection frees it."""

    def __init__(self) -> None:
        self.itself = self


def work(queue: WorkQueue) -> None:
    queue.put(Nothing())
    queue.drain(1)


async def collected(upkeep: MemoryUpkeep, meanwhile: Callable[[], None]) -> bool:
    """Return whether an old object that refers to itself is freed; call `meanwhile` at each look."""
    thresholds = gc.get_threshold()
    running = asyncio.create_task(upkeep.run())
    await asyncio.sleep(0)
    gone = asyncio.Event()
    node = Node()
    weakref.finalize(node, gone.set)
    # it has survived the young generations
    gc.collect(1)
    del node
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not gone.is_set():
                meanwhile()
                await asyncio.sleep(LOOK_S)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert gc.get_threshold() == thresholds
    return gone.is_set()


async def test_all_objects_are_collected_in_the_first_pause_after_work() -> None:
    queue = WorkQueue()
    worked = iter([True])
    assert await collected(
        MemoryUpkeep(queue, idle_s=0.05, busy_s=LONG_S), lambda: work(queue) if next(worked, False) else None
    )


async def test_a_process_that_is_never_idle_collects_too() -> None:
    queue = WorkQueue()
    assert await collected(MemoryUpkeep(queue, idle_s=0.02, busy_s=0.1), lambda: work(queue))


async def test_what_a_start_leaves_behind_is_looked_at_once_in_the_first_pause() -> None:
    frozen = gc.get_freeze_count()
    running = asyncio.create_task(MemoryUpkeep(WorkQueue(), idle_s=0.02).run())
    await asyncio.sleep(0)
    assert gc.get_freeze_count() == frozen
    for _ in range(int(DEADLINE_S / LOOK_S)):
        if gc.get_freeze_count() > frozen:
            break
        await asyncio.sleep(LOOK_S)
    assert gc.get_freeze_count() > frozen
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert gc.get_freeze_count() == 0
