"""The health listener of one process: what it wraps of the links, what it reads of them, and what it answers.

Without the table `[health]` it wraps nothing, and prometheus-client is not imported.

    GET /healthz    200 while the process is alive, else 503 with a line for each reason (`condition`)
    GET /startupz   200 once it has been able to work, and while no link is stopped, else 503 likewise
    GET /readyz     200 while it can take and deliver messages, else 503 likewise
    GET /metrics    the metrics for Prometheus (`families`)
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import ParamSpec

from endpoints.clocks.clock import SystemClock
from endpoints.config.settings import EndpointSettings, LinkSettings, ProcessSettings
from endpoints.journal.store import SegmentStore
from endpoints.journal.writer import Batch, OnDisk
from endpoints.metrics.condition import LoopTurns, why_not_alive, why_not_ready, why_not_started
from endpoints.metrics.counters import LinkCounters
from endpoints.metrics.families import SIDE_DIRECTIONS, WATCH_DIRECTIONS
from endpoints.metrics.listener import Answer, HealthServer, listen, served
from endpoints.metrics.observed_store import ObservedStore
from endpoints.runtime.console_screens import ConsoleCounts
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.ports import ClockReader
from endpoints.runtime.work_queue import WorkQueue
from protocol.core.event_fields import CertificateOwner
from protocol.wire.instants import Millis
from protocol.wire.messages import Identifier

P = ParamSpec("P")
CertificateEnds = Callable[[], Mapping[CertificateOwner, Millis]]
"""Returns when each certificate that is known ends, in milliseconds since 1970."""


class Observation:
    """Observes one process, if its settings say where to serve that."""

    def __init__(
        self,
        settings: ProcessSettings,
        runners: Mapping[str, AnyRunner],
        queue: WorkQueue,
        clock: ClockReader,
        certificate_ends: CertificateEnds,
        screens: Callable[[], ConsoleCounts],
    ) -> None:
        """Prepare it; nothing is bound yet.

        Args:
            settings: the process's.
            runners: its runners by link.
            queue: the loop's.
            clock: the clock of the links.
            certificate_ends: returns when the certificates end.
            screens: returns what consoles say of their screens.
        """
        self._settings = settings
        self._runners = runners
        self._queue = queue
        self._clock = clock
        self._certificate_ends = certificate_ends
        self._screens = screens
        self._machine = SystemClock()
        self._turns = LoopTurns()
        self._directions = {link.id: _directions(settings, link) for link in settings.links}
        self._counters = {link: LinkCounters(names) for link, names in self._directions.items()}
        self._listening: socket.socket | None = None

    @property
    def on(self) -> bool:
        """Whether the process serves its health and metrics."""
        return self._settings.health is not None

    # --- what it wraps --------------------------------------------------------------------------------------------

    def store(self, link: LinkSettings, store: SegmentStore) -> SegmentStore:
        """Return the store of a link's journal, with its flushes measured."""
        if not self.on:
            return store
        return ObservedStore(store, link.journal, self._counters[link.id], self._machine.precise_ns)

    def on_disk(self, link: Identifier, also: OnDisk | None = None) -> OnDisk:
        """Return what is called with each batch of a link's journal that is on disk; it calls `also`, too."""
        if not self.on:
            return also or _ignore
        take = self._counters[link].take
        return take if also is None else _both(take, also)

    def turned(self, after: Callable[P, None]) -> Callable[P, None]:
        """Return what the loop calls after each turn: it calls `after`, too."""
        if not self.on:
            return after

        def noted(*arguments: P.args, **named: P.kwargs) -> None:
            after(*arguments, **named)
            self._turns.turned(self._machine.real_ms())

        return noted

    # --- serving --------------------------------------------------------------------------------------------------

    def bind(self) -> None:
        """Listen at the address of the settings; nobody is answered before `run`. Raises UserError."""
        if self._settings.health is not None:
            self._listening = listen(self._settings.health)

    def close(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.close()

    async def run(self) -> None:
        """Answer requests until cancelled."""
        if self._listening is None:
            return
        from endpoints.metrics.reading import MetricsReading

        reading = MetricsReading(
            kind="endpoint" if isinstance(self._settings, EndpointSettings) else "watch",
            runners=self._runners,
            queue=self._queue,
            clock=self._clock,
            machine=self._machine,
            turns=self._turns,
            directions=self._directions,
            counters=self._counters,
            purposes={link.id: link.content.terms.policy.status for link in self._settings.links},
            certificate_ends=self._certificate_ends,
            screens=self._screens,
        )

        async def handle(path: str) -> Answer | None:
            match path:
                case "/healthz":
                    return _condition("ok", why_not_alive(self._turns, self._machine.real_ms()))
                case "/startupz":
                    return _condition("started", why_not_started(self._turns, self._machine.real_ms(), self._runners))
                case "/readyz":
                    return _condition("ready", why_not_ready(self._turns, self._machine.real_ms(), self._runners))
                case "/metrics":
                    return Answer(HTTPStatus.OK, await reading.text(), reading.content_type)
                case _:
                    return None

        await served(HealthServer(self._listening, handle, reading.dropped))


def _condition(good: str, reasons: Iterable[str]) -> Answer:
    lines = list(reasons)
    status = HTTPStatus.SERVICE_UNAVAILABLE if lines else HTTPStatus.OK
    return Answer(status, "".join(f"{line}\n" for line in lines or [good]).encode())


def _directions(settings: ProcessSettings, link: LinkSettings) -> dict[Identifier, str]:
    """Return the direction of each party's messages, as the labels name it."""
    terms = link.content.terms
    if isinstance(settings, EndpointSettings):
        return dict(zip((settings.side, link.content.peer_of(settings.side)), SIDE_DIRECTIONS, strict=True))
    return dict(zip((terms.caller, terms.answering), WATCH_DIRECTIONS, strict=True))


def _both(first: OnDisk, second: OnDisk) -> OnDisk:
    def take(batch: Batch) -> None:
        first(batch)
        second(batch)

    return take


def _ignore(_batch: Batch) -> None:
    """Take a batch, and do nothing with it."""
