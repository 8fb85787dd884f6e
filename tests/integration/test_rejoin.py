"""A link whose runner was replaced takes part again, even if it rejoins while there is no connection."""

import pytest

from endpoints.mqtt.events import Connected, Lost, PresenceChanged, TransportEvent
from tests.support.broker_site import BrokerSite
from tests.support.transport_bench import LINK, Endpoint

pytestmark = pytest.mark.integration


async def test_a_link_that_rejoins_without_a_connection_learns_its_peers_presence(running: BrokerSite) -> None:
    here = PresenceChanged(LINK, "ndmc", present=True)
    async with Endpoint(running.settings("eucom")) as eucom, Endpoint(running.settings("ndmc")):
        await eucom.until(lambda: eucom.of(PresenceChanged) == [here])

        def rejoin(event: TransportEvent) -> None:
            if isinstance(event, Lost):
                eucom.transport.rejoin(LINK)

        eucom.react = rejoin
        eucom.transport.leave(LINK)
        running.broker.kill()
        await eucom.next(Lost)
        running.broker.start()
        await eucom.next(Connected, 2)

        await eucom.until(lambda: eucom.of(PresenceChanged) == [here, here])
