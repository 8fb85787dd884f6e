"""Runs the console: its listener, and one task for each link that it follows."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from broker.supervisor import READY, STOPPING, Supervisor
from endpoints.clocks.clock import SystemClock, clock
from endpoints.config.console_settings import ConsoleSettings
from endpoints.console.acts import Acts
from endpoints.console.address import listen, tls
from endpoints.console.application import Console
from endpoints.console.credential_attempts import CredentialAttempts
from endpoints.console.handover import Handover
from endpoints.console.listeners import Listeners
from endpoints.console.log_in import LogIn
from endpoints.console.present_links import PresentLinks
from endpoints.console.server import console_server
from endpoints.console.sessions import Sessions
from endpoints.control.limited_server import LimitedServer
from endpoints.errors import UserError
from endpoints.journal import ordinary_log
from endpoints.journal.stdout_feed import StdoutFeed
from endpoints.structured_log import get_logger
from endpoints.texts.exporting import TOOL
from protocol.phrases import phrase

ALIVE_EVERY_S = 1.0
PRINT_WITHIN_S = 2.0
"""How long the last log lines may take."""
_log = get_logger()
Work = Callable[[], Coroutine[Any, Any, None]]
"""What runs for as long as the console does."""


def sessions_path(settings: ConsoleSettings) -> Path:
    """Return the file of the sessions: beside the control socket, in a folder of this user alone."""
    return settings.control.with_name("console.db")


def sessions(settings: ConsoleSettings) -> Sessions:
    """Return the sessions of a console, whether or not it runs. Raises UserError."""
    machine = SystemClock()
    return Sessions(sessions_path(settings), lambda: machine.now()[0])


async def end_sessions(settings: ConsoleSettings) -> int:
    """End every session and every unused link, and have the endpoint journal it; return how many sessions there were.

    Raises UserError if the file of the sessions can't be used.
    """
    with closing(sessions(settings)) as kept:
        log_in = LogIn(kept, settings, lambda: None, CredentialAttempts(SystemClock().real_ms))
        kept.end_links()
        found = kept.all()
        # an endpoint that hangs must keep none of them open
        for session in found:
            kept.end(session)
        for session in found:
            if not await log_in.end(session, "ended"):
                break
        return len(found)


def watch_of(settings: ConsoleSettings, watch: ConsoleSettings) -> ConsoleSettings:
    """Return `watch`. Raises UserError unless it is of an independent watch that knows a link of the console."""
    if not watch.watch:
        raise UserError(
            phrase("{path}: the configuration of an endpoint; the independent watch has watch.toml", path=watch.path)
        )
    links = {link.id for link in settings.links}
    if not links & {link.id for link in watch.links}:
        raise UserError(
            phrase("{path}: this watch has none of the links {links}", path=watch.path, links=", ".join(sorted(links)))
        )
    return watch


async def run_console(
    settings: ConsoleSettings,
    watch: ConsoleSettings | None,
    output: StdoutFeed,
    opened: Callable[[], None] | None = None,
) -> None:
    """Run the console until SIGTERM, SIGINT or SIGHUP, then stop in order. Raises UserError if it cannot begin.

    Args:
        settings: the console's.
        watch: of the independent watch, None without it.
        output: prints the log lines.
        opened: is called once it listens; without it, start and end are logged.
    """
    machine, time = SystemClock(), clock(settings.exercise_clock)
    secure = tls(settings)
    with closing(listen(settings.listen)) as listening, closing(sessions(settings)) as kept:
        present = PresentLinks(settings, watch, time)
        attempts = CredentialAttempts(machine.real_ms)
        log_in = LogIn(kept, settings, present.officers, attempts)
        acts = Acts(settings.control, attempts)
        listeners = Listeners(settings.control, machine.real_ms)
        console = Console(present, kept, log_in, acts, listeners, settings.origin)
        server = console_server(console.application, listening, secure)
        ordinary_log.configure(output, time, settings.side)
        output.start()
        try:
            if opened is None:
                _log.info("started", software=TOOL, origin=settings.origin, links=list(present.links))
            else:
                opened()
            handover = Handover(present, kept, log_in)
            works = [*present.works, listeners.run, log_in.run, handover.run]
            await _until_stopped(works, listeners.close, console, server)
            if opened is None:
                _log.info("stopped")
        finally:
            output.close(PRINT_WITHIN_S)


async def _until_stopped(works: Iterable[Work], farewell: Work, console: Console, server: LimitedServer) -> None:
    stop = asyncio.Event()
    # with nohup, the end of a terminal ends nothing
    hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    for number in (signal.SIGTERM, signal.SIGINT, *hang_up):
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
        await farewell()
        for task in tasks:
            task.cancel()
        await server.stop(serving)
