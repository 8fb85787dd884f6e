"""Alerts flow while nodes of a RabbitMQ cluster are killed and restarted: none is lost, none doubled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from broker.cluster import NODES
from protocol.wire.instants import parsed
from tests.support.rabbit_cluster import RabbitCluster
from tests.support.station import ALL, Station

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
EVERY_S = 0.5
TAIL_S = 5.0


@contextmanager
def alerts(station: Station) -> Iterator[list[str]]:
    """Raise an alert every half second; at the end, require that ndmc has each once, and print the longest gap."""
    raised: list[str] = []
    done = threading.Event()
    faults: list[Exception] = []

    def work() -> None:
        while not done.wait(EVERY_S):
            try:
                raised.append(station.alert())
            except Exception as error:  # noqa: BLE001 - raised below
                faults.append(error)
                return

    before = len(station.effects("ndmc", "Apply"))
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield raised
        done.wait(TAIL_S)
    finally:
        done.set()
        thread.join()
    assert not faults, faults
    station.each(raised, lambda reference: station.alert_state("ndmc", reference) is not None)
    station.settled()
    applied = station.applied("ndmc")
    assert len(applied) == len(set(applied))
    times = [
        parsed(record["at"])
        for record in station.records("ndmc")
        for each in record["effects"]
        if each["effect"] == "Apply"
    ][before:]
    gap_s = max(later - earlier for earlier, later in pairwise(times)) / 1_000
    print(f"\n{len(raised)} alerts, 0 lost, 0 doubled; longest gap {gap_s:.1f} s")
    for name in ALL:
        assert not [key for key in station.alarms(name) if key.startswith("identity_in_use")]


def everyone_is_back(station: Station) -> None:
    station.connected(*ALL)


@pytest.mark.parametrize("node", NODES)
def test_a_node_is_killed(station: Station, cluster: RabbitCluster, node: str) -> None:
    with alerts(station):
        cluster.kill(node)
        threading.Event().wait(TAIL_S)
        everyone_is_back(station)
        cluster.revive(node)
        cluster.until_ready()


def test_the_nodes_are_restarted_one_after_another(station: Station, cluster: RabbitCluster) -> None:
    with alerts(station):
        for node in NODES:
            cluster.stop(node)
            cluster.revive(node)
            cluster.until_ready()
            everyone_is_back(station)


def test_the_journals_agree(station: Station, cluster: RabbitCluster) -> None:
    journals = [str(station.journal(name)) for name in ("eucom", "ndmc")]
    compared = station.deconflict("reconcile", *journals, "--link-file", str(station.link_file()))
    assert compared.returncode == 0, f"{cluster.name}: {compared.stdout}{compared.stderr}"
