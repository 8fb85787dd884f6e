"""MQTT for the independent watch, on aiomqtt: what watches does not share the transport of what is watched (SPEC W6).

Subscribes to both directions of every link, publishes nothing, has no will. aiomqtt acknowledges to the broker before
the record is on disk: what a crash loses is a gap in a stream, which the watch records as blind.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from endpoints.config.settings import BrokerSettings
from endpoints.errors import UserError
from endpoints.mqtt.events import Arrived, Connected, Joined, Lost, TransportEvent
from endpoints.mqtt.intervals import Timing
from endpoints.mqtt.presence import Presence
from endpoints.mqtt.tls import client_context
from endpoints.mqtt.topics import Channel, Topic

SESSION_EXPIRY_S = 30 * 86_400
"""How long the broker keeps the watch's session without it."""
INCOMING_MAX = 1_024
"""Messages between two turns of the loop at most: 64 MiB of the largest frames; beyond, aiomqtt drops them."""
PACKET_MAX_BYTES = 131_072
"""What the broker may send in one packet: what it admits itself (SPEC F6)."""
_RECEIVE_MAX = 128
_ANSWER_WITHIN_S = 10.0
_CHANNELS: tuple[tuple[Channel, int], ...] = (("message", 1), ("receipt", 1), ("presence", 0))

_quiet = logging.getLogger(__name__)
"""paho's and aiomqtt's own words: what matters of them comes as an event."""
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class ObserverTransport:
    """The watch's connection. `on_event` is called synchronously, from the loop; it must not await or block."""

    def __init__(
        self,
        settings: BrokerSettings,
        links: Iterable[tuple[str, tuple[str, str]]],
        on_event: Callable[[TransportEvent], None],
        timing: Timing | None = None,
    ) -> None:
        """Prepare the transport; nothing happens before `run`.

        Args:
            settings: where the broker is, how it is trusted, and who the watch is to it.
            links: each link's id and its two parties.
            on_event: takes `Connected`, `Joined`, `Lost`, `Arrived`, `PresenceChanged`.
            timing: real-time intervals.

        Raises UserError if a certificate or key cannot be used.
        """
        client_context(settings)
        self._settings = settings
        self._timing = timing or Timing()
        self._on_event = on_event
        parties = [(link, party) for link, both in links for party in both]
        self._subscriptions = {str(Topic(*party, channel)): qos for party in parties for channel, qos in _CHANNELS}
        self._presence = Presence(parties, self._timing.presence_s, on_event)
        self._opened_at: float | None = None
        self._trouble: str | None = "not connected yet"

    @property
    def trouble(self) -> str | None:
        """Why there is no connection, as of the last attempt; None while there is one."""
        return self._trouble

    async def run(self) -> None:
        """Keep connected until cancelled. An exception of `on_event` ends it and comes out here."""
        loop = asyncio.get_running_loop()
        failures = 0
        told = False
        while True:
            try:
                await self._serve()
            except (aiomqtt.MqttError, UserError, OSError) as error:
                self._trouble = str(error.__cause__ or error)[:200]
            if self._opened_at is not None or not told:
                told = True
                self._on_event(Lost(self._trouble or "the broker closed the connection"))
            if self._opened_at is not None and loop.time() - self._opened_at >= self._timing.stable_s:
                failures = 0
            self._opened_at = None
            await asyncio.sleep(self._timing.pause_s(failures))
            failures += 1

    def rejoin(self, link: str) -> None:
        """Tell anew who is present on `link`, whose room is another one now; its frames come as before."""
        self._presence.forget(link, asyncio.get_running_loop().time())
        if self._opened_at is not None:
            self._on_event(Joined(link))

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        context = client_context(self._settings)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = _RECEIVE_MAX
        properties.MaximumPacketSize = PACKET_MAX_BYTES
        client = aiomqtt.Client(
            self._settings.host,
            self._settings.port,
            identifier=self._settings.identity,
            protocol=aiomqtt.ProtocolVersion.V5,
            # the library's default would throw away what the broker kept for us, at every connection
            clean_start=False,
            properties=properties,
            tls_context=context,
            keepalive=self._timing.keepalive_s,
            timeout=_ANSWER_WITHIN_S,
            max_queued_incoming_messages=INCOMING_MAX,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            logger=_quiet,
        )
        async with AsyncExitStack() as stack:
            stack.callback(context.abandon)
            await stack.enter_async_context(client)
            wanted = [
                (topic, SubscribeOptions(qos=qos, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND))
                for topic, qos in self._subscriptions.items()
            ]
            granted = await client.subscribe(wanted)
            for (topic, qos), code in zip(self._subscriptions.items(), granted, strict=True):
                if code != qos:
                    raise aiomqtt.MqttError(f"the broker refused the subscription to {topic}: {code}")
            self._opened_at = loop.time()
            self._trouble = None
            self._presence.listen(self._opened_at)
            self._on_event(Connected())
            # whichever fails first comes out of run(): neither ends by itself
            tasks = {asyncio.create_task(self._listen(client)), asyncio.create_task(self._check_presence())}
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, client: aiomqtt.Client) -> None:
        loop = asyncio.get_running_loop()
        async for message in client.messages:
            self._take(message, loop.time())

    async def _check_presence(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._timing.presence_s)
            self._presence.check(loop.time())

    def _take(self, message: aiomqtt.Message, now_s: float) -> None:
        name = str(message.topic)
        payload = message.payload
        if name not in self._subscriptions or not isinstance(payload, bytes | bytearray):
            # of a link that is no longer in the settings: the session still subscribes to it
            return
        topic = Topic.parse(name)
        if topic.channel == "presence":
            self._presence.hear(topic.link, topic.sender, bytes(payload), now_s)
        else:
            self._on_event(Arrived(topic, bytes(payload), None))
