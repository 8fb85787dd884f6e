"""The loop takes a turn when something arrives or is due, flushes before it settles, and notices irregular clocks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET, structs

from endpoints.clocks.clock import ClockWatch
from endpoints.config import default_terms
from endpoints.errors import UserError
from endpoints.journal.segments import segments
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.keys.signer import Signer
from endpoints.mqtt.topics import Topic
from endpoints.runtime.endpoint_link import EndpointLink, Token
from endpoints.runtime.flushing import InThreads
from endpoints.runtime.intake import Intake
from endpoints.runtime.loop import BATCH_MAX_ITEMS, Loop
from endpoints.runtime.ports import Now
from endpoints.runtime.reopening import recovered_core
from endpoints.runtime.timer import AsyncioTimer
from endpoints.runtime.work_items import EventItem, RequestItem
from endpoints.runtime.work_queue import WorkQueue
from protocol.core.alarms import AlarmCode
from protocol.core.events import LineTestRequested, OfficerReleased, Request, TransportConnected
from protocol.core.link import Link
from protocol.errors import LocalProtocolError
from protocol.wire.instants import parsed, written
from tests.support.exchange import Notices, link_file
from tests.support.failing_disk import refuse_writes
from tests.support.hand_turned import HandClock
from tests.vectors.terms import KEYS

LINKS = ("eucom-ndmc", "eucom-ndmc-air")
BEGIN = parsed("2022-11-29T15:59:00.000Z")


class AwaitedClock(HandClock):
    """A clock that stands still until the test moves it, which wakes the timer."""

    def __init__(self) -> None:
        super().__init__(BEGIN)
        self.moved = asyncio.Event()

    def move(self, ms: int, *, step: int = 0, stall: bool = False) -> None:
        """Let time pass, of which the machine sees a second unless it is a stall; step the wall clock."""
        self.passes(ms, real=ms if stall else min(ms, 1_000))
        self.at += step
        self.moved.set()

    async def wait_until(self, at: int | None, mono: int | None) -> None:
        while not ((at is not None and self.at >= at) or (mono is not None and self.mono >= mono)):
            await self.moved.wait()
            self.moved.clear()


class Outlet:
    """Keeps what would be published."""

    def __init__(self) -> None:
        self.published: list[tuple[Topic, bytes, int]] = []
        self.left: list[str] = []

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        assert isinstance(token, Token)
        self.published.append((topic, payload, token.last))
        return True

    def leave(self, link: str) -> None:
        self.left.append(link)


class Bench:
    """Two links of eucom, on disks of their own."""

    def __init__(self, folder: Path, *, older: str = "", grace_s: Mapping[str, int] | None = None) -> None:
        """Open both journals; `older` is a link whose journal has older rules, `grace_s` changes links' policies."""
        self.folder = folder
        self.clock = AwaitedClock()
        self.outlet = Outlet()
        self.runners: dict[str, EndpointLink] = {}
        self.journals: list[JournalWriter] = []
        for link in LINKS:
            journal = JournalWriter.open(FolderStore(folder / link), link, "eucom")
            self.journals.append(journal)
            if link == older:
                journal.recovered_rules = "0"
            terms = default_terms.terms(link)
            grace = (grace_s or {}).get(link, terms.policy.grace_s)
            terms = structs.replace(terms, policy=structs.replace(terms.policy, grace_s=grace))
            self.runners[link] = EndpointLink(
                recovered_core(journal, Link.new(link, "eucom")),
                journal,
                link_file(terms),
                Notices(),
                signer=Signer({KEYS["eucom"][2]: KEYS["eucom"][1]}),
                outlet=self.outlet,
            )
        self.turns = 0
        queue = WorkQueue()
        monitor = ClockWatch(*self.clock.now(), self.clock.real_ms())
        timer = AsyncioTimer(self.clock, queue.wake)
        self.loop = Loop(self.runners, queue, self.clock, monitor, timer, self._turned, InThreads())

    def _turned(self) -> None:
        self.turns += 1

    def records(self, link: str = LINKS[0], event: str = "") -> list[dict[str, Any]]:
        data = b"".join(path.read_bytes().rstrip(b"\0") for path in sorted((self.folder / link).glob("*.jsonl")))
        records: list[dict[str, Any]] = [json.loads(line) for line in data.splitlines()]
        return [record for record in records if event in {"", record["event"]}]

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not wanted():  # noqa: ASYNC110 - the loop under test signals no turns
                await asyncio.sleep(0.001)

    def ask(self, make: Callable[[Now], Request], link: str = LINKS[0]) -> asyncio.Future[str]:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.loop.queue.put(RequestItem(self.runners[link], make, answer))
        return answer

    def test_line(self, request: str, link: str = LINKS[0]) -> asyncio.Future[str]:
        return self.ask(
            lambda now: LineTestRequested(at=now.at, mono=now.mono, request=request, nonce="00" * 8, officer=UNSET),
            link,
        )


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    running = asyncio.create_task(bench.loop.run())
    await bench.until(lambda: bench.turns == 1)
    yield bench
    bench.loop.stop()
    await running


async def test_a_life_begins_with_started_and_ends_with_a_signed_head(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    running = asyncio.create_task(bench.loop.run())
    await bench.until(lambda: bench.turns == 1)
    bench.loop.stop()
    await running

    for link in LINKS:
        events = [record["event"] for record in bench.records(link)]
        assert events[:3] == ["EpochOpened", "KeysEnrolled", "Started"]
        assert events[-3:] == ["Stopped", "BatchClosed", "Closed"]
        assert "signed_head" in bench.records(link)[-1]


async def test_a_link_file_that_contradicts_its_journal_is_reported_before_any_record(tmp_path: Path) -> None:
    """Neither is the journal of another link, written under older rules, continued under the present ones."""
    bench = Bench(tmp_path)
    bench.loop.start()
    for runner in bench.runners.values():
        runner.close(bench.loop.now())
    before = [bench.records(link) for link in LINKS]
    again = Bench(tmp_path, older=LINKS[0], grace_s={LINKS[1]: 901})

    with pytest.raises(UserError, match="use deconflict link amend"):
        again.loop.start()

    assert [again.records(link) for link in LINKS] == before
    for journal in again.journals:
        journal.let_go()


async def test_a_request_is_answered_once_it_is_on_disk_and_once_only(bench: Bench) -> None:
    first, again = bench.test_line("request-1"), bench.test_line("request-1")

    assert await asyncio.wait_for(first, 60) == "eucom/1/1"
    assert await asyncio.wait_for(again, 60) == "eucom/1/1"
    assert len(bench.records(event="LineTestRequested")) == 1
    assert bench.records(LINKS[1], "LineTestRequested") == []


async def test_a_mistake_is_answered_and_leaves_no_trace(bench: Bench) -> None:
    before = bench.records()
    answer = bench.ask(
        lambda now: OfficerReleased(at=now.at, mono=now.mono, request="request-2", officer="watch-2", draft=9)
    )

    with pytest.raises(LocalProtocolError, match="no draft/9"):
        await asyncio.wait_for(answer, 60)
    assert bench.records() == before


async def test_what_arrives_together_is_one_batch_and_a_flood_several(bench: Bench) -> None:
    await asyncio.gather(*(bench.test_line(f"request-{number}") for number in range(BATCH_MAX_ITEMS + 10)))

    batches = [record["batch"] for record in bench.records(event="LineTestRequested")]
    assert [batches.count(batch) for batch in sorted(set(batches))] == [BATCH_MAX_ITEMS, 10]


async def test_a_deadline_wakes_the_loop_at_its_instant(bench: Bench) -> None:
    bench.loop.queue.push(EventItem(bench.runners.values(), lambda now: TransportConnected(at=now.at, mono=now.mono)))
    await bench.until(lambda: bench.records(event="TransportConnected") != [])
    bench.clock.move(59_999)
    bench.loop.queue.wake()
    turns = bench.turns
    await bench.until(lambda: bench.turns > turns)
    assert bench.records(event="DeadlineReached") == []

    bench.clock.move(1)
    await bench.until(lambda: bench.records(event="DeadlineReached") != [])

    (record,) = bench.records(event="DeadlineReached")
    assert record["at"] == "2022-11-29T16:00:00.000Z"
    assert [effect["effect"] for effect in record["effects"]] == ["Queue"]


async def test_a_sooner_deadline_replaces_the_one_that_is_armed(bench: Bench) -> None:
    bench.loop.queue.push(EventItem(bench.runners.values(), lambda now: TransportConnected(at=now.at, mono=now.mono)))
    await bench.test_line("request-3")
    published = len(bench.outlet.published)
    assert published

    # no receipt: the frame is sent again after a second, long before the slot
    bench.clock.move(2_000)
    await bench.until(lambda: len(bench.outlet.published) > published)

    assert bench.outlet.published[-1][:2] in [each[:2] for each in bench.outlet.published[:published]]


async def test_the_end_of_a_notification_causes_no_turn_and_is_recorded_with_the_next(
    bench: Bench,
) -> None:
    intake = Intake(bench.runners, bench.loop.queue)
    intake.notified(LINKS[0], "message/1", delivered=True)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bench.turns == 1
    await bench.test_line("request-1")
    assert [record["id"] for record in bench.records(event="NotificationDone")] == ["message/1"]
    assert bench.turns == 2

    intake.notified(LINKS[0], "message/2", delivered=True)
    bench.loop.stop()
    await bench.until(lambda: bool(bench.records(event="Stopped")))
    assert [record["id"] for record in bench.records(event="NotificationDone")] == ["message/1", "message/2"]


async def test_a_step_of_the_wall_clock_and_a_stall_are_journaled(bench: Bench) -> None:
    bench.clock.move(1_000, step=-30_000)
    bench.loop.queue.wake()
    await bench.until(lambda: bench.records(event="ClockStepped") != [])
    assert [record["step_ms"] for record in bench.records(event="ClockStepped")] == [-30_000]
    assert bench.records(event="Resumed") == []

    slept_at = bench.clock.at
    bench.clock.move(600_000, stall=True)
    bench.loop.queue.wake()
    await bench.until(lambda: bench.records(LINKS[1], "Resumed") != [])
    assert [record["since"] for record in bench.records(event="Resumed")] == [written(slept_at)]
    assert len(bench.records(event="ClockStepped")) == 1


async def test_a_journal_that_fails_stops_its_link_alone(bench: Bench) -> None:
    before = bench.records()
    refuse_writes(segments(bench.folder / LINKS[0])[-1])
    failing, going_on = bench.test_line("request-4"), bench.test_line("request-5", LINKS[1])

    with pytest.raises(LocalProtocolError, match="Bad file descriptor"):
        await asyncio.wait_for(failing, 60)
    assert await asyncio.wait_for(going_on, 60) == "eucom/1/1"
    failure = bench.runners[LINKS[0]].failure
    assert failure is not None
    assert (failure.code, failure.severity) == (AlarmCode.JOURNAL_FAILURE, "critical")
    assert bench.outlet.left == [LINKS[0]]
    assert bench.records() == before

    later = bench.test_line("request-6")
    with pytest.raises(LocalProtocolError) as stopped:
        await asyncio.wait_for(later, 60)
    assert stopped.value.code == "link_stopped"
    # the failed write may have reached the disk; the later request has not
    assert "may have been recorded" in str(failing.exception())
    assert "recorded" not in stopped.value.detail


async def test_more_slots_are_planned_when_a_week_is_left(bench: Bench) -> None:
    for _ in range(8):
        bench.clock.move(86_400_000)
        bench.loop.queue.wake()
        await asyncio.sleep(0.01)
    await bench.until(lambda: bench.records(event="SlotsPlanned") != [])

    (planned, *_) = bench.records(event="SlotsPlanned")
    (started,) = bench.records(event="Started")
    assert planned["slots"][0] > started["slots"][-1]
    assert started["slots"][-1] <= started["slots_until"] < planned["slots"][0]


async def test_the_queue_is_bounded_except_for_pushed_items() -> None:
    class Item:
        links = ()

        def take(self, now: Now) -> None: ...
        def settle(self) -> None: ...

    queue = WorkQueue(limit=2)
    assert [queue.put(Item()) for _ in range(3)] == [True, True, False]
    queue.push(Item())
    assert len(queue) == 3
    assert len(queue.drain(2)) == 2
    await asyncio.wait_for(queue.woken(), 1)
    assert len(queue.drain(2)) == 1
