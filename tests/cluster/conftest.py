"""A RabbitMQ cluster of three nodes on a real Docker Engine, with both endpoints and the watch as its clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker.pki import Authority
from tests.support.engine import require_engine
from tests.support.rabbit_cluster import RabbitCluster
from tests.support.station import ALL, Station


@pytest.fixture(scope="session")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    folder = tmp_path_factory.mktemp("s")
    with Station(folder) as station:
        yield station


@pytest.fixture(scope="session")
def cluster(station: Station) -> Iterator[RabbitCluster]:
    require_engine()
    folder = station.folder / "cluster"
    folder.mkdir()
    cluster = RabbitCluster(folder, Authority.load(station.folder / "d" / "authority"))
    try:
        cluster.start()
        cluster.until_ready()
        for name in ALL:
            station.launch(name, DECONFLICT_BROKER_ADDRESSES=cluster.addresses)
        station.connected(*ALL)
        yield cluster
    finally:
        cluster.remove()
