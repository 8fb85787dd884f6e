"""Runs a process: the loop, the control socket, notifications, standard output and the transport.

A mistake in files, keys or the socket is reported before the first record. A journal that can't be used stops its link
alone, at the start or later; the process does not start if none of them can be used.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Generic

from broker.supervisor import READY, STOPPING, Supervisor
from endpoints import descriptors
from endpoints.clocks.clock import Clock, ClockWatch
from endpoints.config.settings import EndpointSettings, LinkSettings
from endpoints.control.application import Control
from endpoints.control.requests import ACTIONS, WATCH_ACTIONS
from endpoints.control.server import ControlServer, listen
from endpoints.journal import ordinary_log
from endpoints.journal.stdout_feed import StdoutFeed
from endpoints.journal.writer import JournalWriter, UnusableJournal
from endpoints.keys.officer_credentials import OfficerCredentials
from endpoints.metrics.observation import Observation
from endpoints.notify import Notifier, words_of
from endpoints.runtime.console_screens import ConsoleScreens
from endpoints.runtime.flushing import InThreads
from endpoints.runtime.link_runner import SOFTWARE
from endpoints.runtime.loop import Loop
from endpoints.runtime.memory_upkeep import MemoryUpkeep
from endpoints.runtime.ports import LinkTransport
from endpoints.runtime.reloading import Build, Reloader, SettingsT, built
from endpoints.runtime.reopening import LinkOpener, RunnerT
from endpoints.runtime.start_checks import check_restored
from endpoints.runtime.timer import AsyncioTimer
from endpoints.runtime.work_queue import WorkQueue
from endpoints.structured_log import get_logger
from protocol.errors import LinkError

PRINT_WITHIN_S = 5.0
"""How long a stop waits for the reader of standard output; the rest is printed at the next start."""

Work = Callable[[], Coroutine[Any, Any, None]]
"""What runs beside the loop until the process stops."""
MakeJournal = Callable[[LinkSettings, str], JournalWriter]
"""Makes the journal of a link and of this process's side, not opened yet."""

_log = get_logger()


class Process(Generic[SettingsT, RunnerT]):
    """Runs one process: an endpoint or the watch."""

    def __init__(
        self,
        settings: SettingsT,
        read: Callable[[], SettingsT],
        side: str,
        clock: Clock,
        runners: dict[str, RunnerT],
        queue: WorkQueue,
        notifier: Notifier,
        transport: LinkTransport,
        build: Build[SettingsT, RunnerT],
        output: StdoutFeed,
        observation: Observation,
        screens: ConsoleScreens,
        *,
        journal: MakeJournal,
        beside: Sequence[Work] = (),
        supervisor: Supervisor | None = None,
    ) -> None:
        """Prepare the process; nothing is opened yet.

        Args:
            settings: the process's.
            read: reads them anew for a reload; raises UserError.
            side: the name in its journals.
            clock: the machine's clocks, or an exercise's.
            runners: the runners by link. It is filled here, and a link that has stopped gets a new runner.
            queue: the loop's.
            notifier: delivers notifications.
            transport: the connection to the broker.
            build: returns the runner of a link and its opened journal; raises UserError, UnusableJournal. Beside a
                running one it takes that one's core, to check new files.
            output: prints the journals and the ordinary log lines.
            observation: serves health and metrics, if the settings name an address.
            screens: what is known of consoles.
            journal: makes the journal of each link.
            beside: what else runs while the process does.
            supervisor: what has started this process; as the environment says if None.
        """
        self._settings = settings
        self._output = output
        ordinary_log.configure(self._output, clock, side)
        self._clock = clock
        self._runners = runners
        self._queue = queue
        self._notifier = notifier
        self._transport = transport
        self._folders = {link.id: link.journal for link in settings.links}
        self._openers = [
            LinkOpener(
                journal(link, side),
                partial(built, build, settings, link),
                admit=partial(check_restored, settings, link),
            )
            for link in settings.links
        ]
        monitor = ClockWatch(*clock.now(), clock.real_ms())
        timer = AsyncioTimer(clock, queue.wake)
        self._in_threads = InThreads()
        self._supervisor = supervisor or Supervisor()
        self._observation = observation
        turned = observation.turned(self._turned)
        self._loop = Loop(runners, queue, clock, monitor, timer, turned, self._in_threads)
        credentials = {name: officer.credential for name, officer in settings.officers.items()}
        self._officers = OfficerCredentials(credentials, clock.real_ms)
        self._screens = screens
        self._beside = [MemoryUpkeep(queue).run, screens.run, *beside]
        self._reloader = Reloader(
            settings,
            read,
            build,
            self._openers,
            runners,
            self._loop,
            self._officers,
            taken=lambda taken: notifier.use(words_of(taken, clock.now)),
            opened=self._print,
        )

    async def run(self, opened: Callable[[], None] | None = None) -> None:
        """Run until SIGTERM, SIGINT or SIGHUP, then stop in order. Raises UserError if it cannot begin.

        `opened` is called once everything is open, before the first record is printed.
        """
        descriptors.allow_for(len(self._settings.links))
        listening = listen(self._settings.control)
        server: ControlServer | None = None
        try:
            self._observation.bind()
            self._open()
            if opened is not None:
                opened()
            actions = ACTIONS if isinstance(self._settings, EndpointSettings) else WATCH_ACTIONS
            reload = self._reloader.reload
            control = Control(self._loop, self._runners, self._officers, self._clock, actions, reload, self._screens)
            server = ControlServer(control.application, listening, self._settings.control)
            await self._serve(control, server)
        finally:
            self._observation.close()
            if server is None:
                listening.close()
                self._settings.control.unlink(missing_ok=True)

    def _turned(self) -> None:
        """Send what this turn has published, then print its records; the loop turns, so the process is alive."""
        self._transport.flush(again=self._queue.awake)
        self._output.wake()
        self._supervisor.alive(self._clock.real_ms())

    def _open(self) -> None:
        """Open every link; one whose journal can't be used is stopped from the start. Raises UserError."""
        runners: dict[str, RunnerT] = {}
        unusable: dict[str, UnusableJournal] = {}

        def open_one(opener: LinkOpener[RunnerT]) -> None:
            try:
                runners[opener.link] = opener.open()
            except UnusableJournal as error:
                unusable[opener.link] = error

        self._in_threads([partial(open_one, opener) for opener in self._openers])
        for opener in self._openers:
            if opener.link in unusable:
                self._runners[opener.link] = opener.stopped()
                continue
            self._runners[opener.link] = runners[opener.link]
            if not opener.journal.n:
                _log.info(
                    "this journal is new; if this side ran on this link before, stop it and copy its journal here, "
                    "or open a new epoch",
                    link=opener.link,
                    journal=self._folders[opener.link],
                )
            self._print(opener)
        if len(unusable) == len(self._runners):
            raise next(iter(unusable.values()))
        for link, why in unusable.items():
            self._runners[link].fail(self._loop.now(), why)

    async def _keep_open(self, opener: LinkOpener[RunnerT]) -> None:
        await opener.keep_open(self._runners, self._queue, partial(self._back, opener))

    def _back(self, opener: LinkOpener[RunnerT]) -> None:
        self._print(opener)
        self._transport.rejoin(opener.link)

    def _print(self, opener: LinkOpener[RunnerT]) -> None:
        """Print the records of a journal that was opened."""
        self._output.follow(self._folders[opener.link], opener.journal)

    async def _serve(self, control: Control, server: ControlServer) -> None:
        stop = asyncio.Event()
        for number in stop_signals():
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
            # no client is served, and no start is logged, before it is on disk
            await self._loop.started.wait()
            keeping = [partial(self._keep_open, opener) for opener in self._openers]
            works: list[Work] = [self._transport.run, self._observation.run, *self._beside, *keeping]
            beside = [group.create_task(work()) for work in works]
            serving = group.create_task(server.run())
            _log.info("started", software=SOFTWARE, links=list(self._runners))
            self._supervisor.tell(READY)
            await stop.wait()
            _log.info("stopping")
            self._supervisor.tell(STOPPING)
            control.close()
            self._loop.stop()
            # the transport runs until the last frames are published
            await main
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await server.stop(serving)
            _log.info("stopped")


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that stop a process in order: SIGHUP too, unless it is ignored, as `nohup` has it."""
    hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGTERM, signal.SIGINT, *hang_up)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
