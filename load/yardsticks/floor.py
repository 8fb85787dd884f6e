"""The floor: the smallest asyncio MQTT client. What TLS, the broker and the machine cost, and nothing else."""

from __future__ import annotations

import asyncio
from typing import cast

from load.yardsticks import mqtt_packets
from load.yardsticks.client import OnMessage, Place, YardstickClient, without_delay

_PACKET_IDS = 65_535


class FloorClient(asyncio.Protocol):
    """One connection."""

    def __init__(self, place: Place, peer: str, on_message: OnMessage) -> None:
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._place = place
        self._peer = peer
        self._own_topic = place.topic(place.identity)
        self._on_message = on_message
        self._packets = mqtt_packets.Packets()
        self._packet_id = 0
        self._transport: asyncio.Transport | None = None
        self._waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send CONNECT."""
        self._transport = cast("asyncio.Transport", transport)
        without_delay(transport.get_extra_info("socket"))
        self._transport.write(mqtt_packets.connect(self._place.identity))

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, and send all answers together."""
        acknowledged = []
        for kind, body in self._packets.feed(data):
            if kind == mqtt_packets.PUBLISH:
                packet_id, payload = mqtt_packets.published(body)
                acknowledged.append(mqtt_packets.puback(packet_id))
                self._on_message(payload)
            elif kind == mqtt_packets.CONNACK:
                self._send(mqtt_packets.subscribe(self._place.topic(self._peer)))
            elif kind == mqtt_packets.SUBACK:
                self.subscribed.set_result(None)
        if acknowledged:
            self._send(b"".join(acknowledged))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail a connection that ends before it is subscribed."""
        if not self.subscribed.done():
            self.subscribed.set_exception(exc or ConnectionError("the broker closed the connection"))

    def publish(self, payload: bytes) -> None:
        """Publish a message with this turn of the loop."""
        self._packet_id = self._packet_id % _PACKET_IDS + 1
        self._send(mqtt_packets.publish(self._own_topic, self._packet_id, payload))

    async def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _send(self, packet: bytes) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(packet)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._transport is not None:
            self._transport.write(b"".join(waiting))


async def connect(place: Place, peer: str, on_message: OnMessage) -> YardstickClient:
    """Return a connected client. Raises OSError."""
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: FloorClient(place, peer, on_message), "127.0.0.1", place.port, ssl=place.context()
    )
    await client.subscribed
    return client
