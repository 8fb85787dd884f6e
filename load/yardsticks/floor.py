"""The floor: the smallest asyncio MQTT client. What TLS, the broker and the machine cost, and nothing else.

It connects with a blocking socket. Then each read of the event loop takes all that has arrived, decrypts it, and sends
all answers together: one system call to read and one to write. asyncio's own TLS takes about twice as long.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

from load.yardsticks import mqtt_packets
from load.yardsticks.client import OnMessages, Place, YardstickClient, without_delay

_PACKET_IDS = 65_535
_READ_BYTES = 1 << 18
_WITHIN_S = 10.0


class Tls:
    """A blocking TLS connection whose bytes pass through memory, so that a caller chooses when to read and to write."""

    def __init__(self, place: Place) -> None:
        """Connect. Raises OSError."""
        self.socket = socket.create_connection(("127.0.0.1", place.port), timeout=_WITHIN_S)
        without_delay(self.socket)
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = place.context().wrap_bio(self._arrived, self._leaving, server_hostname="127.0.0.1")
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.socket.sendall(self._leaving.read())
                self._arrived.write(self.socket.recv(_READ_BYTES))
            else:
                self.socket.sendall(self._leaving.read())
                return

    def encrypted(self, data: bytes) -> bytes:
        """Return the bytes that carry `data` to the broker."""
        self._tls.write(data)
        return self._leaving.read()

    def decrypted(self, data: bytes) -> bytes:
        """Return what bytes of the broker carry, as far as it is complete."""
        self._arrived.write(data)
        parts = []
        try:
            while part := self._tls.read(_READ_BYTES):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        return b"".join(parts)


class FloorClient:
    """One connection. Messages that are published while arrived ones are handled leave together."""

    def __init__(self, place: Place, peer: str, on_messages: OnMessages) -> None:
        """Connect and subscribe. Raises OSError."""
        self._topic = mqtt_packets.text(place.topic(place.identity))
        self._on_messages = on_messages
        self._packets = mqtt_packets.Packets()
        self._packet_id = 0
        self._waiting: list[bytes] = []
        # what the socket did not take; bounded: by the window of what is measured
        self._unsent = b""
        self._reading = False
        self._tls = Tls(place)
        self._request(mqtt_packets.connect(place.identity), mqtt_packets.CONNACK)
        self._request(mqtt_packets.subscribe(place.topic(peer)), mqtt_packets.SUBACK)

    def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take what arrives from now on, on `loop`."""
        self._loop = loop
        self._tls.socket.setblocking(False)
        loop.add_reader(self._tls.socket, self._read)

    def publish(self, payload: bytes) -> None:
        """Publish a message at once, or with the others of the turn in which arrived ones are handled."""
        self._packet_id = self._packet_id % _PACKET_IDS + 1
        self._waiting.append(mqtt_packets.publish(self._topic, self._packet_id, payload))
        if not self._reading:
            self._send()

    async def close(self) -> None:
        """Close the connection."""
        self._loop.remove_reader(self._tls.socket)
        self._loop.remove_writer(self._tls.socket)
        self._tls.socket.close()

    def _request(self, packet: bytes, answer: int) -> None:
        connection = self._tls.socket
        connection.sendall(self._tls.encrypted(packet))
        while data := connection.recv(_READ_BYTES):
            if any(kind == answer for kind, _ in self._packets.feed(self._tls.decrypted(data))):
                return
        raise ConnectionError("the broker closed the connection")

    def _read(self) -> None:
        try:
            data = self._tls.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._tls.socket)
            return
        payloads, acknowledgements = [], []
        for kind, body in self._packets.feed(self._tls.decrypted(data)):
            if kind == mqtt_packets.PUBLISH:
                packet_id, payload = mqtt_packets.published(body)
                payloads.append(payload)
                acknowledgements.append(mqtt_packets.puback(packet_id))
        if payloads:
            self._reading = True
            self._on_messages(payloads)
            self._reading = False
            self._waiting += acknowledgements
            self._send()

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        data = self._tls.encrypted(b"".join(waiting))
        if self._unsent:
            self._unsent += data
        else:
            self._take_from(data)

    def _take_from(self, data: bytes) -> None:
        """Give the socket what it takes, and the rest when it can."""
        connection = self._tls.socket
        try:
            sent = connection.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data) and not self._unsent:
            self._loop.add_writer(connection, self._resume)
        self._unsent = data[sent:]

    def _resume(self) -> None:
        data, self._unsent = self._unsent, b""
        self._loop.remove_writer(self._tls.socket)
        self._take_from(data)


async def connect(place: Place, peer: str, on_messages: OnMessages) -> YardstickClient:
    """Return a connected client. Raises OSError."""
    client = await asyncio.to_thread(FloorClient, place, peer, on_messages)
    client.serve(asyncio.get_running_loop())
    return client
