"""Composes an endpoint's process: several links of one side over one connection to the broker."""

from __future__ import annotations

from endpoints.clocks.clock import clock
from endpoints.config.settings import EndpointSettings, LinkSettings
from endpoints.errors import UserError
from endpoints.journal.writer import JournalWriter
from endpoints.keys.credentials import OfficerCredentials
from endpoints.keys.signer import Signer
from endpoints.mqtt.endpoint_transport import EndpointTransport
from endpoints.mqtt.events import Delivery
from endpoints.notify import Notifier, words_of
from endpoints.process import Process
from endpoints.runtime.certificate_report import CertificateReport
from endpoints.runtime.endpoint_link import EndpointLink
from endpoints.runtime.intake import EndpointIntake
from endpoints.runtime.reopening import recovered_core
from endpoints.runtime.sink_report import SinkReport
from endpoints.runtime.work_queue import WorkQueue
from endpoints.sinks import sinks
from protocol.core.link import Link


def endpoint(settings: EndpointSettings) -> Process[EndpointLink]:
    """Return the process of one endpoint. Raises UserError."""
    side = settings.side
    runners: dict[str, EndpointLink] = {}
    queue = WorkQueue()
    clocks = clock(settings.exercise_clock)

    def acknowledge(delivery: Delivery) -> None:
        transport.acknowledge(delivery)

    certificates = CertificateReport(settings.broker, runners, queue, exercise=settings.exercise_clock is not None)
    intake = EndpointIntake(runners, queue, acknowledge, certificates.connected)
    peers = [(link.id, link.content.peer_of(side)) for link in settings.links]
    transport = EndpointTransport(settings.broker, peers, intake.happened, clocks.real_ms)
    receivers = sinks(settings.notifications)
    health = SinkReport(runners, queue, [each.name for each in receivers])
    notifier = Notifier(receivers, intake.notified, words_of(settings, clocks.now), health)

    def build(link: LinkSettings, journal: JournalWriter) -> EndpointLink:
        core = recovered_core(journal, Link.new(link.id, side))
        signer = _signer(settings, link, core)
        officers = {name: officer.digest for name, officer in settings.officers.items()}
        return EndpointLink(
            core,
            journal,
            link.content,
            notifier,
            signer=signer,
            outlet=transport,
            officers=officers,
            words=link.words,
        )

    return Process(
        settings,
        side,
        clocks,
        runners,
        queue,
        notifier,
        transport,
        build,
        officers=OfficerCredentials(
            {name: officer.credential for name, officer in settings.officers.items()}, clocks.real_ms
        ),
        beside=[certificates.run, health.begin],
    )


def _signer(settings: EndpointSettings, link: LinkSettings, core: Link) -> Signer:
    """Return the signer of a link whose keys the link file enrols, and that `core` does not hold back beside others.

    Raises UserError.
    """
    signer = Signer.load(settings.keys, link.content.terms.policy.suite)
    enrolled = {key.public for key in link.content.keys[settings.side]}
    for key in signer.enrolled:
        if key.public not in enrolled:
            raise UserError(
                f"{settings.keys}: key {key.id} is not among those that {link.file} enrols for {settings.side}: "
                f"the other side would refuse every frame; enrol it there, or use the enrolled key"
            )
    terms, file = link.content.terms, link.content
    if core.terms is None or core.terms.epoch != terms.epoch or not core.keys.agreed:
        return signer
    # SPEC F5.6
    accepted = core.keys.changed(file.keys, file.digest, nonce="0").accepted.get(settings.side, ())
    for key in signer.enrolled:
        beside = [each for each in accepted if each.algorithm == key.algorithm]
        if beside and all(each.public != key.public for each in beside):
            raise UserError(
                f"{settings.keys}: no officer has accepted key {key.id} yet, and {link.file} still enrols "
                f"{beside[0].id}; keep signing with that one until the alarm keys_changed is acknowledged"
            )
    return signer
