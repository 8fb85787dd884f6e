"""Runs one side of a yardstick, as a child of the load test.

python -m load.yardsticks.process NAME SIDE PORT AUTHORITY TLS FOLDER DESCRIPTOR
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from endpoints.clocks.clock import SystemClock
from endpoints.errors import UserError
from load.channel import ChildChannel, EndRun, Failed, Progress, Ran, RunYardstick, Serving
from load.driver import Driver, Load, Told
from load.yardsticks import aiomqtt_echo, floor, paho_echo
from load.yardsticks.client import RECEIVER, SENDER, Connect, Place
from load.yardsticks.echo import EchoReceiver, EchoSender
from load.yardsticks.skeleton import SkeletonReceiver, SkeletonSender
from protocol.phrases import said, worded

CLIENTS: dict[str, Connect] = {
    "floor": floor.connect,
    "paho": paho_echo.connect,
    "aiomqtt": aiomqtt_echo.connect,
    "skeleton": floor.connect,
}


class Side(Protocol):
    """One side of a yardstick."""

    async def open(self, connect: Connect, place: Place) -> None:
        """Connect."""
        ...


class SendingSide(Side, Protocol):
    """The side that begins exchanges."""

    def prepare(self, load: Load, size_bytes: int, told: Told, *, flush: bool) -> Driver:
        """Return the driver of a slice."""
        ...


class YardstickProcess:
    """One side, and the channel to the load test."""

    def __init__(self, side: Side, sender: SendingSide | None) -> None:
        self._side = side
        self._sender = sender
        self._driver: Driver | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, connect: Connect, place: Place, end: socket.socket) -> None:
        """Connect, and serve until the load test has gone."""
        channel = await ChildChannel.over(end)
        await self._side.open(connect, place)
        channel.send(Serving())
        while (asked := await channel.asked()) is not None:
            if isinstance(asked, RunYardstick):
                task = asyncio.create_task(self._run(channel, asked))
                # bounded: the load test asks for one thing at a time
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            elif isinstance(asked, EndRun) and self._driver is not None:
                self._driver.stop()

    async def _run(self, channel: ChildChannel, asked: RunYardstick) -> None:
        assert self._sender is not None, "only the sending side is asked"
        driver = self._sender.prepare(
            asked.load, asked.size_bytes, lambda done: channel.send(Progress(done)), flush=asked.flush
        )
        self._driver = driver
        try:
            channel.send(Ran(await driver.run(), []))
        except UserError as error:
            channel.send(Failed(str(error), said(worded(error))))
        finally:
            self._driver = None


def main() -> int:
    """Run a side until SIGTERM, or until the load test has gone."""
    name, identity, port, authority, tls, folder, descriptor = sys.argv[1:]
    place = Place(port=int(port), authority=Path(authority), tls=Path(tls), identity=identity)
    clock_ns = SystemClock().precise_ns
    sender: SendingSide | None = None
    side: Side
    if identity == SENDER:
        side = sender = SkeletonSender(clock_ns, Path(folder)) if name == "skeleton" else EchoSender(clock_ns)
    else:
        assert identity == RECEIVER, "a yardstick has two sides"
        side = SkeletonReceiver(Path(folder)) if name == "skeleton" else EchoReceiver()
    process = YardstickProcess(side, sender)
    with (
        suppress(KeyboardInterrupt),
        asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner,
    ):
        runner.run(process.run(CLIENTS[name], place, socket.socket(fileno=int(descriptor))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
