"""Raw aiomqtt: the watch's client library, with TCP_NODELAY, which it does not set."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

import aiomqtt

from load.yardsticks.client import OnMessages, Place, YardstickClient

QUEUE_MAX = 8_192
"""Messages that wait to be published: more than a window."""


class AiomqttClient:
    """One connection; a task publishes in order, another takes what comes."""

    def __init__(self, client: aiomqtt.Client, topic: str, on_messages: OnMessages, closing: AsyncExitStack) -> None:
        self._client = client
        self._topic = topic
        self._closing = closing
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(maxsize=QUEUE_MAX)
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._take(on_messages))]

    def publish(self, payload: bytes) -> None:
        """Publish a message after those before it."""
        self._waiting.put_nowait(payload)

    async def close(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._closing.aclose()

    async def _send(self) -> None:
        # several at a time, as one window is in flight: each waits for its PUBACK
        in_flight: set[asyncio.Task[None]] = set()
        while True:
            payload = await self._waiting.get()
            task = asyncio.create_task(self._client.publish(self._topic, payload, qos=1))
            # bounded: by the window of what is measured
            in_flight.add(task)
            task.add_done_callback(in_flight.discard)

    async def _take(self, on_messages: OnMessages) -> None:
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes), "payloads are bytes here"
            on_messages([message.payload])


async def connect(place: Place, peer: str, on_messages: OnMessages) -> YardstickClient:
    """Return a connected client. Raises aiomqtt.MqttError."""
    closing = AsyncExitStack()
    client = aiomqtt.Client(
        "127.0.0.1",
        place.port,
        identifier=place.identity,
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=place.context(),
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        max_inflight_messages=QUEUE_MAX,
        max_concurrent_outgoing_calls=QUEUE_MAX,
    )
    await closing.enter_async_context(client)
    await client.subscribe(place.topic(peer), qos=1)
    return AiomqttClient(client, place.topic(place.identity), on_messages, closing)
