"""Runs the console: its listener, and one task for each link that it follows."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from broker.supervisor import READY, STOPPING, Supervisor
from endpoints.clocks.clock import SystemClock, clock
from endpoints.config.console_settings import ConsoleSettings, TcpListen, UnixListen
from endpoints.console.application import Console
from endpoints.console.listeners import Listeners
from endpoints.console.log_in import LogIn
from endpoints.console.present_links import PresentLinks
from endpoints.console.server import ConsoleServer
from endpoints.console.sessions import Sessions
from endpoints.errors import UserError, os_reason
from protocol.phrases import phrase

BACKLOG = 128
ALIVE_EVERY_S = 1.0
Work = Callable[[], Coroutine[Any, Any, None]]
"""What runs for as long as the console does."""


def sessions_path(settings: ConsoleSettings) -> Path:
    """Return the file of the sessions: beside the control socket, in a folder of this user alone."""
    return settings.control.with_name("console.db")


def sessions(settings: ConsoleSettings) -> Sessions:
    """Return the sessions of a console, whether or not it runs. Raises UserError."""
    machine = SystemClock()
    return Sessions(sessions_path(settings), lambda: machine.now()[0])


async def run_console(
    settings: ConsoleSettings, watch: ConsoleSettings | None, opened: Callable[[], None] | None = None
) -> None:
    """Run the console until SIGTERM or SIGINT, then stop in order. Raises UserError if it cannot begin.

    `opened` is called once it listens.
    """
    listening = _listen(settings.listen)
    kept = sessions(settings)
    try:
        present = PresentLinks(settings, watch, clock(settings.exercise_clock))
        log_in = LogIn(kept, settings.control, present.links[0])
        listeners = Listeners(settings.control, SystemClock().real_ms)
        console = Console(present, kept, log_in, listeners, settings.origin)
        server = ConsoleServer(console.application, listening)
        if opened is not None:
            opened()
        await _until_stopped([*present.works, listeners.run], console, server)
    finally:
        kept.close()
        listening.close()


async def _until_stopped(works: Iterable[Work], console: Console, server: ConsoleServer) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    supervisor, machine = Supervisor(), SystemClock()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work()) for work in works]
        serving = group.create_task(server.run())
        supervisor.tell(READY)
        while not stop.is_set():
            supervisor.alive(machine.real_ms())
            try:
                await asyncio.wait_for(stop.wait(), ALIVE_EVERY_S)
            except TimeoutError:
                continue
        supervisor.tell(STOPPING)
        console.close()
        for task in tasks:
            task.cancel()
        await server.stop(serving)


def _listen(address: TcpListen | UnixListen) -> socket.socket:
    """Return a socket that listens at the address. Raises UserError."""
    if isinstance(address, UnixListen):
        family, where = socket.AF_UNIX, str(address.path)
        listening = socket.socket(family, socket.SOCK_STREAM)
        target: tuple[str, int] | str = where
    else:
        where = f"{address.host}:{address.port}"
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        target = (address.host, address.port)
    try:
        listening.bind(target)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UserError(
            phrase(
                "console: cannot listen at {where}: {reason}; choose a free port of this machine ([console] listen)",
                where=where,
                reason=os_reason(error),
            )
        ) from None
    listening.setblocking(False)
    return listening
