"""The broker's files made anew while it runs, also while a side is offline."""

from collections.abc import Iterator

import pytest

from tests.support.station import ALL, SIDES
from tests.support.supervised_station import SupervisedStation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

FIRST, SECOND = "eucom-ndmc", "eucom-ndmc-air"


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupervisedStation]:
    with SupervisedStation.of(tmp_path_factory, links=(FIRST, SECOND)) as station:
        yield station


def configure(station: SupervisedStation, *links: str) -> None:
    files = [str(station.link_file(link)) for link in links]
    done = station.deconflict("broker", str(station.folder / "d"), "--yes", "--configure", *files)
    assert done.returncode == 0, done.stderr


def test_a_further_link_works_once_its_file_is_there_and_a_removed_one_does_not(station: SupervisedStation) -> None:
    configure(station, FIRST)
    station.begin()
    # Mosquitto refuses what the access list does not grant, and the service raises an alarm
    kept = station.alert(link=SECOND)
    station.alarm("eucom", "broker_unreachable", SECOND)
    assert station.alert_state("ndmc", kept, SECOND) is None

    configure(station, FIRST, SECOND)
    station.said("listening", 2)
    station.until(lambda: station.alert_state("ndmc", kept, SECOND) == "received")
    station.until(lambda: station.alert_state("eucom", kept, SECOND) == "received")
    station.cleared("eucom", "broker_unreachable", SECOND)

    configure(station, FIRST)
    station.said("listening", 3)
    station.connected(*SIDES)
    refused = station.alert(link=SECOND)
    station.alarm("eucom", "broker_unreachable", SECOND)
    assert station.alert_state("ndmc", refused, SECOND) is None
    first = station.alert(link=FIRST)
    station.until(lambda: station.alert_state("ndmc", first, FIRST) == "received")


def test_a_side_that_was_offline_meanwhile_keeps_its_connection_afterwards(station: SupervisedStation) -> None:
    """After SIGHUP, Mosquitto 2.0 closes every connection of a client that was offline then, within a second."""
    configure(station, FIRST)
    station.begin()
    station.stop("ndmc")
    configure(station, FIRST, SECOND)
    station.said("Mosquitto is started again for its new files")
    station.said("listening", 2)
    station.connected(*(set(ALL) - {"ndmc"}))

    station.launch("ndmc")
    station.connected("ndmc")
    lost = len(station.records("ndmc", "TransportLost"))
    # 30 s of presence: longer than Mosquitto takes to close it
    for _ in range(3):
        station.exchanged()
    assert len(station.records("ndmc", "TransportLost")) == lost
