"""What the yardsticks' clients have in common: where they connect, and what a client of each kind can do."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

LINK = "yardstick"
SENDER, RECEIVER = "yardstick-a", "yardstick-b"

OnMessages = Callable[[list[bytes]], None]
"""Takes the payloads of the messages that arrived together, at least one."""


class Place(Struct, frozen=True, kw_only=True):
    """Where a yardstick's client connects, and as whom.

    Attributes:
        port: the broker's, on this machine.
        authority: the certificate of the broker's authority.
        tls: the folder with the client's certificate and key.
        identity: the client's, its name in its certificate.
    """

    port: int
    authority: Path
    tls: Path
    identity: str

    def topic(self, party: str) -> str:
        """Return the topic on which a party publishes."""
        return f"deconfliction/v1/{LINK}/{party}/message"

    def context(self) -> ssl.SSLContext:
        """Return the context of the endpoints: mutual TLS 1.3."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.authority))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.tls / "client.crt", self.tls / "client.key")
        return context


class YardstickClient(Protocol):
    """A connected client: it publishes at QoS 1 on its own topic, and hears the peer's."""

    def publish(self, payload: bytes) -> None:
        """Publish a message."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


Connect = Callable[[Place, str, OnMessages], Awaitable[YardstickClient]]
"""Connects, subscribes to the topic of the party named, and calls back with messages."""


def without_delay(sock: socket.socket) -> None:
    """Switch Nagle's algorithm off: with it, a request and its reply take 44 ms."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
