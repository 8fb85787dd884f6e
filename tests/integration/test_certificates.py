"""Real processes report the certificates that they really use, in an exercise of 2022."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker.pki import LEAF_DAYS, Authority
from tests.support.broker_site import now
from tests.support.station import ALL, Station

pytestmark = pytest.mark.integration
DAY_MS = 86_400_000


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start(*ALL)
        yield station


def seen(station: Station, name: str) -> list[str]:
    return [record["whose"] for record in station.records(name, "CertificateSeen")]


def test_a_broker_s_certificate_that_ends_soon_is_an_alarm_of_every_process_until_it_is_renewed(
    station: Station,
) -> None:
    station.each(ALL, lambda name: set(seen(station, name)) == {"own", "authority", "broker"})
    for name in ALL:
        assert not [key for key in station.alarms(name) if key.startswith("certificate_expiring")]

    authority = Authority.load(station.folder / "d" / "authority")
    tls = station.folder / "d" / "broker" / "tls"
    authority.issue_server(tls, now() - (LEAF_DAYS - 6) * DAY_MS)
    authority.issue_client("ndmc", station.folder / "d" / "ndmc" / "tls", now() - (LEAF_DAYS - 21) * DAY_MS)
    station.broker.stop()
    station.broker.start()
    for name in ALL:
        for lead in ("30d", "7d"):
            alarm = station.alarm(name, f"certificate_expiring/broker/{lead}")
            assert alarm["detail"].startswith("the certificate of the broker ends on 2022-12-0")
    station.alarm("ndmc", "certificate_expiring/own/30d")
    assert "certificate_expiring/own/7d" not in station.alarms("ndmc")
    assert "certificate_expiring/own/30d" not in station.alarms("eucom")

    authority.issue_server(tls, now())
    authority.issue_client("ndmc", station.folder / "d" / "ndmc" / "tls", now())
    station.broker.stop()
    station.broker.start()
    for name in ALL:
        station.cleared(name, "certificate_expiring")
