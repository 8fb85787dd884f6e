"""The endpoint's MQTT transport: one connection for all its links, re-established whenever it is lost (SPEC Q).

It carries frames and presence, and acknowledges deliveries when the service asks it to. It keeps no state across
connections: the core resends frames that were in flight, and the broker redelivers what was not acknowledged.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable

from paho.mqtt.client import MQTTMessage

from endpoints.config.broker_settings import BrokerSettings
from endpoints.mqtt import session
from endpoints.mqtt.beats import Beats
from endpoints.mqtt.closings import Closings
from endpoints.mqtt.connection import IN_FLIGHT_MAX, Connection
from endpoints.mqtt.events import (
    Accepted,
    Arrived,
    Connected,
    Delivery,
    Displaced,
    Joined,
    Lost,
    PresenceHeard,
    PublishDenied,
    SignOfLife,
    StillLost,
    TakenOver,
    TransportEvent,
)
from endpoints.mqtt.failover import Destination, Failover
from endpoints.mqtt.failures import CONNECT_ERRORS, LossReport, reason_of
from endpoints.mqtt.intervals import Intervals
from endpoints.mqtt.places import look_up
from endpoints.mqtt.presence import Presence
from endpoints.mqtt.session import ConnectionClosed, Opened, Will
from endpoints.mqtt.takeovers import TAKEN_OVER, TakeoverCounter
from endpoints.mqtt.tls import client_context
from endpoints.mqtt.topics import GONE, PRESENT, Topic, TopicChannel, subscriptions
from protocol.phrases import phrase
from protocol.wire.instants import Millis

PACKET_TOO_LARGE = 0x95
QUOTA_EXCEEDED = 0x97
"""MQTT 5 reason codes with which the transport refuses a publish itself, before the broker would."""

IN_FLIGHT_OF_A_LINK = 16
"""After an outage all links publish at once: each its eight unreceipted frames and its receipts, for all of which the
broker may have no room yet."""
_UNSPECIFIED = _FAILURE = 0x80
_BEAT = object()
"""The token of a presence word: whatever the broker answers, it is alive."""
_numbers = itertools.count(1)
"""Numbers this process's connections, so that no delivery is attributed to another connection."""
_HEADER_MAX_BYTES = 10
"""Size of a PUBLISH beyond topic and payload: fixed header 5, topic length 2, packet id 2, property length 1."""


class EndpointTransport:
    """The endpoint's connection to its broker. It belongs to one event loop and never blocks.

    `on_event` is called synchronously from the loop, and from within `publish`; it must not await or block.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        links: Iterable[tuple[str, str]],
        on_event: Callable[[TransportEvent], None],
        real_ms: Callable[[], Millis],
        intervals: Intervals | None = None,
        signs: Callable[[str], bytes | None] = lambda _: None,
    ) -> None:
        """Prepare the transport; `run` connects it.

        Args:
            settings: the broker's addresses and authority, and our identity (client id, certificate, topics).
            links: each link's id and its peer.
            on_event: takes every event.
            real_ms: reads the machine's monotonic clock, in milliseconds.
            intervals: keepalive, back-off and presence; only tests change them.
            signs: returns a signed sign of life for a link, None if there is none now (SPEC Q2.5).

        Raises UserError if a certificate or key cannot be used.
        """
        client_context(settings)
        self._settings = settings
        self._identity = settings.identity
        self._peers = dict(links)
        self._in_flight_max = max(IN_FLIGHT_MAX, IN_FLIGHT_OF_A_LINK * len(self._peers))
        self._on_event = on_event
        self._real_ms = real_ms
        self._intervals = intervals or Intervals()
        self._signs = signs
        self._left: set[str] = set()
        # links that this connection has subscribed to
        self._subscribed: set[str] = set()
        self._connection: Connection | None = None
        self._number = 0
        self._up = False
        self._opened_at_s = 0.0
        self._packet_max_bytes: int | None = None
        # deliveries in order of arrival: their link, and whether the service has finished with them
        self._owed: OrderedDict[int, tuple[str, bool]] = OrderedDict()
        self._early: list[MQTTMessage] = []
        self._presence = Presence(self._peers.items(), self._intervals.presence_s, on_event)
        beat_s = self._intervals.presence_s
        self._beats = Beats(self._peers, beat_s, self._give_sign, self._presence, self._now_s)
        self._takeovers = TakeoverCounter()
        self._failover = Failover(settings.addresses, self._intervals.pause_s, self._intervals.stable_s)
        self._place = Destination(self._failover.address, "")
        self._closings = Closings()
        self._trouble: str | None = phrase("not connected yet")

    @property
    def trouble(self) -> str | None:
        """Why there is no connection, as of the last attempt; None while there is one."""
        return self._trouble

    async def run(self) -> None:
        """Stay connected until cancelled; then publish "gone" for every link and disconnect cleanly.

        Raises what `on_event` raises.
        """
        report = LossReport()
        while True:
            closed = await self._connect_once()
            now_s = self._now_s()
            lived_s = now_s - self._opened_at_s if self._up else None
            self._up, taken_over = False, None
            if lived_s is None:
                self._takeovers.not_opened()
            else:
                # a broker may also close at a publish that it refuses
                orderly = closed.orderly and closed.unanswered is None
                taken_over = self._takeovers.lost(now_s, lived_s, closed.code, self._place, orderly=orderly)
            better = self._closings.ended(lived_s, closed=closed.closed, unanswered=closed.unanswered is not None)
            reason = self._failover.told(better or closed.reason)
            self._trouble = reason
            # of a host with several IP addresses, the last one's failure counts
            counts = lived_s is not None or not self._failover.more
            due = counts and report.due(reason, was_up=lived_s is not None)
            self._on_event((Lost if due else StillLost)(reason))
            if self._closings.due and closed.unanswered not in {None, _BEAT}:
                self._on_event(PublishDenied(closed.unanswered, _UNSPECIFIED, reason))
            self._report_takeover(taken_over)
            await asyncio.sleep(self._failover.ended(lived_s, displaced=closed.code == TAKEN_OVER))

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        """Publish a frame at QoS 1; `Accepted` or `PublishDenied` with `token` follows if the connection lasts.

        Returns False if the frame was not sent: there is no connection, the link has been left, or the transport
        refused it and reported `PublishDenied`. The core resends the frame later in each case.
        """
        connection = self._connection
        if connection is None or not self._up or topic.link in self._left:
            return False
        name = str(topic)
        size_bytes = len(payload) + len(name) + _HEADER_MAX_BYTES
        # SPEC F6.3
        if self._packet_max_bytes is not None and size_bytes > self._packet_max_bytes:
            reason = phrase(
                "a packet of {size} bytes; the broker accepts {limit} at most",
                size=size_bytes,
                limit=self._packet_max_bytes,
            )
            self._on_event(PublishDenied(token, PACKET_TOO_LARGE, reason))
            return False
        if connection.in_flight >= self._in_flight_max:
            reason = phrase("{count} publishes already wait for the broker's answer", count=self._in_flight_max)
            self._on_event(PublishDenied(token, QUOTA_EXCEEDED, reason))
            return False
        connection.publish(name, payload, token)
        return True

    def flush(self, *, again: bool = False) -> None:
        """Send now what was published and acknowledged in this turn; if another follows at once, see `Connection`."""
        if self._connection is not None:
            self._connection.flush(again=again)

    def acknowledge(self, delivery: Delivery) -> None:
        """Acknowledge a delivery whose record is on disk. PUBACKs are sent in order of arrival (SPEC Q1.2).

        Ignores a delivery of an earlier connection, which the broker delivers again.
        """
        if delivery.connection == self._number:
            self._settle(delivery.packet_id)

    def leave(self, link: str) -> None:
        """Drop `link`, whose journal failed, so that it does not stall the other links (SPEC Q3.2).

        Its peer sees "gone". Deliveries that wait are acknowledged without a record: no receipt was sent for them, so
        their author keeps the messages and sends them again.
        """
        if link in self._left:
            return
        self._left.add(link)
        self._subscribed.discard(link)
        if self._connection is None:
            return
        self._connection.unsubscribe([topic for topic, _ in self._topics(link)])
        self._publish_presence(link, GONE)
        for packet_id in [key for key, (owner, _) in self._owed.items() if owner == link]:
            self._settle(packet_id)

    def rejoin(self, link: str) -> None:
        """Take part again in a link that was left; `Joined` or `Connected` follows when the broker has accepted it."""
        self._left.discard(link)
        # the new link runner knows no presence yet, even if there is no connection at this moment
        self._presence.forget(link, self._now_s())
        if self._up:
            self._subscribe(link)

    # --- the connection's life ------------------------------------------------------------------------------------

    async def _connect_once(self) -> ConnectionClosed:
        try:
            self._place = self._failover.choose(await look_up(self._failover.address))
        except CONNECT_ERRORS as error:
            return ConnectionClosed(reason_of(error))
        links = self._links()
        self._subscribed = set(links)
        # MQTT has one will per connection: the first link's. The peers of other links notice our silence.
        will = Will(self._topic(links[0], "presence"), GONE, self._intervals.gone_after_s) if links else None
        connection = Connection(
            self._settings,
            self._place,
            subscriptions=[topic for link in links for topic in self._topics(link)],
            will=will,
            keepalive_s=self._intervals.keepalive_s,
            on_open=self._opened,
            on_message=self._message,
            on_published=self._published,
            careful=self._closings.careful,
        )
        self._number = next(_numbers)
        self._connection = connection
        try:
            return await connection.run()
        except asyncio.CancelledError:
            if self._up:
                for link in self._links():
                    self._publish_presence(link, GONE)
            raise
        finally:
            self._beats.stop()
            connection.close()
            self._connection = None
            self._packet_max_bytes = None
            self._owed.clear()
            self._early.clear()

    def _opened(self, opened: Opened) -> None:
        now_s = self._now_s()
        self._up = True
        self._opened_at_s = now_s
        self._packet_max_bytes = opened.packet_max_bytes
        self._presence.listen(now_s)
        self._trouble = None
        self._on_event(
            Connected(
                session_present=opened.session_present,
                packet_max_bytes=opened.packet_max_bytes,
                broker_certificate=opened.broker_certificate,
                node=str(self._place),
                session_kept_s=opened.session_kept_s,
            )
        )
        taken_over = self._takeovers.opened(now_s, self._place)
        self._report_takeover(taken_over)
        for link in set(self._links()) - self._subscribed:
            # rejoined while the connection was being opened
            self._subscribe(link)
        for link in self._links():
            self._publish_presence(link, PRESENT)
        if self._connection is not None:
            self._beats.start(self._connection.fail)
        early, self._early = self._early, []
        for message in early:
            self._message(message)

    def _report_takeover(self, times: int | None) -> None:
        """Report what the last call of the counter has found: `times` is what it returned."""
        if times is not None:
            self._on_event(TakenOver(times))
        elif self._takeovers.began:
            self._on_event(Displaced())

    def _subscribe(self, link: str) -> None:
        """Subscribe to one more link over the open connection."""
        assert self._connection is not None, "called only while the connection is up"
        self._subscribed.add(link)
        self._connection.subscribe(self._topics(link), lambda: self._granted(link))

    def _granted(self, link: str) -> None:
        if link in self._left:
            return
        self._presence.forget(link, self._now_s())
        self._publish_presence(link, PRESENT)
        self._on_event(Joined(link))

    def _links(self) -> list[str]:
        return [link for link in self._peers if link not in self._left]

    # --- frames ---------------------------------------------------------------------------------------------------

    def _topics(self, link: str) -> list[tuple[str, int]]:
        return subscriptions(link, self._peers[link])

    def _message(self, message: MQTTMessage) -> None:
        if not self._up:
            # what the broker kept for us arrives before SUBACK; presence from then is out of date
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
                now_s, payload = self._now_s(), bytes(message.payload)
                if self._presence.hear(topic.link, topic.sender, payload, now_s):
                    self._greet(topic.link)
                if payload == PRESENT:
                    self._on_event(PresenceHeard(topic.link, topic.sender, now_s))
        elif topic is not None and ours and message.qos:  # SPEC Q1.3
            self._owed[message.mid] = (topic.link, False)
            self._check_receive_max(len(self._owed))
            self._on_event(Arrived(topic, bytes(message.payload), Delivery(self._number, message.mid)))
        elif topic is not None and ours and topic.channel == "receipt":
            self._on_event(SignOfLife(topic, bytes(message.payload), self._now_s()))
        elif message.qos and self._connection is not None:
            # a link that was removed from the settings: the broker's session still has its subscriptions
            self._owed[message.mid] = ("", False)
            if topic is not None:
                self._connection.unsubscribe([str(topic)])
            self._settle(message.mid)

    def _check_receive_max(self, waiting: int) -> None:
        if waiting > session.RECEIVE_MAX and self._connection is not None:
            reason = phrase(
                "the broker sent more than {count} messages without waiting for acknowledgements",
                count=session.RECEIVE_MAX,
            )
            self._connection.end(reason)

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
        if token is not _BEAT:
            self._on_event(PublishDenied(token, code, reason) if code >= _FAILURE else Accepted(token))

    # --- presence -------------------------------------------------------------------------------------------------

    def _give_sign(self, link: str) -> None:
        """Publish what shows once a beat that we are here."""
        if self._connection is not None and link == next(iter(self._links()), None):
            # the broker must answer, too: a node that has lost its cluster neither takes nor delivers anything
            self._connection.publish(self._topic(link, "presence"), PRESENT, _BEAT)
            self._publish_sign(link)
        elif link not in self._left:
            self._greet(link)

    def _greet(self, link: str) -> None:
        self._publish_presence(link, PRESENT)
        self._publish_sign(link)

    def _publish_sign(self, link: str) -> None:
        if self._connection is not None and (sign := self._signs(link)) is not None:
            self._connection.publish_once(self._topic(link, "receipt"), sign, session.short_lived())

    def _publish_presence(self, link: str, payload: bytes) -> None:
        if self._connection is not None:
            self._connection.publish_once(self._topic(link, "presence"), payload)

    def _topic(self, link: str, channel: TopicChannel) -> str:
        return str(Topic(link, self._identity, channel))

    def _now_s(self) -> float:
        return self._real_ms() / 1_000
