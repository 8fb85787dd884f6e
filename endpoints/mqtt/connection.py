"""One MQTT 5 connection: a paho client driven by the running asyncio loop, used once and never reconnected.

paho resends by itself what was in flight when a client object reconnects; resending is the core's business (SPEC M4),
so every connection has a client object of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from endpoints.config.settings import BrokerSettings
from endpoints.errors import UserError
from endpoints.mqtt.tls import client_context

SESSION_EXPIRY_S = 30 * 86_400
"""How long the broker keeps our session without us (SPEC Q1.1 asks for a week at least)."""
RECEIVE_MAX = 128
"""Unacknowledged deliveries at most: 8 MiB of frames of the largest size, and a batch is rarely larger."""
IN_FLIGHT_MAX = 1_024
"""Publishes without the broker's answer at most: 64 MiB of the largest frames, and far more than the core sends."""
PACKET_MAX_BYTES = 131_072
"""What we let the broker send us in one packet: what it admits itself (SPEC F6.1)."""
CONNECT_WITHIN_S = 5.0
"""For the TCP connection, and again for the TLS handshake."""
ANSWER_WITHIN_S = 10.0
"""From CONNECT to the broker's CONNACK and SUBACK."""

_MISC_EVERY_S = 0.5
"""How often paho looks at its keepalive."""
_READS_AT_ONCE = 64
"""Then other callbacks of the loop have their turn."""
_UNSPECIFIED = 0x80
_TECHNICAL = re.compile(r"^.* on socket: (\[[^]]*\] )?| \(_ssl\.c:\d+\)$")
"""What surrounds the words for people in an error of paho and OpenSSL."""
_NOT_OURS = object()
"""In place of a token: QoS 0 publishes are answered by paho itself."""


class Will(Struct, frozen=True):
    """What the broker publishes for us, QoS 0, when we are gone for `delay_s` without a word."""

    topic: str
    payload: bytes
    delay_s: int


class Opened(Struct, frozen=True):
    """What the broker said in CONNACK."""

    session_present: bool
    packet_max_bytes: int | None


class ConnectionClosed(Struct, frozen=True):
    """Why a connection ended, or was not made."""

    reason: str
    # the reason code of the broker's DISCONNECT or refusing CONNACK, if it sent one
    code: int | None = None
    # the broker ended TLS properly, without a DISCONNECT: as Mosquitto 2.0 does when a session is taken over
    orderly: bool = False


class _Trouble(logging.Logger):
    """Takes paho's errors: the only place where it gives the reason for a lost connection."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__("paho", logging.ERROR)
        self._note = note

    def handle(self, record: logging.LogRecord) -> None:
        self._note(record.getMessage())


class Connection:
    """One connection. `run` returns when it has ended; the callbacks are called from the loop, synchronously.

    An exception of a callback ends the connection and comes out of `run`.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        subscriptions: Sequence[tuple[str, int]],
        will: Will | None,
        keepalive_s: int,
        on_open: Callable[[Opened], None],
        on_message: Callable[[MQTTMessage], None],
        on_published: Callable[[object, int, str], None],
    ) -> None:
        """Prepare a connection; nothing happens before `run`.

        Args:
            settings: where the broker is, how it is trusted, and who we are to it.
            subscriptions: topics with the QoS that must be granted.
            will: published by the broker when we vanish.
            keepalive_s: a silent broker is noticed after twice as long.
            on_open: CONNACK and SUBACK are here.
            on_message: something arrived, possibly before `on_open` (for a kept session).
            on_published: the broker answered the publish with this token: reason code and its name.
        """
        self._settings = settings
        self._keepalive_s = keepalive_s
        self._subscriptions = subscriptions
        self._on_open = on_open
        self._on_published = on_published
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[ConnectionClosed] = self._loop.create_future()
        self._opened: Opened | None = None
        self._trouble = ""
        # QoS 1 publishes: on their way, and waiting for room in the broker's Receive Maximum
        self._tokens: dict[int, object] = {}
        # subscriptions that the broker has not answered, and what is to follow
        self._asked: dict[int | None, tuple[Sequence[tuple[str, int]], Callable[[], None]]] = {}
        # bounded: the transport keeps `in_flight` below IN_FLIGHT_MAX
        self._waiting: deque[tuple[str, bytes, object]] = deque()
        self._window = 0
        self._descriptor = -1
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.identity,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_WITHIN_S
        # the window is ours to keep: paho takes none after CONNACK, which is when the broker names it
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
        # not on_log: it would have every packet written out in words
        client.enable_logger(_Trouble(self._note_trouble))
        self._client = client

    async def run(self) -> ConnectionClosed:
        """Connect, subscribe, and serve until the connection ends. The caller then calls `close`, whatever happened."""
        try:
            await self._connect_in_thread()
        except UserError as error:
            return ConnectionClosed(str(error))
        except (OSError, ValueError) as error:
            return ConnectionClosed(_said(error))
        self._attach()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S) as deadline:
                self._deadline = deadline
                return await asyncio.shield(self._ended)
        except TimeoutError:
            return ConnectionClosed(f"the broker does not answer within {ANSWER_WITHIN_S:.0f} s")

    def close(self) -> None:
        """End the connection in order, as far as what is unsent goes out at once."""
        if self._client.socket() is not None:
            self._client.disconnect()
            self._client.loop_write()
        if (sock := self._client.socket()) is not None:
            self._detach()
            sock.close()
        if self._timer is not None:
            self._timer.cancel()
        if not self._ended.done():
            self._ended.cancel()

    def fail(self, error: Exception) -> None:
        """End the connection because a callback failed: `error` comes out of `run`."""
        if not self._ended.done():
            self._ended.set_exception(error)

    def end(self, reason: str) -> None:
        """End the connection because the broker does what it must not."""
        self._end(ConnectionClosed(reason))

    @property
    def in_flight(self) -> int:
        """How many publishes wait for the broker's answer; the caller keeps them below IN_FLIGHT_MAX."""
        return len(self._tokens) + len(self._waiting)

    def publish(self, topic: str, payload: bytes, token: object) -> None:
        """Publish at QoS 1, in order; `on_published` follows with `token` if the connection lasts."""
        self._waiting.append((topic, payload, token))
        self._fill_window()

    def say(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 0: it arrives or not."""
        self._client.publish(topic, payload, qos=0)

    def acknowledge(self, packet_id: int) -> None:
        """Send PUBACK for a QoS 1 delivery."""
        self._client.ack(packet_id, 1)

    def subscribe(self, subscriptions: Sequence[tuple[str, int]], granted: Callable[[], None]) -> None:
        """Ask for topics with the QoS that must be granted; the connection ends if one is not."""
        options = [
            (topic, SubscribeOptions(qos=qos, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND))
            for topic, qos in subscriptions
        ]
        self._asked[self._client.subscribe(options)[1]] = (subscriptions, granted)

    def unsubscribe(self, topics: list[str]) -> None:
        """Ask for no more of `topics`."""
        self._client.unsubscribe(topics)

    # --- connecting -----------------------------------------------------------------------------------------------

    async def _connect_in_thread(self) -> None:
        """Name look-up, TCP and TLS may each hang: not on the loop, and in a thread that nobody has to wait for."""
        done: asyncio.Future[None] = self._loop.create_future()

        def arrived(error: Exception | None) -> None:
            if done.cancelled():
                self._abandon()
            elif error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def work() -> None:
            outcome: Exception | None = None
            try:
                self._connect()
            except Exception as error:  # noqa: BLE001 - handed over to the loop
                outcome = error
            try:
                self._loop.call_soon_threadsafe(arrived, outcome)
            except RuntimeError:  # the loop has ended meanwhile
                self._abandon()

        threading.Thread(target=work, name="broker-connect", daemon=True).start()
        await done

    def _connect(self) -> None:
        # read anew each time: a renewed certificate serves from the next connection on
        context = client_context(self._settings)
        self._client.tls_set_context(context)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = RECEIVE_MAX
        properties.MaximumPacketSize = PACKET_MAX_BYTES
        try:
            self._client.connect(
                self._settings.host,
                self._settings.port,
                self._keepalive_s,
                clean_start=False,
                properties=properties,
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
        if not isinstance(sock, ssl.SSLSocket):
            self._end(ConnectionClosed(self._trouble or "the broker closed the connection at once"))
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._descriptor = sock.fileno()
        self._client.on_socket_close = lambda _client, _userdata, _sock: self._detach()
        self._client.on_socket_register_write = self._wants_write
        self._loop.add_reader(self._descriptor, self._read)
        self._misc()
        if self._client.want_write():
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
                if not isinstance(sock, ssl.SSLSocket):
                    return
                if not sock.pending():
                    if hasattr(socket, "TCP_QUICKACK"):
                        # not kept by the kernel: to be said after every read
                        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                    return
            # what OpenSSL holds already, the selector does not see
            self._loop.call_soon(self._read)
        except Exception as error:  # noqa: BLE001 - comes out of run()
            self.fail(error)

    def _wants_write(self, _client: Client, _userdata: Any, _sock: Any) -> None:
        # not at once: what this turn of the loop still adds leaves with it
        self._loop.call_soon(self._write)

    def _write(self) -> None:
        if self._descriptor < 0:
            return
        try:
            self._client.loop_write()
        except Exception as error:  # noqa: BLE001 - comes out of run()
            self.fail(error)
            return
        # the writer is registered only while the kernel's buffer is full: two system calls less for each packet
        if self._descriptor >= 0 and self._client.want_write() != self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._descriptor, self._write)
            else:
                self._loop.remove_writer(self._descriptor)

    def _misc(self) -> None:
        if self._client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._timer = self._loop.call_later(_MISC_EVERY_S, self._misc)

    # --- paho's callbacks -----------------------------------------------------------------------------------------

    def _connected(
        self, _client: Client, _userdata: Any, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._end(ConnectionClosed(f"the broker refused the connection: {code.getName()}", code.value))
            return
        self._opened = Opened(flags.session_present, getattr(properties, "MaximumPacketSize", None))
        self._window = min(IN_FLIGHT_MAX, getattr(properties, "ReceiveMaximum", IN_FLIGHT_MAX))
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
                self._end(
                    ConnectionClosed(f"the broker refused the subscription to {topic}: {code.getName()}", code.value)
                )
                return
        granted()

    def _open(self) -> None:
        if self._opened is not None and not self._ended.done():
            self._deadline.reschedule(None)
            self._on_open(self._opened)

    def _disconnected(
        self, _client: Client, _userdata: Any, flags: DisconnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            said = getattr(properties, "ReasonString", "")
            self._end(
                ConnectionClosed(
                    f"the broker disconnected us: {code.getName()}{': ' if said else ''}{said[:200]}", code.value
                )
            )
        elif self._trouble:
            self._end(ConnectionClosed(self._trouble))
        elif code.value == _UNSPECIFIED:
            self._end(ConnectionClosed("the broker closed the connection", orderly=True))
        else:
            self._end(ConnectionClosed(f"connection lost: {code.getName()}"))

    def _published(
        self, _client: Client, _userdata: Any, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        token = self._tokens.pop(mid, _NOT_OURS)
        if token is not _NOT_OURS:
            self._fill_window()
            self._on_published(token, code.value, code.getName())

    def _fill_window(self) -> None:
        while self._waiting and len(self._tokens) < self._window:
            topic, payload, token = self._waiting.popleft()
            self._tokens[self._client.publish(topic, payload, qos=1).mid] = token

    def _note_trouble(self, text: str) -> None:
        self._trouble = f"connection lost: {_TECHNICAL.sub('', text)[:200]}"

    def _end(self, closed: ConnectionClosed) -> None:
        if not self._ended.done():
            self._ended.set_result(closed)


def _said(error: OSError | ValueError) -> str:
    """What a failed connection attempt says to a person, in one line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not valid here: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_WITHIN_S:.0f} s"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error)
