"""Composes the process of the independent watch, which observes both directions of every link (SPEC W6).

It publishes nothing, and its officers only acknowledge its alarms. Its own key, if it has one, signs the heads of its
journals and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from endpoints.clocks.clock import clock
from endpoints.config.settings import LinkSettings, WatchSettings, load_watch
from endpoints.journal.restored import RestoredMark
from endpoints.journal.stdout_feed import StdoutFeed
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.metrics.observation import Observation
from endpoints.mqtt.observer_transport import ObserverTransport
from endpoints.notify import FAILING_AFTER, Notifier, SinkHealth, words_of
from endpoints.process import Process
from endpoints.runtime.certificate_report import CertificateReport
from endpoints.runtime.console_screens import ConsoleScreens
from endpoints.runtime.intake import Intake
from endpoints.runtime.link_runner import LinkRunner
from endpoints.runtime.observing import SendsNothing
from endpoints.runtime.reopening import recovered_core
from endpoints.runtime.sink_report import SinkReport
from endpoints.runtime.start_checks import head_signer
from endpoints.runtime.work_queue import WorkQueue
from endpoints.sinks import DeadMan, DeliveryError, sinks
from endpoints.structured_log import get_logger
from protocol.core.observer import Observer

LOOK_EVERY_S = 1.0
TRY_AGAIN_S = 10.0
"""How long after a ping that failed the next one follows."""

_log = get_logger()


def watch(settings: WatchSettings, output: StdoutFeed) -> Process[WatchSettings, LinkRunner[Observer]]:
    """Return the process of the watch, which prints on `output`. Raises UserError."""
    runners: dict[str, LinkRunner[Observer]] = {}
    queue = WorkQueue()
    clocks = clock(settings.exercise_clock)
    certificates = CertificateReport(settings.broker, runners, queue, exercise=settings.exercise_clock is not None)
    screens = ConsoleScreens(runners, queue, clocks.real_ms, configured=settings.console)
    observation = Observation(settings, runners, queue, clocks, lambda: certificates.ends, lambda: screens.counts)
    intake = Intake(runners, queue, connected=certificates.connected)
    parties = [(link.id, (link.content.terms.caller, link.content.terms.answering)) for link in settings.links]
    transport = ObserverTransport(settings.broker, parties, intake.happened, clocks.real_ms)
    receivers = sinks(settings.notifications)
    dead_man = DeadMan(settings.dead_man.url, settings.dead_man.authority) if settings.dead_man.url else None
    named = [each.name for each in receivers] + ([dead_man.name] if dead_man else [])
    health = SinkReport(runners, queue, named)
    notifier = Notifier(receivers, intake.notified, words_of(settings, clocks.now), health)

    def build(
        settings: WatchSettings, link: LinkSettings, journal: JournalWriter, beside: LinkRunner[Observer] | None
    ) -> LinkRunner[Observer]:
        core = recovered_core(journal, Observer.new(link.id, settings.side)) if beside is None else beside.core
        outbound = SendsNothing(head_signer(settings, link))
        return LinkRunner(
            core,
            journal,
            link.content,
            notifier,
            outbound=outbound,
            officers=settings.roster,
            restored=RestoredMark(link.journal),
        )

    def journal(link: LinkSettings, side: str) -> JournalWriter:
        store = observation.store(link, FolderStore(link.journal))
        return JournalWriter(store, link.id, side, on_disk=observation.on_disk(link.id))

    def watching() -> bool:
        return transport.trouble is None and all(runner.failure is None for runner in runners.values())

    async def give_signs_of_life() -> None:
        if dead_man is not None:
            await _keep_pinging(dead_man, settings.dead_man.every_s, watching, health)

    return Process(
        settings,
        lambda: load_watch(settings.path),
        settings.side,
        clocks,
        runners,
        queue,
        notifier,
        transport,
        build,
        output,
        observation,
        screens,
        journal=journal,
        beside=[certificates.run, health.run, give_signs_of_life],
    )


async def _keep_pinging(dead_man: DeadMan, every_s: float, watching: Callable[[], bool], health: SinkHealth) -> None:
    """Give a sign of life repeatedly while every link is watched: its absence is the alarm."""
    failures = 0
    while True:
        if not watching():
            await asyncio.sleep(LOOK_EVERY_S)
            continue
        try:
            await dead_man.ping()
        except DeliveryError as error:
            failures += 1
            if failures >= FAILING_AFTER:
                health.failed(dead_man.name, error.args[0])
            await asyncio.sleep(min(every_s, TRY_AGAIN_S))
        else:
            failures = 0
            health.reached(dead_man.name)
            await asyncio.sleep(every_s)
