"""MQTT for an endpoint: one connection to the broker, shared by all its links, made again whenever it is lost.

The thin shell of SPEC Q: frames out and in, presence, and acknowledgements to the broker once the service says so. It
remembers nothing over a lost connection: what was on its way is resent by the core, or redelivered by the broker.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable

from paho.mqtt.client import MQTTMessage

from endpoints.config.settings import BrokerSettings
from endpoints.mqtt.connection import IN_FLIGHT_MAX, RECEIVE_MAX, Connection, ConnectionClosed, Opened, Will
from endpoints.mqtt.events import (
    Accepted,
    Arrived,
    Connected,
    Delivery,
    Joined,
    Lost,
    PublishDenied,
    TakenOver,
    TransportEvent,
)
from endpoints.mqtt.intervals import Timing
from endpoints.mqtt.presence import Presence
from endpoints.mqtt.takeovers import Takeovers
from endpoints.mqtt.tls import client_context
from endpoints.mqtt.topics import GONE, PRESENT, Channel, Topic

PACKET_TOO_LARGE = 0x95
QUOTA_EXCEEDED = 0x97
"""MQTT 5 reason codes that we give ourselves, before the broker has to."""

_FAILURE = 0x80
_numbers = itertools.count(1)
"""Of this process's connections: a delivery is never mistaken for another connection's."""
_HEADER_MAX_BYTES = 10
"""Of a PUBLISH: fixed header 5, length of the topic 2, packet id 2, length of no properties 1."""


class Transport:
    """The endpoint's connection to its broker. One event loop owns it; nothing here blocks.

    `on_event` is called synchronously, from the loop, also from within `publish`; it must not await or block.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        links: Iterable[tuple[str, str]],
        on_event: Callable[[TransportEvent], None],
        timing: Timing | None = None,
    ) -> None:
        """Prepare the transport; nothing happens before `run`.

        Args:
            settings: where the broker is, how it is trusted, and who we are: in client id, certificate and topics.
            links: each link's id and its peer.
            on_event: takes everything that happens.
            timing: real-time intervals.

        Raises UserError if a certificate or key cannot be used.
        """
        client_context(settings)
        self._settings = settings
        self._identity = settings.identity
        self._peers = dict(links)
        self._on_event = on_event
        self._timing = timing or Timing()
        self._left: set[str] = set()
        # those whose subscriptions this connection has asked for
        self._asked_for: set[str] = set()
        self._connection: Connection | None = None
        self._number = 0
        self._up = False
        self._opened_at = 0.0
        self._packet_max_bytes: int | None = None
        # deliveries in order of arrival: their link, and whether the service is done with them
        self._owed: OrderedDict[int, tuple[str, bool]] = OrderedDict()
        self._early: list[MQTTMessage] = []
        self._presence = Presence(self._peers.items(), self._timing.presence_s, on_event)
        self._beat: asyncio.TimerHandle | None = None
        self._takeovers = Takeovers()
        self._trouble: str | None = "not connected yet"

    @property
    def trouble(self) -> str | None:
        """Why there is no connection, as of the last attempt; None while there is one."""
        return self._trouble

    async def run(self) -> None:
        """Keep connected until cancelled; then say "gone" for every link and disconnect in order.

        An exception of `on_event` ends it and comes out here.
        """
        failures = 0
        told = False
        while True:
            closed = await self._connect_once()
            now_s = asyncio.get_running_loop().time()
            lived_s = now_s - self._opened_at if self._up else 0.0
            taken_over = None
            if self._up:
                taken_over = self._takeovers.lost(now_s, lived_s, closed.code, orderly=closed.orderly)
            else:
                self._takeovers.not_opened()
            self._trouble = closed.reason
            if self._up or not told:
                told = True
                self._up = False
                self._on_event(Lost(closed.reason))
            if taken_over is not None:
                self._on_event(TakenOver(taken_over))
            failures = 0 if lived_s >= self._timing.stable_s else failures
            await asyncio.sleep(self._timing.pause_s(failures))
            failures += 1

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        """Publish a frame at QoS 1; `Accepted` or `Refused` with `token` follows if the connection lasts.

        Returns False if it is not on its way: there is no connection, the link has been left, or it was refused here,
        which `Refused` told. In any case the core resends in its time.
        """
        connection = self._connection
        if connection is None or not self._up or topic.link in self._left:
            return False
        name = str(topic)
        size_bytes = len(payload) + len(name) + _HEADER_MAX_BYTES
        # SPEC F6.3
        if self._packet_max_bytes is not None and size_bytes > self._packet_max_bytes:
            reason = f"{size_bytes} bytes; the broker takes packets of {self._packet_max_bytes} at most"
            self._on_event(PublishDenied(token, PACKET_TOO_LARGE, reason))
            return False
        if connection.in_flight >= IN_FLIGHT_MAX:
            reason = f"{IN_FLIGHT_MAX} publishes wait for the broker's answer already"
            self._on_event(PublishDenied(token, QUOTA_EXCEEDED, reason))
            return False
        connection.publish(name, payload, token)
        return True

    def acknowledge(self, delivery: Delivery) -> None:
        """Let the broker forget a delivery: its record is on disk. PUBACKs leave in order of arrival (SPEC Q1.2).

        A delivery of an earlier connection is ignored: the broker delivers it again.
        """
        if delivery.connection == self._number:
            self._settle(delivery.packet_id)

    def leave(self, link: str) -> None:
        """Have nothing more to do with `link`, whose journal failed, so that it does not stall the others (SPEC Q3.2).

        Its peer sees "gone". What waits for acknowledgement is acknowledged without a record: no receipt left for it,
        so its author keeps it and sends it again.
        """
        if link in self._left:
            return
        self._left.add(link)
        self._asked_for.discard(link)
        if self._connection is None:
            return
        self._connection.unsubscribe([topic for topic, _ in self._topics(link)])
        self._say(link, GONE)
        for packet_id in [key for key, (owner, _) in self._owed.items() if owner == link]:
            self._settle(packet_id)

    def rejoin(self, link: str) -> None:
        """Take part again in a link that was left; `Joined` or `Connected` follows once the broker has accepted it."""
        self._left.discard(link)
        # its room is another one now, and has been told nothing, whether there is a connection or not
        self._presence.forget(link, asyncio.get_running_loop().time())
        if self._up:
            self._ask_for(link)

    # --- the connection's life ------------------------------------------------------------------------------------

    async def _connect_once(self) -> ConnectionClosed:
        links = self._links()
        self._asked_for = set(links)
        # MQTT has one will for a connection: the first link's. The peers of the others notice our silence.
        will = (
            Will(str(Topic(links[0], self._identity, "presence")), GONE, self._timing.gone_after_s) if links else None
        )
        connection = Connection(
            self._settings,
            subscriptions=[topic for link in links for topic in self._topics(link)],
            will=will,
            keepalive_s=self._timing.keepalive_s,
            on_open=self._opened,
            on_message=self._message,
            on_published=self._published,
        )
        self._number = next(_numbers)
        self._connection = connection
        try:
            return await connection.run()
        except asyncio.CancelledError:
            if self._up:
                for link in self._links():
                    self._say(link, GONE)
            raise
        finally:
            if self._beat is not None:
                self._beat.cancel()
            connection.close()
            self._connection = None
            self._packet_max_bytes = None
            self._owed.clear()
            self._early.clear()

    def _opened(self, opened: Opened) -> None:
        now_s = asyncio.get_running_loop().time()
        self._up = True
        self._opened_at = now_s
        self._packet_max_bytes = opened.packet_max_bytes
        self._presence.listen(now_s)
        self._trouble = None
        self._on_event(Connected(session_present=opened.session_present, packet_max_bytes=opened.packet_max_bytes))
        taken_over = self._takeovers.opened(now_s)
        if taken_over is not None:
            self._on_event(TakenOver(taken_over))
        for link in set(self._links()) - self._asked_for:
            # it was rejoined in the meantime
            self._ask_for(link)
        self._keep_present()
        early, self._early = self._early, []
        for message in early:
            self._message(message)

    def _ask_for(self, link: str) -> None:
        """Subscribe to one more link over the connection that there is."""
        assert self._connection is not None, "a connection that is up is there"
        self._asked_for.add(link)
        self._connection.subscribe(self._topics(link), lambda: self._granted(link))

    def _granted(self, link: str) -> None:
        if link in self._left:
            return
        self._presence.forget(link, asyncio.get_running_loop().time())
        self._say(link, PRESENT)
        self._on_event(Joined(link))

    def _links(self) -> list[str]:
        return [link for link in self._peers if link not in self._left]

    # --- frames ---------------------------------------------------------------------------------------------------

    def _topics(self, link: str) -> list[tuple[str, int]]:
        channels: tuple[tuple[Channel, int], ...] = (("message", 1), ("receipt", 1), ("presence", 0))
        return [(str(Topic(link, self._peers[link], channel)), qos) for channel, qos in channels]

    def _message(self, message: MQTTMessage) -> None:
        if not self._up:
            # what the broker kept for us comes before SUBACK; presence would be old news
            if message.qos:
                self._early.append(message)
                self._check_receive_max(len(self._early))
            return
        try:
            topic = Topic.parse(message.topic)
        except ValueError:
            topic = None
        ours = topic is not None and self._peers.get(topic.link) == topic.sender and topic.link not in self._left
        if topic is not None and topic.channel == "presence":
            if ours:
                now_s = asyncio.get_running_loop().time()
                if self._presence.hear(topic.link, topic.sender, bytes(message.payload), now_s):
                    self._say(topic.link, PRESENT)
        elif topic is not None and ours and message.qos:
            self._owed[message.mid] = (topic.link, False)
            self._check_receive_max(len(self._owed))
            self._on_event(Arrived(topic, bytes(message.payload), Delivery(self._number, message.mid)))
        elif message.qos and self._connection is not None:
            # of a link that is no longer in the settings: the session still subscribes to it
            self._owed[message.mid] = ("", False)
            if topic is not None:
                self._connection.unsubscribe([str(topic)])
            self._settle(message.mid)

    def _check_receive_max(self, waiting: int) -> None:
        if waiting > RECEIVE_MAX and self._connection is not None:
            self._connection.end(f"the broker delivers more than {RECEIVE_MAX} messages without acknowledgement")

    def _settle(self, packet_id: int) -> None:
        if packet_id not in self._owed or self._connection is None:
            return
        self._owed[packet_id] = (self._owed[packet_id][0], True)
        while self._owed:
            first, (_, done) = next(iter(self._owed.items()))
            if not done:
                return
            del self._owed[first]
            self._connection.acknowledge(first)

    def _published(self, token: object, code: int, reason: str) -> None:
        self._on_event(PublishDenied(token, code, reason) if code >= _FAILURE else Accepted(token))

    # --- presence -------------------------------------------------------------------------------------------------

    def _keep_present(self) -> None:
        loop = asyncio.get_running_loop()
        connection = self._connection
        if connection is None:
            return
        try:
            for link in self._links():
                self._say(link, PRESENT)
            self._presence.check(loop.time())
        except Exception as error:  # noqa: BLE001 - comes out of run()
            connection.fail(error)
        self._beat = loop.call_later(self._timing.presence_s, self._keep_present)

    def _say(self, link: str, word: bytes) -> None:
        if self._connection is not None:
            self._connection.say(str(Topic(link, self._identity, "presence")), word)
