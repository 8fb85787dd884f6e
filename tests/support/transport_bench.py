"""Bench for a transport: runs it, collects its events, and waits for them."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self, TypeVar

from endpoints.clocks.clock import SystemClock
from endpoints.config.broker_settings import BrokerSettings
from endpoints.mqtt.endpoint_transport import EndpointTransport
from endpoints.mqtt.events import Arrived, TransportEvent
from endpoints.mqtt.intervals import Intervals
from endpoints.mqtt.observer_transport import ObserverTransport
from endpoints.mqtt.topics import Topic, TopicChannel

LINK = "eucom-ndmc"
PEERS = {"eucom": "ndmc", "ndmc": "eucom"}
QUICK = Intervals(keepalive_s=1, back_off_min_s=0.02, back_off_max_s=0.1, presence_s=0.2, gone_after_s=1)
PATIENT = Intervals(keepalive_s=60, back_off_min_s=0.02, back_off_max_s=0.1)
"""Intervals so long that no keepalive and no presence message falls within a test."""

EventT = TypeVar("EventT", bound=TransportEvent)


class Bench:
    """Runs a transport inside an async context, and cancels it at the end."""

    transport: EndpointTransport | ObserverTransport

    def __init__(self) -> None:
        self.events: list[TransportEvent] = []
        self._news = asyncio.Event()
        self.react: Callable[[TransportEvent], None] = lambda _event: None

    def take(self, event: TransportEvent) -> None:
        self.events.append(event)
        self._news.set()
        self.react(event)

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.transport.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    def of(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def payloads(self) -> list[bytes]:
        return [arrived.payload for arrived in self.of(Arrived)]

    async def until(self, wanted: Callable[[], bool], within_s: float = 60) -> None:
        """Wait for a condition that an event may bring about; fail with all events so far."""
        try:
            async with asyncio.timeout(within_s):
                while not wanted():
                    self._news.clear()
                    waiter = asyncio.create_task(self._news.wait())
                    try:
                        await asyncio.wait({waiter, self.task}, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        waiter.cancel()
                    if self.task.done():
                        self.task.result()
        except TimeoutError:
            raise AssertionError(f"not within {within_s} s: {self.events} ({self.transport.trouble})") from None

    async def next(self, kind: type[EventT], times: int = 1) -> EventT:
        """Wait for `times` events of `kind`; return the last of these."""
        await self.until(lambda: len(self.of(kind)) >= times)
        return self.of(kind)[times - 1]


class Endpoint(Bench):
    """A real `EndpointTransport` of one side of the link."""

    def __init__(
        self,
        settings: BrokerSettings,
        intervals: Intervals = PATIENT,
        links: list[tuple[str, str]] | None = None,
        signs: Callable[[str], bytes | None] = lambda _: None,
    ) -> None:
        super().__init__()
        self.side = settings.identity
        links = links or [(LINK, PEERS[self.side])]
        self.transport: EndpointTransport = EndpointTransport(
            settings, links, self.take, SystemClock().real_ms, intervals, signs
        )

    def publish(self, payload: bytes, channel: TopicChannel = "message", link: str = LINK) -> bool:
        return self.transport.publish(Topic(link, self.side, channel), payload, payload)

    def acknowledge_all(self) -> None:
        for arrived in self.of(Arrived):
            assert arrived.delivery is not None
            self.transport.acknowledge(arrived.delivery)


class Watcher(Bench):
    """A real `ObserverTransport`."""

    def __init__(self, settings: BrokerSettings, intervals: Intervals = PATIENT) -> None:
        super().__init__()
        self.transport = ObserverTransport(
            settings, [(LINK, ("eucom", "ndmc"))], self.take, SystemClock().real_ms, intervals
        )
