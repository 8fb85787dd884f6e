"""Composes an endpoint's process: several links of one side over one connection to the broker."""

from __future__ import annotations

from endpoints.clocks.clock import clock
from endpoints.config.settings import EndpointSettings, LinkSettings, load_endpoint
from endpoints.journal.restored import RestoredMark
from endpoints.journal.stdout_feed import StdoutFeed
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.metrics.observation import Observation
from endpoints.mqtt.endpoint_transport import EndpointTransport
from endpoints.mqtt.events import Delivery
from endpoints.notify import Notifier, words_of
from endpoints.process import Process
from endpoints.runtime.certificate_report import CertificateReport
from endpoints.runtime.console_screens import ConsoleScreens
from endpoints.runtime.endpoint_link import EndpointLink
from endpoints.runtime.instruments import Instruments
from endpoints.runtime.intake import EndpointIntake
from endpoints.runtime.reopening import recovered_core
from endpoints.runtime.sink_report import SinkReport
from endpoints.runtime.start_checks import comparison, frame_signer
from endpoints.runtime.work_queue import WorkQueue
from endpoints.sinks import sinks
from protocol.core.link import Link

_NO_INSTRUMENTS = Instruments()


def endpoint(
    settings: EndpointSettings, output: StdoutFeed, instruments: Instruments = _NO_INSTRUMENTS
) -> Process[EndpointSettings, EndpointLink]:
    """Return the process of one endpoint, which prints on `output`. Raises UserError.

    `instruments` wrap the ports of its links: for a load test.
    """
    side = settings.side
    runners: dict[str, EndpointLink] = {}
    queue = WorkQueue()
    clocks = clock(settings.exercise_clock)

    def acknowledge(delivery: Delivery) -> None:
        transport.acknowledge(delivery)

    certificates = CertificateReport(settings.broker, runners, queue, exercise=settings.exercise_clock is not None)
    screens = ConsoleScreens(runners, queue, clocks.real_ms, configured=settings.console)
    observation = Observation(settings, runners, queue, clocks, lambda: certificates.ends, lambda: screens.counts)
    intake = EndpointIntake(runners, queue, acknowledge, certificates.connected)
    peers = [(link.id, link.content.peer_of(side)) for link in settings.links]

    def sign_of_life(link: str) -> bytes | None:
        runner = runners.get(link)
        return None if runner is None else runner.own_sign_of_life(clocks.now()[0])

    transport = EndpointTransport(
        settings.broker, peers, instruments.happened(intake.happened), clocks.real_ms, signs=sign_of_life
    )
    outlet = instruments.outlet(transport)
    receivers = sinks(settings.notifications)
    health = SinkReport(runners, queue, [each.name for each in receivers])
    notifier = Notifier(receivers, intake.notified, words_of(settings, clocks.now), health)

    def build(
        settings: EndpointSettings, link: LinkSettings, journal: JournalWriter, beside: EndpointLink | None
    ) -> EndpointLink:
        core = recovered_core(journal, Link.new(link.id, side)) if beside is None else beside.core
        signer = frame_signer(settings, link, core)
        return EndpointLink(
            core,
            journal,
            link.content,
            notifier,
            signer=instruments.signer(link.id, signer),
            outlet=outlet,
            officers=settings.roster,
            judges=instruments.judges(link.id),
            words=link.words,
            comparison=comparison(settings, link, core),
            restored=RestoredMark(link.journal),
        )

    def journal(link: LinkSettings, side: str) -> JournalWriter:
        store = instruments.store(link.id, observation.store(link, FolderStore(link.journal)))
        on_disk = observation.on_disk(link.id, instruments.on_disk(link.id))
        return JournalWriter(store, link.id, side, on_disk=on_disk)

    return Process(
        settings,
        lambda: load_endpoint(settings.path),
        side,
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
        beside=[certificates.run, health.run, *instruments.beside(runners, queue)],
    )
