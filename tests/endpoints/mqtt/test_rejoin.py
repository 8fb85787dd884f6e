"""A link whose room is another one now takes part again, also where there is no connection at that moment."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import MQTTMessage

from endpoints.clocks.clock import SystemClock
from endpoints.config.settings import BrokerSettings
from endpoints.mqtt import endpoint_transport
from endpoints.mqtt.endpoint_transport import EndpointTransport
from endpoints.mqtt.events import Lost, PresenceChanged, TransportEvent
from endpoints.mqtt.intervals import Intervals
from endpoints.mqtt.session import ConnectionClosed, Opened
from endpoints.mqtt.topics import PRESENT

LINK = "eucom-ndmc"


class HandConnection:
    """A connection that the test opens and ends."""

    made: asyncio.Queue[HandConnection]
    in_flight = 0

    def __init__(self, _settings: BrokerSettings, **told: Any) -> None:
        self.open, self.message = told["on_open"], told["on_message"]
        self.ended: asyncio.Future[ConnectionClosed] = asyncio.get_running_loop().create_future()
        self.made.put_nowait(self)

    async def run(self) -> ConnectionClosed:
        return await self.ended

    def close(self) -> None:
        """Nothing to let go of."""

    def publish_once(self, topic: str, payload: bytes) -> None:
        """Nobody listens."""

    def unsubscribe(self, topics: list[str]) -> None:
        """There is no broker."""

    def peer_says(self, word: bytes) -> None:
        message = MQTTMessage(topic=f"deconfliction/v1/{LINK}/ndmc/presence".encode())
        message.payload = word
        self.message(message)


async def test_presence_is_told_to_a_room_that_came_while_there_was_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    HandConnection.made = asyncio.Queue(maxsize=2)
    monkeypatch.setattr(endpoint_transport, "Connection", HandConnection)
    monkeypatch.setattr(endpoint_transport, "client_context", lambda _settings: None)
    nowhere = Path()
    settings = BrokerSettings(
        identity="eucom", host="broker", port=8883, authority=nowhere, certificate=nowhere, key=nowhere
    )
    told: list[PresenceChanged] = []

    def happened(event: TransportEvent) -> None:
        if isinstance(event, PresenceChanged):
            told.append(event)
        elif isinstance(event, Lost):
            eucom.rejoin(LINK)

    at_once = Intervals(back_off_min_s=0.001, back_off_max_s=0.001)
    eucom = EndpointTransport(settings, [(LINK, "ndmc")], happened, SystemClock().real_ms, at_once)
    running = asyncio.create_task(eucom.run())
    first = await asyncio.wait_for(HandConnection.made.get(), 10)
    first.open(Opened(session_present=False, packet_max_bytes=None))
    first.peer_says(PRESENT)

    eucom.leave(LINK)
    first.ended.set_result(ConnectionClosed("the broker died"))
    again = await asyncio.wait_for(HandConnection.made.get(), 10)
    again.open(Opened(session_present=True, packet_max_bytes=None))
    again.peer_says(PRESENT)

    present = PresenceChanged(LINK, "ndmc", present=True)
    assert told == [present, present]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
