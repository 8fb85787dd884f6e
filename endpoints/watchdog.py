"""The independent watch as a process: reads both directions of every link, and says so while it does (SPEC W6)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from endpoints.config.settings import LinkSettings, WatchSettings
from endpoints.journal.writer import JournalWriter
from endpoints.mqtt.observer_transport import ObserverTransport
from endpoints.process import Process, Work
from endpoints.runtime.link_runner import LinkRunner
from endpoints.runtime.work_items import AnyLink
from protocol.core.core import Core
from protocol.core.observer import Observer

PING_TIMEOUT_S = 10.0
LOOK_EVERY_S = 1.0

_log = structlog.get_logger()


class Watchdog(Process):
    """The watch as a process. It holds no signing key, publishes nothing, and nobody acts through it."""

    def __init__(self, settings: WatchSettings) -> None:
        super().__init__(settings, settings.identity)
        self._watch = settings
        self._transport = ObserverTransport(
            settings.broker,
            [(link.id, (link.content.terms.caller, link.content.terms.answering)) for link in settings.links],
            self._happened,
            self._clock.real_ms,
        )

    def _empty(self, link: LinkSettings) -> Core:
        return Observer.new(link.id, self._watch.identity)

    def _runner(self, link: LinkSettings, core: Any, journal: JournalWriter) -> AnyLink:
        return LinkRunner(core, journal, link.content, self._notifier)

    def _rejoin(self, link: str) -> None:
        self._transport.rejoin(link)

    def _beside(self) -> Sequence[Work]:
        return [self._transport.run, self._ping] if self._watch.dead_man_url else [self._transport.run]

    async def _ping(self) -> None:
        """Ask for the dead man's URL again and again, as long as every link is watched: its silence is the alarm."""
        import httpx  # noqa: PLC0415 - a third of a second at the start of a watch without a dead man's URL

        async with httpx.AsyncClient(timeout=PING_TIMEOUT_S, trust_env=False) as client:
            while True:
                if self._transport.trouble is not None or any(runner.failure for runner in self._runners.values()):
                    await asyncio.sleep(LOOK_EVERY_S)
                    continue
                try:
                    response = await client.get(self._watch.dead_man_url)
                    if not response.is_success:
                        _log.warning("dead-man's ping refused", status=response.status_code)
                except httpx.HTTPError as error:
                    # never the URL: it may hold a secret
                    _log.warning("dead-man's ping failed", why=type(error).__name__)
                await asyncio.sleep(self._watch.dead_man_every_s)
