"""The watch's MQTT transport, on aiomqtt: it shares no client library code with the transport it checks (SPEC W6).

It subscribes to both directions of every link, publishes nothing and has no will. aiomqtt acknowledges to the broker
before the record is on disk, so a crash may lose frames: the watch records the gap in the stream as blind.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.reasoncodes import ReasonCode

from endpoints.config.broker_settings import BrokerSettings
from endpoints.mqtt import session
from endpoints.mqtt.events import Arrived, Connected, Joined, Lost, PresenceHeard, SignOfLife, StillLost, TransportEvent
from endpoints.mqtt.failover import Failover
from endpoints.mqtt.failures import (
    CONNECT_ERRORS,
    KEEP_ALIVE,
    ErrorLog,
    LossReport,
    ended_by_broker,
    lost,
    lost_early,
    meaning,
    reason_of,
    refused_connection,
    refused_subscription,
)
from endpoints.mqtt.intervals import Intervals
from endpoints.mqtt.places import look_up
from endpoints.mqtt.presence import Presence
from endpoints.mqtt.takeovers import TAKEN_OVER
from endpoints.mqtt.tls import ClientContext, client_context
from endpoints.mqtt.topics import PRESENT, Topic, subscriptions
from protocol.phrases import phrase
from protocol.wire.instants import Millis

INCOMING_MAX = 1_024
"""Messages between two turns of the loop at most: 64 MiB of the largest frames; aiomqtt drops any more."""

_UNSPECIFIED = 0x80
_TIMED_OUT = "Operation timed out"
"""How aiomqtt says that the broker has not answered."""
_FAILURES = (aiomqtt.MqttError, *CONNECT_ERRORS)


class _GivenUp(aiomqtt.MqttError):
    """The watch gives a connection up: the broker refused a subscription, or nobody is heard. The text says why."""


class ObserverTransport:
    """The watch's connection. `on_event` is called synchronously from the loop; it must not await or block."""

    def __init__(
        self,
        settings: BrokerSettings,
        links: Iterable[tuple[str, tuple[str, str]]],
        on_event: Callable[[TransportEvent], None],
        real_ms: Callable[[], Millis],
        intervals: Intervals | None = None,
    ) -> None:
        """Prepare the transport; `run` connects it.

        Args:
            settings: the broker's addresses and authority, and the watch's identity and certificate.
            links: each link's id and its two parties.
            on_event: takes `Connected`, `Joined`, `Lost`, `Arrived`, `PresenceChanged`, `PresenceHeard`, `SignOfLife`.
            real_ms: reads the machine's monotonic clock, in milliseconds.
            intervals: keepalive, back-off and presence; only tests change them.

        Raises UserError if a certificate or key cannot be used.
        """
        client_context(settings)
        self._settings = settings
        self._on_event = on_event
        self._real_ms = real_ms
        self._intervals = intervals or Intervals()
        parties = [(link, party) for link, both in links for party in both]
        self._subscriptions = dict(each for party in parties for each in subscriptions(*party))
        self._presence = Presence(parties, self._intervals.presence_s, on_event)
        self._opened_at_s: float | None = None
        # nodes that are still to be tried while nobody is heard
        self._untried = self._others = len(settings.addresses) - 1
        # the last error that paho logged on this connection
        self._heard: str | None = None
        self._failover = Failover(settings.addresses, self._intervals.pause_s, self._intervals.stable_s)
        self._trouble: str | None = phrase("not connected yet")

    @property
    def trouble(self) -> str | None:
        """Why there is no connection, as of the last attempt; None while there is one."""
        return self._trouble

    async def run(self) -> None:
        """Stay connected until cancelled. Raises what `on_event` raises."""
        report = LossReport()
        while True:
            self._heard = None
            reason: str = phrase("the broker closed the connection")
            displaced = False
            try:
                await self._serve()
            except _FAILURES as error:
                reason = self._reason(error)
                displaced = _code(error) == TAKEN_OVER
            reason = self._failover.told(reason)
            self._trouble = reason
            lived_s = None if self._opened_at_s is None else self._now_s() - self._opened_at_s
            self._opened_at_s = None
            # of a host with several IP addresses, the last one's failure counts
            counts = lived_s is not None or not self._failover.more
            due = counts and report.due(reason, was_up=lived_s is not None)
            self._on_event((Lost if due else StillLost)(reason))
            await asyncio.sleep(self._failover.ended(lived_s, displaced=displaced))

    def flush(self, *, again: bool = False) -> None:
        """Do nothing: the watch publishes no frames, and aiomqtt acknowledges by itself."""
        del again

    def rejoin(self, link: str) -> None:
        """Report presence on `link` again, to its new link runner; frames arrive as before."""
        self._presence.forget(link, self._now_s())
        if self._opened_at_s is not None:
            self._on_event(Joined(link))

    def _reason(self, error: BaseException) -> str:
        """Return why a connection ended; what paho logged says more than aiomqtt's error."""
        if (code := _code(error)) is not None:
            if isinstance(error, MqttConnectError) or isinstance(error.__cause__, MqttConnectError):
                return refused_connection(code)
            if code != _UNSPECIFIED:
                # aiomqtt does not say whether the broker or paho has ended it
                return lost(meaning(code)) if code == KEEP_ALIVE else ended_by_broker(code)
            return self._lost(self._heard) if self._heard else phrase("the broker closed the connection")
        if self._heard:
            return self._lost(self._heard)
        if not isinstance(error, aiomqtt.MqttError):
            return reason_of(error)
        if isinstance(error, _GivenUp):
            reason: str = error.args[0]
            return reason
        cause = error.__cause__ or error.__context__
        if cause is not None and str(error) != _TIMED_OUT:
            # aiomqtt wraps what the system raises
            return reason_of(cause)
        return phrase("the broker does not answer within {seconds} s", seconds=round(session.ANSWER_WITHIN_S))

    def _lost(self, why: str) -> str:
        return lost(why) if self._opened_at_s is not None else lost_early(why)

    def _hear(self, text: str) -> None:
        self._heard = text

    async def _serve(self) -> None:
        place = self._failover.choose(await look_up(self._failover.address))
        context = client_context(self._settings, place.address.host)
        client = aiomqtt.Client(
            place.ip,
            place.address.port,
            identifier=self._settings.identity,
            protocol=aiomqtt.ProtocolVersion.V5,
            # aiomqtt's default discards the session, and with it what the broker kept for us
            clean_start=False,
            properties=session.connect_properties(),
            tls_context=context,
            keepalive=self._intervals.keepalive_s,
            timeout=session.ANSWER_WITHIN_S,
            max_queued_incoming_messages=INCOMING_MAX,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            logger=ErrorLog(self._hear),
        )
        async with AsyncExitStack() as stack:
            stack.callback(_abandon, context)
            await stack.enter_async_context(client)
            opened = asyncio.Event()
            # no task but the first ends by itself; the first error ends all
            subscribing = asyncio.create_task(self._subscribe(client))
            tasks: set[asyncio.Task[None]] = {subscribing, asyncio.create_task(self._listen(client, opened))}
            try:
                # aiomqtt notices the end of a connection only while it waits for messages
                await _first(tasks)
                self._opened_at_s = self._now_s()
                self._trouble = None
                self._presence.listen(self._opened_at_s)
                self._on_event(Connected(broker_certificate=context.peer_certificate(), node=str(place)))
                opened.set()
                tasks.remove(subscribing)
                tasks.add(asyncio.create_task(self._check_presence()))
                await _first(tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        """Subscribe to every topic. Raises _GivenUp."""
        wanted = [*self._subscriptions.items()]
        for place in range(0, len(wanted), session.SUBSCRIBED_AT_ONCE):
            asked = wanted[place : place + session.SUBSCRIBED_AT_ONCE]
            granted = await client.subscribe(session.without_retained(asked))
            for (topic, qos), code in zip(asked, granted, strict=True):
                if code != qos:
                    raise _GivenUp(refused_subscription(topic, int(getattr(code, "value", _UNSPECIFIED))))

    async def _listen(self, client: aiomqtt.Client, opened: asyncio.Event) -> None:
        async for message in client.messages:
            await opened.wait()
            self._take(message)

    async def _check_presence(self) -> None:
        while True:
            await asyncio.sleep(self._presence.check_every_s)
            if self._presence.check(self._now_s()) and self._untried:
                # the watch publishes nothing that the broker would have to answer
                self._untried -= 1
                raise _GivenUp(phrase("nobody is heard at this node; another may hear them"))

    def _take(self, message: aiomqtt.Message) -> None:
        name = str(message.topic)
        payload = message.payload
        if name not in self._subscriptions or not isinstance(payload, bytes | bytearray):
            # a link that was removed from the settings: the broker's session still has its subscriptions
            return
        topic = Topic.parse(name)
        if topic.channel == "presence":
            now_s = self._now_s()
            self._untried = self._others
            self._presence.hear(topic.link, topic.sender, bytes(payload), now_s)
            if payload == PRESENT:
                self._on_event(PresenceHeard(topic.link, topic.sender, now_s))
        elif topic.channel == "receipt" and not message.qos:
            self._on_event(SignOfLife(topic, bytes(payload), self._now_s()))
        else:
            self._on_event(Arrived(topic, bytes(payload), None))

    def _now_s(self) -> float:
        return self._real_ms() / 1_000


def _abandon(context: ClientContext) -> None:
    """Close the socket if aiomqtt has not, and forget it: the next socket may have the same descriptor.

    aiomqtt leaves a connection open, and in the loop, that the broker does not accept in time.
    """
    if (descriptor := context.descriptor()) >= 0:
        loop = asyncio.get_running_loop()
        loop.remove_reader(descriptor)
        loop.remove_writer(descriptor)
    context.abandon()


def _code(error: BaseException) -> int | None:
    """Return the broker's reason code in an error of aiomqtt, None if there is none."""
    coded = error if isinstance(error, aiomqtt.MqttCodeError) else error.__cause__
    if isinstance(coded, aiomqtt.MqttCodeError) and isinstance(coded.rc, ReasonCode):
        return int(coded.rc.value)
    return None


async def _first(tasks: set[asyncio.Task[None]]) -> None:
    """Wait until the first of `tasks` ends. Raises what it raised."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
