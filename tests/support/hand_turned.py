"""Harness for the product's loop: a test moves its clocks and turns it by hand.

`Machine` is a `Service` inside such a loop, which records what leaves it and what is on disk at that moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from endpoints.clocks.clock import ClockWatch
from endpoints.journal.segments import segments
from endpoints.mqtt.topics import Topic
from endpoints.runtime.endpoint_link import EndpointLink, Token
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.loop import Loop
from endpoints.runtime.ports import Now
from endpoints.runtime.work_items import EventItem, FrameItem, Reply, RequestItem
from endpoints.runtime.work_queue import WorkQueue
from protocol.core.deadlines import Deadline
from protocol.core.events import OfficerRaisedAlert, TransportConnected
from protocol.core.snapshot import StreamView
from protocol.record.journal import decode
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.policy import Terms
from tests.support.exchange import Service, link_file
from tests.support.failing_disk import refuse_writes
from tests.support.world import World

LINK = "eucom-ndmc"
BEGIN = parsed("2022-11-29T12:00:00.000Z")
DAY: Millis = 86_400_000
FROM_PEER = {
    "ndmc": Topic(LINK, "eucom", "message"),
    "eucom": Topic(LINK, "ndmc", "receipt"),
}


class HandClock:
    """Clocks that a test moves: the wall clock, the monotonic one, and real time."""

    def __init__(self, at: Millis) -> None:
        self.at, self.mono, self.real = at, 1_000_000, 5_000

    def now(self) -> tuple[Millis, Millis]:
        return self.at, self.mono

    def real_ms(self) -> Millis:
        return self.real

    def rate(self) -> int:
        return 1

    def passes(self, ms: Millis, *, real: Millis | None = None) -> None:
        """Let time pass; in real time less, as in an exercise."""
        self.at += ms
        self.mono += ms
        self.real += ms if real is None else real


class NoTimer:
    """Never wakes the loop: the test turns it."""

    def arm(self, deadline: Deadline) -> None:
        del deadline

    def cancel(self) -> None:
        pass


def hand_turned(runners: Mapping[str, AnyRunner], clock: HandClock) -> Loop:
    """Return a loop over `runners` that takes a turn only when the test calls `turn`."""
    monitor = ClockWatch(*clock.now(), clock.real_ms())
    return Loop(runners, WorkQueue(), clock, monitor, NoTimer(), lambda: None)


class Machine(Service):
    """One side's service inside the product's loop. `left` lists what left it, with the last record on disk by then."""

    runner: EndpointLink

    def __init__(self, folder: Path, side: str, *, terms: Terms | None = None, at: Millis = BEGIN) -> None:
        """Start it at `at`, on a link with `terms`, by default those of November 2022."""
        super().__init__(side, World(at), link_file(terms) if terms else link_file(), folder / side)
        self.clock = HandClock(at)
        self.left: list[tuple[str, int]] = []
        self.published: list[bytes] = []
        self.up()

    def up(self) -> None:
        """Start the process on what its journal holds."""
        self.open()
        self.loop = hand_turned({LINK: self.runner}, self.clock)
        self.loop.queue.put(EventItem([self.runner], lambda now: TransportConnected(at=now.at, mono=now.mono)))
        self.clock.passes(10)
        self.loop.start()
        self.left.clear()

    def dies(self) -> None:
        """End the process as a crash does."""
        self.journal.let_go()

    def turn(self, passed: Millis = 10) -> None:
        """Let time pass, and the loop take a turn."""
        self.clock.passes(passed)
        self.loop.turn()

    def on_disk(self) -> int:
        """Return the number of the last record that is in the file."""
        lines = b"".join(path.read_bytes() for path in sorted(self.folder.glob("*.jsonl"))).rstrip(b"\0").splitlines()
        return decode(lines[-1]).n

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        """Record that a frame left."""
        assert isinstance(token, Token)
        self.left.append((topic.channel, self.on_disk()))
        self.published.append(payload)
        return True

    def leave(self, link: str) -> None:
        """Record that the link was left."""
        self.left.append((f"left {link}", self.on_disk()))

    def arrives(self, frame: bytes, topic: Topic | None = None) -> None:
        def acknowledge() -> None:
            self.left.append(("puback", self.on_disk()))

        self.loop.queue.put(FrameItem(self.runner, topic or FROM_PEER[self.name], frame, acknowledge))

    def asks(self, request: str = "request-1", reply: Reply | None = None) -> asyncio.Future[str]:
        def make(now: Now) -> OfficerRaisedAlert:
            return OfficerRaisedAlert(
                at=now.at,
                mono=now.mono,
                request=request,
                officer="watch-1",
                status="exercise",
                category="critical_infrastructure",
                precedence="routine",
                event_at=written(now.at),
                expires_at=written(now.at + DAY),
                text={"en": "Strikes near the plant."},
            )

        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.loop.queue.put(RequestItem(self.runner, make, reply or answer))
        return answer

    def breaks(self) -> None:
        """Let the journal's disk refuse every write from now on."""
        refuse_writes(segments(self.folder)[-1])

    def slots(self) -> dict[str, str]:
        return {view.slot: str(view.state) for view in self.runner.core.snapshot().slots}

    @property
    def ours(self) -> StreamView:
        """The stream of this side."""
        ours = self.runner.core.snapshot().ours
        assert ours is not None
        return ours

    def blind(self) -> list[str]:
        return [alarm.detail for alarm in self.runner.core.snapshot().alarms if alarm.code == "watch_blind"]
