"""Raw paho-mqtt: the endpoint's client library on the event loop, with TCP_NODELAY and nothing else of ours."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from load.yardsticks.client import OnMessages, Place, YardstickClient, without_delay

IN_FLIGHT_MAX = 4_096
WITHIN_S = 10.0
_KEEPALIVE_S = 60
_MISC_EVERY_S = 1.0
_READS_AT_ONCE = 64


class PahoClient:
    """One connection. paho in a thread of its own is slower."""

    def __init__(self, place: Place, peer: str, on_messages: OnMessages) -> None:
        self._loop = asyncio.get_running_loop()
        self._subscribed: asyncio.Future[None] = self._loop.create_future()
        self._place = place
        self._peer = peer
        self._own_topic = place.topic(place.identity)
        self._on_messages = on_messages
        self._misc: asyncio.TimerHandle | None = None
        client = Client(CallbackAPIVersion.VERSION2, client_id=place.identity, protocol=MQTTProtocolVersion.MQTTv5)
        client.max_inflight_messages_set(IN_FLIGHT_MAX)
        client.tls_set_context(place.context())
        client.on_connect = self._connected
        client.on_subscribe = self._granted
        client.on_message = self._heard
        self._client = client

    async def open(self) -> None:
        """Connect and subscribe. Raises OSError."""
        client = self._client
        await asyncio.to_thread(client.connect, "127.0.0.1", self._place.port, _KEEPALIVE_S)
        sock = self._socket()
        without_delay(sock)
        self._loop.add_reader(sock, self._read)
        client.on_socket_register_write = self._wants_write
        self._keep_alive()
        self._write()
        await asyncio.wait_for(self._subscribed, WITHIN_S)

    def publish(self, payload: bytes) -> None:
        """Publish a message."""
        self._client.publish(self._own_topic, payload, qos=1)

    async def close(self) -> None:
        """Disconnect."""
        if self._misc is not None:
            self._misc.cancel()
        self._loop.remove_reader(self._socket())
        self._client.disconnect()

    def _socket(self) -> ssl.SSLSocket:
        sock = self._client.socket()
        assert isinstance(sock, ssl.SSLSocket), "connected with TLS"
        return sock

    def _read(self) -> None:
        for _ in range(_READS_AT_ONCE):
            self._client.loop_read()
            if not self._socket().pending():
                return
        # the selector does not see what OpenSSL has already decrypted
        self._loop.call_soon(self._read)

    def _wants_write(self, *_: Any) -> None:
        self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._client.loop_write()

    def _keep_alive(self) -> None:
        self._client.loop_misc()
        self._misc = self._loop.call_later(_MISC_EVERY_S, self._keep_alive)

    def _connected(self, *_: Any) -> None:
        self._client.subscribe(self._place.topic(self._peer), qos=1)

    def _granted(self, *_: Any) -> None:
        self._subscribed.set_result(None)

    def _heard(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self._on_messages([bytes(message.payload)])


async def connect(place: Place, peer: str, on_messages: OnMessages) -> YardstickClient:
    """Return a connected client. Raises OSError."""
    client = PahoClient(place, peer, on_messages)
    await client.open()
    return client
