"""The endpoint: several links of one side over one connection to the broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from endpoints.config.settings import EndpointSettings, LinkSettings
from endpoints.errors import UserError
from endpoints.journal.writer import JournalWriter
from endpoints.keys.credentials import OfficerCredentials
from endpoints.keys.signer import Signer
from endpoints.mqtt.endpoint_transport import EndpointTransport
from endpoints.mqtt.events import Accepted, Delivery, PublishDenied
from endpoints.process import Process, Work
from endpoints.runtime.endpoint_link import EndpointLink, Token
from endpoints.runtime.work_items import AnyLink, EventItem
from protocol.core.core import Core
from protocol.core.events import PublishRefused
from protocol.core.link import Link


class Service(Process):
    """One endpoint as a process."""

    def __init__(self, settings: EndpointSettings) -> None:
        super().__init__(settings, settings.side)
        self._endpoint = settings
        self._transport = EndpointTransport(
            settings.broker,
            [(link.id, link.content.peer_of(settings.side)) for link in settings.links],
            self._happened,
            self._clock.real_ms,
        )

    def _empty(self, link: LinkSettings) -> Core:
        return Link.new(link.id, self._endpoint.side)

    def _runner(self, link: LinkSettings, core: Any, journal: JournalWriter) -> AnyLink:
        signer = _signer(self._endpoint, link)
        return EndpointLink(core, journal, link.content, self._notifier, signer=signer, outlet=self._transport)

    def _rejoin(self, link: str) -> None:
        self._transport.rejoin(link)

    def _beside(self) -> Sequence[Work]:
        return [self._transport.run]

    def _officers(self) -> OfficerCredentials:
        return OfficerCredentials({name: officer.credential for name, officer in self._endpoint.officers.items()})

    def _acknowledge(self, delivery: Delivery) -> None:
        self._transport.acknowledge(delivery)

    def _accepted(self, event: Accepted) -> None:
        assert isinstance(event.token, Token)
        runner = self._runners[event.token.link]
        assert isinstance(runner, EndpointLink)
        runner.accepted(event.token)

    def _refused(self, event: PublishDenied) -> None:
        token = event.token
        assert isinstance(token, Token)
        code, reason = event.code, event.reason[:200]
        self._loop.queue.push(
            EventItem(
                [self._runners[token.link]],
                lambda now: PublishRefused(at=now.at, mono=now.mono, channel=token.channel, code=code, reason=reason),
            )
        )


def _signer(settings: EndpointSettings, link: LinkSettings) -> Signer:
    """Return the signer of a link whose keys the link file enrols. Raises UserError."""
    signer = Signer.load(settings.keys, link.content.terms.policy.suite)
    enrolled = {key.public for key in link.content.keys[settings.side]}
    for key in signer.enrolled:
        if key.public not in enrolled:
            raise UserError(
                f"{settings.keys}: key {key.id} is not among those that {link.file} enrols for {settings.side}: "
                f"the other side would refuse every frame; enrol it there, or use the enrolled key"
            )
    return signer
