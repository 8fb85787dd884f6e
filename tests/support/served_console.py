"""Serves a console over a real socket in this process, without an endpoint, and asks it as browsers do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from endpoints.clocks.clock import SystemClock
from endpoints.config.console_settings import ConsoleSettings, load_console
from endpoints.console import address
from endpoints.console.acts import Acts
from endpoints.console.application import Console
from endpoints.console.credential_attempts import CredentialAttempts
from endpoints.console.listeners import Listeners
from endpoints.console.log_in import LogIn
from endpoints.console.present_links import PresentLinks
from endpoints.console.server import LIMITS, console_server
from endpoints.console.sessions import Sessions
from endpoints.control.limited_server import TimeLimits
from tests.support.broker_site import free_port
from tests.support.installation import installed

LINK = "eucom-ndmc"


def settings_of(folder: Path) -> ConsoleSettings:
    """Return the settings of a console of eucom, installed in `folder`, at a free port."""
    place = f"localhost:{free_port()}"
    environment = {"DECONFLICT_CONSOLE_LISTEN": place, "DECONFLICT_CONSOLE_ORIGIN": f"http://{place}"}
    return load_console(installed(folder / "d") / "eucom" / "endpoint.toml", environment)


def kept_sessions(folder: Path) -> Sessions:
    """Return sessions that are kept in `folder`; close them."""
    return Sessions(folder / "console.db", lambda: SystemClock().now()[0])


@contextlib.asynccontextmanager
async def served(settings: ConsoleSettings, sessions: Sessions, limits: TimeLimits = LIMITS) -> AsyncIterator[None]:
    """Serve the console of an endpoint that does not run."""
    machine = SystemClock()
    present = PresentLinks(settings, None, machine)
    attempts = CredentialAttempts(machine.real_ms)
    log_in, acts = LogIn(sessions, settings, present.officers, attempts), Acts(settings.control, attempts)
    console = Console(present, sessions, log_in, acts, Listeners(settings.control, machine.real_ms), settings.origin)
    listening = address.listen(settings.listen)
    serving = console_server(console.application, listening, address.tls(settings), limits)
    tasks = [asyncio.create_task(work()) for work in present.works]
    running = asyncio.create_task(serving.run())
    try:
        yield
    finally:
        console.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await serving.stop(running)


@contextlib.asynccontextmanager
async def browser(settings: ConsoleSettings, token: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """Return a client with the cookie of a session, as a browser of the console's own page has it."""
    headers = {"origin": settings.origin, "sec-fetch-site": "same-origin"}
    async with httpx.AsyncClient(base_url=settings.origin, headers=headers, trust_env=False) as client:
        if token:
            answer = await client.get(f"/board-link/{token}")
            headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]
            client.headers["cookie"] = headers["cookie"]
        yield client


async def raw(settings: ConsoleSettings, *pieces: bytes, within_s: float = 10) -> bytes:
    """Send pieces over a connection; return what comes until it ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(settings.origin.rpartition(":")[2]))
    got = b""
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        got = await asyncio.wait_for(reader.read(), within_s)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return got
