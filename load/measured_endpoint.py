"""Runs an endpoint with instruments, as a child of the load test: `python -m load.measured_endpoint CONFIG DESCRIPTOR`.

It is the endpoint of `deconflict run`, composed by the same code. The load test talks to it over the socket with this
descriptor; when the load test has gone, the process stops in order.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from endpoints.clocks.clock import SystemClock
from endpoints.config.settings import EndpointSettings, load_endpoint
from endpoints.errors import UserError
from endpoints.journal.stdout_feed import StdoutFeed
from endpoints.keys.process_memory import protect
from endpoints.runtime.instruments import Beside
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.work_queue import WorkQueue
from endpoints.service import endpoint
from load.at_queue import QueueLoad, acknowledge_all
from load.channel import (
    AcknowledgeAll,
    Acknowledged,
    ChildChannel,
    Collect,
    EndRun,
    Failed,
    Progress,
    Ran,
    Receipted,
    Rows,
    Run,
    Serving,
)
from load.probe import Probe
from protocol.errors import LinkError
from protocol.phrases import said, worded

SELECTED_LINKS_MAX = 64
"""An endpoint of so many links has few enough descriptors for select()."""


class MeasuredEndpoint:
    """The endpoint's side of the channel."""

    def __init__(self, settings: EndpointSettings, end: socket.socket) -> None:
        self.probe = Probe(SystemClock().precise_ns, self._receipted, self._works)
        self._settings = settings
        self._end = end
        self._channel: ChildChannel | None = None
        self._running: QueueLoad | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def _works(self, runners: Mapping[str, AnyRunner], queue: WorkQueue) -> Sequence[Beside]:
        async def serve() -> None:
            await self._serve(runners, queue)

        return [serve]

    async def _serve(self, runners: Mapping[str, AnyRunner], queue: WorkQueue) -> None:
        channel = self._channel = await ChildChannel.over(self._end)
        channel.send(Serving())
        while (asked := await channel.asked()) is not None:
            match asked:
                case Run():
                    self._begin(channel, self._run(channel, asked, runners, queue))
                case EndRun():
                    if self._running is not None:
                        self._running.driver.stop()
                case AcknowledgeAll():
                    self._begin(channel, self._acknowledge(channel, runners, queue))
                case Collect():
                    channel.send(Rows(self.probe.take_rows()))
        # the load test has gone
        os.kill(os.getpid(), signal.SIGTERM)

    def _begin(self, channel: ChildChannel, work: Coroutine[Any, Any, None]) -> None:
        async def reported() -> None:
            try:
                await work
            except UserError as error:
                channel.send(Failed(str(error), said(worded(error))))

        task = asyncio.create_task(reported())
        # bounded: the load test asks for one thing at a time
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, channel: ChildChannel, asked: Run, runners: Mapping[str, AnyRunner], queue: WorkQueue) -> None:
        running = QueueLoad(
            runners,
            queue,
            SystemClock().precise_ns,
            asked.load,
            asked.links,
            asked.template,
            asked.first,
            lambda done: channel.send(Progress(done)),
        )
        self._running = running
        try:
            channel.send(Ran(await running.run(), running.seqs))
        finally:
            self._running = None

    async def _acknowledge(self, channel: ChildChannel, runners: Mapping[str, AnyRunner], queue: WorkQueue) -> None:
        officer = next(iter(self._settings.officers))
        channel.send(Acknowledged(await acknowledge_all(runners, queue, self._settings.side, officer)))

    def _receipted(self, row: Receipted) -> None:
        if self._running is not None:
            self._running.receipted(row)
        elif self._channel is not None:
            # after this turn of the loop, whose frames must not wait
            asyncio.get_running_loop().call_soon(self._channel.send, row)


def main() -> int:
    """Run the endpoint until SIGTERM, or until the load test has gone."""
    config, descriptor = sys.argv[1:]
    try:
        settings = load_endpoint(Path(config))
        if not settings.allow_ptrace:
            protect()
        measured = MeasuredEndpoint(settings, socket.socket(fileno=int(descriptor)))
        process = endpoint(settings, StdoutFeed(), measured.probe)
        # select() waits with the precision of the clock, epoll in milliseconds: the open model needs it; but select()
        # takes no descriptor above 1,023
        few = len(settings.links) <= SELECTED_LINKS_MAX
        selector = selectors.SelectSelector if few else selectors.DefaultSelector
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector())) as runner:
            runner.run(process.run())
    except LinkError as error:
        with suppress(OSError):
            sys.stderr.write(f"{worded(error)}\n")
        return getattr(error, "exit_code", 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
