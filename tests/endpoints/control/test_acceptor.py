"""Connections that wait together are accepted together, so that their requests share a turn of the loop."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from endpoints.control.connections import Acceptor, connections_max


class Client(asyncio.Protocol):
    """A client that has sent nothing."""

    idle = True
    ended = False

    def drop(self) -> None:
        self.ended = True


async def test_an_eighth_of_the_clients_is_accepted_at_once(tmp_path: Path) -> None:
    path, begun = str(tmp_path / "control.sock"), list[Client]()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(connections_max())
        listening.setblocking(False)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(connections_max() // 2)]
        for client in waiting:
            client.connect(path)

        def make() -> Client:
            begun.append(Client())
            return begun[-1]

        acceptor = Acceptor(listening)
        acceptor.start(make)
        counts = []
        while len(begun) < len(waiting):
            before = len(begun)
            await asyncio.sleep(0)
            counts += [len(begun) - before] if len(begun) > before else []
        # none is left, and accepting again does not fail
        await asyncio.sleep(0)
        acceptor.stop()
        assert counts == [connections_max() // 8] * 4
        assert not any(client.ended for client in begun)
        for client in waiting:
            client.close()
