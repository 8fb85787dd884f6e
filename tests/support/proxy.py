"""A TCP proxy that simulates network failures between a client and the broker: cut, stalled and half-open connections.

The tests and the soak use it. Bytes are forwarded unchanged, so TLS works end to end.
"""

import asyncio
import contextlib
import socket
import struct
from typing import Literal, Self

Direction = Literal["up", "down"]
"""`up` is from the client to the broker, `down` the other way."""

_CHUNK_BYTES = 65_536


class _Pair:
    """A client's connection and the connection to the broker that belongs to it."""

    def __init__(self, client: socket.socket, target: socket.socket) -> None:
        self.client = client
        self.target = target
        self.pumps: list[asyncio.Task[None]] = []

    def close(self) -> None:
        for pump in self.pumps:
            pump.cancel()
        self.client.close()
        self.target.close()


class TcpProxy:
    """Listens on a free port of 127.0.0.1 and forwards to `port` there. An async context manager."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._flows = {"up": asyncio.Event(), "down": asyncio.Event()}
        self._refusing = False
        self._pairs: set[_Pair] = set()
        self._half_open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        """Number of connections accepted so far."""

    async def __aenter__(self) -> Self:
        self.resume()
        self._accepting = asyncio.create_task(self._accept())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._accepting
        self.cut()
        self._listener.close()
        # let the cancelled pumps end
        await asyncio.sleep(0)

    @property
    def open_connections(self) -> int:
        return len(self._pairs)

    def refuse(self) -> None:
        """Close each new connection at once, until `admit`."""
        self._refusing = True

    def admit(self) -> None:
        """Accept new connections again."""
        self._refusing = False

    def cut(self) -> None:
        """Reset every connection, at both ends."""
        for pair in list(self._pairs):
            for end in (pair.client, pair.target):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            pair.close()
        self._pairs.clear()
        for end in self._half_open:
            end.close()
        self._half_open.clear()

    def stall(self, *directions: Direction) -> None:
        """Stop forwarding in these directions; nothing is lost, and connections stay open."""
        for direction in directions:
            self._flows[direction].clear()

    def resume(self) -> None:
        """Forward again in both directions."""
        for flow in self._flows.values():
            flow.set()

    def half_open(self) -> None:
        """Close the connections to the broker but leave the clients' open and silent, as if a host lost power."""
        for pair in list(self._pairs):
            for pump in pair.pumps:
                pump.cancel()
            pair.target.close()
            self._half_open.append(pair.client)
        self._pairs.clear()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._listener)
            self.accepted += 1
            if self._refusing:
                client.close()
                continue
            target = socket.socket()
            try:
                target.setblocking(False)
                await loop.sock_connect(target, self._target)
            except OSError:
                client.close()
                target.close()
                continue
            for end in (client, target):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = _Pair(client, target)
            self._pairs.add(pair)
            pair.pumps = [
                asyncio.create_task(self._pump(pair, client, target, "up")),
                asyncio.create_task(self._pump(pair, target, client, "down")),
            ]

    async def _pump(self, pair: _Pair, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        loop = asyncio.get_running_loop()
        flow = self._flows[direction]
        try:
            while True:
                await flow.wait()
                data = await loop.sock_recv(source, _CHUNK_BYTES)
                # data read before a stall waits too
                await flow.wait()
                if not data:
                    break
                await loop.sock_sendall(sink, data)
        except OSError:
            pass
        if pair in self._pairs:
            self._pairs.discard(pair)
            pair.close()
