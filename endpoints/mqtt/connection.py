"""One MQTT 5 connection: a paho client driven by the running asyncio loop, used once and never reconnected.

paho resends in-flight publishes when a client object reconnects. Resending is up to the core (SPEC M4), so every
connection uses a new client object.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from endpoints.config.broker_settings import BrokerSettings
from endpoints.mqtt import session
from endpoints.mqtt.buffered_socket import BufferedSocket
from endpoints.mqtt.closings import CAREFUL_S
from endpoints.mqtt.connecting import in_thread
from endpoints.mqtt.failover import Destination
from endpoints.mqtt.failures import (
    CONNECT_ERRORS,
    CONNECT_WITHIN_S,
    SILENT_ENDS,
    ErrorLog,
    ended_by_broker,
    lost,
    lost_early,
    meaning,
    reason_of,
    refused_connection,
    refused_subscription,
)
from endpoints.mqtt.publishes import NOT_OURS, Publishes
from endpoints.mqtt.session import ConnectionClosed, Opened, Will
from endpoints.mqtt.tls import ClientContext, client_context
from endpoints.network_faults import fault
from protocol.phrases import phrase

IN_FLIGHT_MAX = 1_024
"""Publishes that wait for the broker's answer at most: 64 MiB of the largest frames, far more than the core sends. With
many links there may be more (`endpoint_transport.IN_FLIGHT_OF_A_LINK`), which wait here until the broker takes them."""

_MISC_EVERY_S = 0.5
"""How often paho checks its keepalive."""
_READS_AT_ONCE = 64
"""Packets read before other callbacks of the loop run."""
_UNSPECIFIED = 0x80


class Connection:
    """One connection. `run` returns when it has ended; callbacks are called synchronously from the loop.

    An exception in a callback ends the connection, and `run` raises it.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        place: Destination,
        *,
        subscriptions: Sequence[tuple[str, int]],
        will: Will | None,
        keepalive_s: int,
        on_open: Callable[[Opened], None],
        on_message: Callable[[MQTTMessage], None],
        on_published: Callable[[object, int, str], None],
        careful: bool = False,
    ) -> None:
        """Prepare a connection; `run` opens it.

        Args:
            settings: the broker's authority, and our identity and certificate.
            place: the node to connect to.
            subscriptions: topics with the QoS that must be granted.
            will: published by the broker if the connection breaks.
            keepalive_s: a broker that is silent, or answers no publish, is noticed after twice this time.
            on_open: called after CONNACK and SUBACK.
            on_message: called for each message, possibly before `on_open` if the broker kept the session.
            on_published: called when the broker answers a publish: its token, the reason code and the code's name.
            careful: at first, one publish at a time waits for the broker's answer.
        """
        self._settings = settings
        self._place = place
        self._careful = careful
        self._keepalive_s = keepalive_s
        self._subscriptions = subscriptions
        self._on_open = on_open
        self._on_published = on_published
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[ConnectionClosed] = self._loop.create_future()
        self._opened: Opened | None = None
        self._context: ClientContext | None = None
        self._trouble = ""
        self._publishes = Publishes(self._publish, self._loop.time)
        # subscriptions that the broker has not answered, and what to call then
        self._asked: dict[int | None, tuple[Sequence[tuple[str, int]], Callable[[], None]]] = {}
        self._receive_max = 0
        self._descriptor = -1
        self._writing = False
        # something else than an acknowledgement waits to be sent
        self._urgent = False
        self._timer: asyncio.TimerHandle | None = None
        self._widening: asyncio.TimerHandle | None = None
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.identity,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_WITHIN_S
        # we keep the send window: paho cannot change its own after CONNACK, which names the broker's limit
        client.max_inflight_messages_set(IN_FLIGHT_MAX)
        if will is not None:
            properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
            properties.WillDelayInterval = will.delay_s
            client.will_set(will.topic, will.payload, qos=0, retain=False, properties=properties)
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_message = lambda _client, _userdata, message: on_message(message)
        # not on_log, which would format every packet as text
        client.enable_logger(ErrorLog(self._note_trouble))
        self._client = client

    async def run(self) -> ConnectionClosed:
        """Connect, subscribe, and serve until the connection ends. The caller must call `close` afterwards."""
        try:
            await in_thread(self._connect, self._abandon)
        except CONNECT_ERRORS as error:
            return ConnectionClosed(reason_of(error))
        self._attach()
        try:
            async with asyncio.timeout(session.ANSWER_WITHIN_S) as deadline:
                self._deadline = deadline
                return await asyncio.shield(self._ended)
        except TimeoutError:
            return ConnectionClosed(
                phrase("the broker does not answer within {seconds} s", seconds=round(session.ANSWER_WITHIN_S))
            )

    def close(self, *, end_session: bool = False) -> None:
        """Disconnect cleanly; bytes that the socket does not take at once are discarded.

        With `end_session`, the broker forgets the session, its subscriptions and its queue.
        """
        if self._client.socket() is not None:
            self._client.disconnect(properties=session.ends_session() if end_session else None)
            self._client.loop_write()
        if (sock := self._client.socket()) is not None:
            self._detach()
            sock.close()
        for timer in (self._timer, self._widening):
            if timer is not None:
                timer.cancel()
        if not self._ended.done():
            self._ended.cancel()

    def fail(self, error: Exception) -> None:
        """End the connection because a callback failed; `run` raises `error`."""
        if not self._ended.done():
            self._ended.set_exception(error)

    def end(self, reason: str) -> None:
        """End the connection because the broker violates the protocol."""
        self._end(ConnectionClosed(reason))

    @property
    def in_flight(self) -> int:
        """The number of publishes that wait for the broker's answer; the caller limits it."""
        return len(self._publishes)

    def publish(self, topic: str, payload: bytes, token: object) -> None:
        """Publish at QoS 1, in order; `on_published` is called with `token` if the connection lasts."""
        self._publishes.add(topic, payload, token)
        self._send()

    def publish_once(self, topic: str, payload: bytes, properties: Properties | None = None) -> None:
        """Publish at QoS 0, without retries."""
        self._client.publish(topic, payload, qos=0, properties=properties)

    def acknowledge(self, packet_id: int) -> None:
        """Send PUBACK for a QoS 1 delivery."""
        self._client.ack(packet_id, 1)

    def subscribe(self, subscriptions: Sequence[tuple[str, int]], granted: Callable[[], None]) -> None:
        """Subscribe to topics; the connection ends if the broker does not grant each its QoS."""
        asked, left = subscriptions[: session.SUBSCRIBED_AT_ONCE], subscriptions[session.SUBSCRIBED_AT_ONCE :]
        then = partial(self.subscribe, left, granted) if left else granted
        self._asked[self._client.subscribe(session.without_retained(asked))[1]] = (asked, then)

    def unsubscribe(self, topics: list[str]) -> None:
        """Unsubscribe from `topics`."""
        self._client.unsubscribe(topics)

    def flush(self, *, again: bool = False) -> None:
        """Send now what was published and acknowledged, instead of with the next turn of the event loop.

        If `flush` is called `again` at once, acknowledgements alone wait for what is published until then.
        """
        if self._client.want_write() and (self._urgent or not again):
            self._write()

    # --- connecting -----------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        # read for each connection: a renewed certificate takes effect at the next one
        context = client_context(self._settings, self._place.address.host)
        context.sslsocket_class = BufferedSocket
        self._context = context
        self._client.tls_set_context(context)
        try:
            self._client.connect(
                self._place.ip,
                self._place.address.port,
                self._keepalive_s,
                clean_start=False,
                properties=session.connect_properties(),
            )
        except BaseException:
            context.abandon()
            raise

    def _abandon(self) -> None:
        if (sock := self._client.socket()) is not None:
            sock.close()

    # --- the socket on the loop -----------------------------------------------------------------------------------

    def _attach(self) -> None:
        sock = self._client.socket()
        if not isinstance(sock, BufferedSocket):
            self._end(
                ConnectionClosed(
                    lost_early(self._trouble) if self._trouble else phrase("the broker closed the connection at once")
                )
            )
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._descriptor = sock.fileno()
        self._client.on_socket_close = lambda _client, _userdata, _sock: self._detach()
        self._client.on_socket_register_write = self._wants_write
        self._loop.add_reader(self._descriptor, self._read)
        self._misc()
        self._write()

    def _detach(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._descriptor = -1
            self._writing = False

    def _read(self) -> None:
        try:
            for _ in range(_READS_AT_ONCE):
                self._client.loop_read()
                sock = self._client.socket()
                if not isinstance(sock, BufferedSocket):
                    return
                if not sock.pending():
                    if hasattr(socket, "TCP_QUICKACK"):
                        # the kernel clears it: set it after every read
                        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                    return
            # the selector does not see what is decrypted already
            self._loop.call_soon(self._read)
        except Exception as error:  # noqa: BLE001 - raised by run()
            self.fail(error)

    def _wants_write(self, _client: Client, _userdata: Any, _sock: Any) -> None:
        # not at once: packets that this turn of the loop still adds are sent together
        self._loop.call_soon(self._write)

    def _write(self) -> None:
        sock = self._client.socket()
        if self._descriptor < 0 or not isinstance(sock, BufferedSocket):
            return
        self._urgent = False
        try:
            self._client.loop_write()
            sock.flush()
        except OSError as error:
            self._end(self._lost(fault(error)))
            return
        except Exception as error:  # noqa: BLE001 - raised by run()
            self.fail(error)
            return
        # the writer is registered only while the kernel's buffer is full: it saves two system calls per packet
        if self._descriptor >= 0 and sock.unsent != self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._descriptor, self._write)
            else:
                self._loop.remove_writer(self._descriptor)

    def _misc(self) -> None:
        if self._publishes.silent_s > 2 * self._keepalive_s:
            # it answers the keepalive: a node of a cluster that has lost the others does
            reason = phrase("the broker has answered no publish for {seconds} s", seconds=2 * self._keepalive_s)
            self._end(ConnectionClosed(reason))
        if self._client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._timer = self._loop.call_later(_MISC_EVERY_S, self._misc)

    # --- paho's callbacks -----------------------------------------------------------------------------------------

    def _connected(
        self, _client: Client, _userdata: Any, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._end(ConnectionClosed(refused_connection(code.value), code.value))
            return
        self._opened = Opened(
            flags.session_present,
            getattr(properties, "MaximumPacketSize", None),
            None if self._context is None else self._context.peer_certificate(),
            getattr(properties, "SessionExpiryInterval", session.SESSION_EXPIRY_S),
        )
        self._receive_max = min(IN_FLIGHT_MAX, getattr(properties, "ReceiveMaximum", IN_FLIGHT_MAX))
        self._publishes.window = 1 if self._careful else self._receive_max
        if not self._subscriptions:
            self._open()
            return
        self.subscribe(self._subscriptions, self._open)

    def _subscribed(
        self, _client: Client, _userdata: Any, mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        subscriptions, granted = self._asked.pop(mid)
        for (topic, qos), code in zip(subscriptions, codes, strict=True):
            if code.value != qos:
                self._end(ConnectionClosed(refused_subscription(topic, code.value), code.value))
                return
        granted()

    def _open(self) -> None:
        if self._opened is not None and not self._ended.done():
            self._deadline.reschedule(None)
            if self._careful:
                self._widening = self._loop.call_later(CAREFUL_S, self._widen)
            self._on_open(self._opened)

    def _widen(self) -> None:
        self._publishes.window = self._receive_max
        self._send()

    def _disconnected(
        self, _client: Client, _userdata: Any, flags: DisconnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            said = getattr(properties, "ReasonString", "")
            self._end(ConnectionClosed(ended_by_broker(code.value, said), code.value))
        elif self._trouble:
            self._end(self._lost(self._trouble))
        elif code.value == _UNSPECIFIED:
            reason = phrase("the broker closed the connection")
            self._end(ConnectionClosed(reason, orderly=True, closed=True, unanswered=self._publishes.unanswered))
        else:
            self._end(ConnectionClosed(lost(meaning(code.value))))

    def _published(
        self, _client: Client, _userdata: Any, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        token = self._publishes.answered(mid)
        if token is not NOT_OURS:
            self._send()
            self._on_published(token, code.value, meaning(code.value))

    def _send(self) -> None:
        if self._publishes.fill():
            self._urgent = True

    def _publish(self, topic: str, payload: bytes) -> int:
        return self._client.publish(topic, payload, qos=1).mid

    def _lost(self, why: str) -> ConnectionClosed:
        reason = (lost if self._opened is not None else lost_early)(why)
        return ConnectionClosed(reason, closed=why in SILENT_ENDS, unanswered=self._publishes.unanswered)

    def _note_trouble(self, text: str) -> None:
        self._trouble = text

    def _end(self, closed: ConnectionClosed) -> None:
        if not self._ended.done():
            self._ended.set_result(closed)
