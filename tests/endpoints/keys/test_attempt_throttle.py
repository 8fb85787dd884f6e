"""Attempts to authenticate, on clocks that the test moves: who waits, for how long, and who does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from endpoints.keys import attempt_throttle
from endpoints.keys.attempt_throttle import (
    FAILING_FOR_MS,
    FORGOTTEN_AFTER_MS,
    LONGEST_PAUSE_MS,
    OTHERS,
    PACE_MS,
    PAUSED_MAX,
    PROCESSES_MAX,
    QUEUED_MAX,
    SOURCES_MAX,
    AttemptThrottle,
    Caller,
)
from protocol.errors import LocalProtocolError


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_throttle, "LOOK_S", 0)


class Desk:
    """A throttle, its clock, and how often each caller was checked."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.throttle = AttemptThrottle(lambda: self.now)
        self.checked: list[Caller] = []
        self.left: set[Caller] = set()
        self.running: list[asyncio.Task[None]] = []

    async def attempt(self, caller: Caller, *, right: bool) -> str:
        """Make an attempt; return the source under which it was counted."""

        async def abandoned() -> bool:
            return caller in self.left

        async with self.throttle.turn(caller, abandoned) as attempt:
            self.checked.append(caller)
            if not right:
                attempt.failed()
            return attempt.source

    async def fail(self, source: str = "uid-1", process: int = 1) -> str:
        return await self.attempt(Caller(source, process), right=False)

    def begin(self, source: str = "uid-1", process: int = 1, *, right: bool = False) -> asyncio.Task[str]:
        """Start an attempt, which may have to wait."""
        return asyncio.create_task(self.attempt(Caller(source, process), right=right))

    async def passes(self, ms: int) -> None:
        """Let time pass, and every attempt that is due go on."""
        self.now += ms
        # nothing in the throttle waits for real time, so this many steps of the event loop are enough for all
        for _ in range(300):
            await asyncio.sleep(0)

    async def refused(self, source: str, process: int) -> None:
        with pytest.raises(LocalProtocolError, match=f"too many wrong credentials were tried by {source}") as refused:
            await self.attempt(Caller(source, process), right=True)
        assert refused.value.code == "throttled"


@asynccontextmanager
async def waiting(desk: Desk, *tasks: asyncio.Task[str]) -> AsyncIterator[None]:
    """Expect that attempts wait; end them afterwards."""
    await desk.passes(0)
    assert not any(task.done() for task in tasks)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_process_waits_twice_as_long_after_each_wrong_credential_and_half_a_minute_at_most() -> None:
    desk = Desk()
    await desk.fail()
    for pause in (1_000, 2_000, 4_000, 8_000, 16_000, LONGEST_PAUSE_MS, LONGEST_PAUSE_MS):
        further = desk.begin()
        await desk.passes(pause - 1)
        assert not further.done()
        await desk.passes(1)
        assert await asyncio.wait_for(further, 5) == "uid-1"


async def test_of_many_attempts_of_one_process_at_once_one_waits_after_the_first_wrong_one() -> None:
    desk = Desk()
    many = [desk.begin() for _ in range(40)]
    await desk.passes(0)
    await desk.passes(999)
    assert len(desk.checked) == 1
    await desk.passes(1)
    assert len(desk.checked) == 2
    refusals = [task.exception() for task in many if task.exception()]
    assert [str(each).partition(";")[0] for each in refusals] == ["too many wrong credentials were tried by uid-1"] * 38


async def test_new_processes_of_a_failing_user_are_checked_one_a_second() -> None:
    desk = Desk()
    await desk.fail()
    fresh = [desk.begin(process=process) for process in range(2, 8)]
    for checked in range(1, 7):
        await desk.passes(PACE_MS - 1)
        assert len(desk.checked) == checked
        await desk.passes(1)
    assert await asyncio.gather(*fresh) == ["uid-1"] * 6


async def test_an_officer_under_the_same_user_gets_a_turn_between_the_guesses() -> None:
    desk = Desk()
    await desk.fail()
    guesses = [desk.begin(process=process) for process in range(2, 10)]
    honest = desk.begin(process=99, right=True)
    for _ in range(9):
        await desk.passes(PACE_MS)
    assert honest.done()
    await asyncio.gather(*guesses)


async def test_guesses_of_one_user_make_no_other_user_wait() -> None:
    """The clock stands still: anybody who had to wait would do so indefinitely."""
    desk = Desk()
    for process in range(8):
        if process:
            desk.now += PACE_MS
        await desk.fail(process=process)
    async with waiting(desk, *(desk.begin(process=process) for process in range(8))):
        for _ in range(50):
            await asyncio.wait_for(desk.attempt(Caller("uid-2", 1), right=True), 5)


async def test_a_check_that_lasts_occupies_the_lane_of_those_who_failed_alone() -> None:
    desk = Desk()
    await desk.fail()
    desk.now += PACE_MS

    async def never() -> bool:
        return False

    async with desk.throttle.turn(Caller("uid-1", 2), never):
        await asyncio.wait_for(desk.attempt(Caller("uid-2", 1), right=True), 5)


async def test_a_user_is_trusted_again_a_minute_after_their_last_wrong_credential() -> None:
    desk = Desk()
    await desk.fail()
    desk.now += FAILING_FOR_MS
    for process in range(2, 20):
        await asyncio.wait_for(desk.attempt(Caller("uid-1", process), right=True), 5)


async def test_the_pauses_of_a_process_begin_anew_after_ten_minutes() -> None:
    desk = Desk()
    for pause in (1_000, 2_000, 4_000):
        await desk.fail()
        desk.now += pause
    desk.now += FORGOTTEN_AFTER_MS
    await desk.fail()
    further = desk.begin()
    await desk.passes(1_000)
    await asyncio.wait_for(further, 5)


async def test_few_wait_and_the_others_are_refused_at_once() -> None:
    desk = Desk()
    await desk.fail()
    async with waiting(desk, *(desk.begin(process=process) for process in range(2, 2 + QUEUED_MAX))):
        await desk.refused("uid-1", 99)
        async with waiting(desk, desk.begin(process=1)):
            # one attempt of a process that waits for the end of its pause
            await desk.refused("uid-1", 1)


async def test_few_processes_wait_for_the_end_of_their_pause() -> None:
    desk = Desk()
    for _ in range(6):
        desk.now += LONGEST_PAUSE_MS
        for process in range(PAUSED_MAX + 1):
            desk.now += PACE_MS
            await desk.fail(process=process)
    async with waiting(desk, *(desk.begin(process=process) for process in range(1, PAUSED_MAX + 1))):
        desk.throttle._sources["uid-1"].failures[0] = attempt_throttle._Failures(9, desk.now + 60_000)
        await desk.refused("uid-1", 0)


async def test_no_wait_is_longer_than_a_client_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_throttle, "PATIENCE_S", 0.05)
    desk = Desk()
    await desk.fail()
    await desk.refused("uid-1", 1)
    await desk.refused("uid-1", 2)
    # and the turn is free again
    desk.now += PACE_MS
    await asyncio.wait_for(desk.attempt(Caller("uid-1", 3), right=True), 5)


async def test_an_attempt_that_nobody_waits_for_is_not_checked() -> None:
    desk = Desk()
    await desk.fail()
    for process in (1, 2):
        gone = desk.begin(process=process)
        await desk.passes(0)
        desk.left.add(Caller("uid-1", process))
        with pytest.raises(LocalProtocolError, match="nobody waits for this request any more"):
            await gone
    assert len(desk.checked) == 1


async def test_what_is_remembered_is_bounded() -> None:
    desk = Desk()
    for user in range(SOURCES_MAX):
        assert await desk.fail(f"uid-{user}") == f"uid-{user}"
    assert await desk.fail("uid-9999") == OTHERS
    for process in range(PROCESSES_MAX + 10):
        desk.now += PACE_MS
        await desk.fail("uid-1", process)
    assert len(desk.throttle._sources) == SOURCES_MAX + 1
    assert len(desk.throttle._sources["uid-1"].failures) == PROCESSES_MAX

    desk.now += FORGOTTEN_AFTER_MS
    assert await desk.fail("uid-10000") == "uid-10000"
    assert list(desk.throttle._sources) == ["uid-10000"]
