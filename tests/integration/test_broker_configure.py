"""The broker's files made anew while it runs: Mosquitto takes over the access list, and no connection is lost."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.station import SIDES, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

FIRST, SECOND = "eucom-ndmc", "eucom-ndmc-air"


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory, links=(FIRST, SECOND)) as station:
        yield station


def test_a_further_link_works_without_a_restart_of_the_broker_and_a_removed_one_does_not(station: Station) -> None:
    files = [str(station.link_file(link)) for link in (FIRST, SECOND)]
    configure = ("broker", str(station.folder / "d"), "--yes", "--configure")
    assert station.deconflict(*configure, files[0]).returncode == 0
    station.start(*SIDES)
    broker = station.broker.pid
    assert broker is not None
    # Mosquitto refuses what the access list does not grant, and the service raises an alarm
    kept = station.alert(link=SECOND)
    station.alarm("eucom", "broker_unreachable", SECOND)
    assert station.alert_state("ndmc", kept, SECOND) is None

    added = station.deconflict(*configure, *files)
    assert added.returncode == 0, added.stderr
    os.kill(broker, signal.SIGHUP)

    station.until(lambda: station.alert_state("ndmc", kept, SECOND) == "received")
    station.until(lambda: station.alert_state("eucom", kept, SECOND) == "received")
    station.cleared("eucom", "broker_unreachable", SECOND)
    assert (station.broker.pid, station.broker.alive) == (broker, True)
    # one connection of each side, from first to last
    assert [len(station.records(side, "TransportConnected")) for side in SIDES] == [1, 1]

    assert station.deconflict(*configure, files[0]).returncode == 0
    os.kill(broker, signal.SIGHUP)
    refused = station.alert(link=SECOND)
    station.alarm("eucom", "broker_unreachable", SECOND)
    assert station.alert_state("ndmc", refused, SECOND) is None
    first = station.alert(link=FIRST)
    station.until(lambda: station.alert_state("ndmc", first, FIRST) == "received")
