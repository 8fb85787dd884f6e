"""What an endpoint and the watch share as processes: the loop, the control socket, notifications, standard output.

Whatever is wrong with files, keys or the socket is said before the first record. A journal that can't be used stops its
link alone, at the start as later, unless none of them can be used.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import structlog

from endpoints.clocks.clock import clock
from endpoints.config.settings import EndpointSettings, LinkSettings, Notifications, WatchSettings
from endpoints.control.application import Control
from endpoints.control.server import ControlServer, listen
from endpoints.failpoints import failpoint
from endpoints.journal import ordinary_log
from endpoints.journal.stdout_feed import StdoutFeed
from endpoints.journal.writer import JournalWriter, UnusableJournal
from endpoints.keys.credentials import OfficerCredentials
from endpoints.mqtt.events import (
    Accepted,
    Arrived,
    Connected,
    Delivery,
    Joined,
    Lost,
    PresenceChanged,
    PublishDenied,
    TakenOver,
    TransportEvent,
)
from endpoints.notify import CommandSink, LogSink, Notifier, Sink, WebhookSink
from endpoints.runtime.link_runner import SOFTWARE
from endpoints.runtime.loop import Loop
from endpoints.runtime.reopening import Opening
from endpoints.runtime.work_items import AnyLink, EventItem, FrameItem
from protocol.core.core import Core
from protocol.core.events import IdentityTakenOver, NotificationDone, TransportConnected, TransportLost
from protocol.errors import LinkError

PRINT_WITHIN_S = 5.0
"""How long a stop waits for whoever reads standard output; the rest is printed at the next start."""

Work = Callable[[], Coroutine[Any, Any, None]]

_log = structlog.get_logger()


class Process:
    """One process over its links' rooms. Subclasses furnish the rooms and bring the transport."""

    def __init__(self, settings: EndpointSettings | WatchSettings, side: str) -> None:
        self._settings = settings
        self._side = side
        self._clock = clock(settings.exercise_clock)
        self._output = StdoutFeed()
        ordinary_log.configure(self._output, self._clock, side)
        self._runners: dict[str, AnyLink] = {}
        """By link; the loop and the control socket see it change when a link that has stopped comes back."""
        self._openings = [
            Opening(link, side, partial(self._empty, link), partial(self._runner, link)) for link in settings.links
        ]
        self._loop = Loop(self._clock, self._runners, self._output.wake)
        self._notifier = Notifier(_sinks(settings.notifications), self._notified)

    # --- what subclasses say ------------------------------------------------------------------------------------

    def _empty(self, link: LinkSettings) -> Core:
        """Return the core of a link of which nothing is known yet."""
        raise NotImplementedError

    def _runner(self, link: LinkSettings, core: Any, journal: JournalWriter) -> AnyLink:
        """Return the room of a link around its core. Raises UserError."""
        raise NotImplementedError

    def _rejoin(self, link: str) -> None:
        """Have the transport take part in a link again, and tell when it does."""
        raise NotImplementedError

    def _beside(self) -> Sequence[Work]:
        """Return what runs beside the loop: the transport at least."""
        raise NotImplementedError

    def _officers(self) -> OfficerCredentials | None:
        """Return who may act here."""
        return None

    def _acknowledge(self, delivery: Delivery) -> None:
        """Tell the broker that a delivery is on disk."""

    def _accepted(self, event: Accepted) -> None:
        """The broker has a publish of ours."""

    def _refused(self, event: PublishDenied) -> None:
        """The broker refused a publish of ours."""

    # --- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, then stop in order. Raises UserError if it cannot begin."""
        listening = listen(self._settings.control)
        server: ControlServer | None = None
        try:
            self._open()
            control = Control(self._loop, self._runners, self._officers(), self._clock.real_ms)
            server = ControlServer(control.application, listening, self._settings.control)
            await self._serve(control, server)
        finally:
            if server is None:
                listening.close()
                self._settings.control.unlink(missing_ok=True)

    def _open(self) -> None:
        """Open every link's room; one whose journal can't be used has stopped already. Raises UserError."""
        unusable: dict[str, UnusableJournal] = {}
        for opening in self._openings:
            try:
                self._runners[opening.link] = opening.open()
                self._output.follow(opening.folder, opening.journal)
            except UnusableJournal as error:
                self._runners[opening.link] = opening.stopped()
                unusable[opening.link] = error
        if len(unusable) == len(self._runners):
            raise next(iter(unusable.values()))
        for link, why in unusable.items():
            self._runners[link].fail(self._loop.now(), why)

    async def _keep_open(self, opening: Opening) -> None:
        await opening.keep_open(self._runners, self._loop.queue, partial(self._back, opening))

    def _back(self, opening: Opening) -> None:
        self._output.follow(opening.folder, opening.journal)
        self._rejoin(opening.link)

    async def _serve(self, control: Control, server: ControlServer) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        self._output.start()
        try:
            await self._until(stop, control, server)
        except BaseExceptionGroup as group:
            error = _first(group)
            if not isinstance(error, LinkError):
                _log.critical("a bug of ours ends this process", exc_info=error)
            raise error from None
        finally:
            await self._notifier.close()
            self._output.close(PRINT_WITHIN_S)

    async def _until(self, stop: asyncio.Event, control: Control, server: ControlServer) -> None:
        async with asyncio.TaskGroup() as group:
            main = group.create_task(self._loop.run())
            # nobody is served, and nothing is said to have started, before it is on disk
            await self._loop.started.wait()
            works: list[Work] = [*self._beside(), *(partial(self._keep_open, opening) for opening in self._openings)]
            beside = [group.create_task(work()) for work in works]
            serving = group.create_task(server.run())
            _log.info("started", software=SOFTWARE, links=list(self._runners))
            await stop.wait()
            _log.info("stopping")
            control.close()
            self._loop.stop()
            # the transport stays until the last frames are on their way
            await main
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await server.stop(serving)
            _log.info("stopped")

    # --- what happens -------------------------------------------------------------------------------------------

    def _happened(self, event: TransportEvent) -> None:
        """Take what the transport tells, synchronously, from the event loop."""
        queue, runners = self._loop.queue, self._runners
        match event:
            case Arrived(topic=topic, payload=payload, delivery=delivery):
                # the inbox has room for more than the broker may deliver; what finds none stays unacknowledged
                queue.put(FrameItem(runners[topic.link], topic, payload, lambda: self._settled(delivery)))
            case PresenceChanged(link=link, party=party, present=present):
                runners[link].presence[party].see(present=present)
                queue.wake()
            case Accepted():
                self._accepted(event)
                failpoint("after_accepted")
            case PublishDenied():
                self._refused(event)
            case Connected():
                failpoint("after_connected")
                queue.push(EventItem(runners.values(), lambda now: TransportConnected(at=now.at, mono=now.mono)))
            case Joined(link=link):
                queue.push(EventItem([runners[link]], lambda now: TransportConnected(at=now.at, mono=now.mono)))
            case Lost(reason=reason):
                failpoint("after_lost")
                lost = reason[:200]
                queue.push(
                    EventItem(runners.values(), lambda now: TransportLost(at=now.at, mono=now.mono, reason=lost))
                )
            case TakenOver(times=times):
                queue.push(
                    EventItem(runners.values(), lambda now: IdentityTakenOver(at=now.at, mono=now.mono, times=times))
                )

    def _settled(self, delivery: Delivery | None) -> None:
        if delivery is not None:
            self._acknowledge(delivery)

    def _notified(self, link: str, notice_id: str, delivered: bool) -> None:
        self._loop.queue.push(
            EventItem(
                [self._runners[link]],
                lambda now: NotificationDone(at=now.at, mono=now.mono, id=notice_id, delivered=delivered),
            )
        )


def _sinks(settings: Notifications) -> list[Sink]:
    sinks: list[Sink] = []
    if settings.log:
        sinks.append(LogSink())
    if settings.command:
        sinks.append(CommandSink(settings.command))
    if settings.webhook:
        sinks.append(WebhookSink(settings.webhook))
    return sinks


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
