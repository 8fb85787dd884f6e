"""Two bridged brokers, one at each headquarters: either is killed, and the bridge is cut while alerts flow."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.bridged_station import BridgedStation
from tests.support.station import ALL, SIDES

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]
TWO_BEATS_S = 60
MESSAGE_FRAMES = 8
"""As many frames as may be without a receipt (SPEC M4.2)."""


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedStation]:
    with BridgedStation.of(tmp_path_factory) as station:
        station.start(*ALL)
        yield station


def arrive(station: BridgedStation, raised: list[str], side: str) -> None:
    """Require that `side` has each alert, and its author the receipt of each."""
    station.each(raised, lambda reference: station.alert_state(side, reference) is not None)
    station.settled()


def alerts(station: BridgedStation, side: str = "eucom") -> list[str]:
    return [station.alert(side) for _ in range(12)]


@pytest.mark.parametrize("side", SIDES)
def test_an_alert_crosses_the_bridge(station: BridgedStation, side: str) -> None:
    (other,) = set(SIDES) - {side}
    arrive(station, [station.alert(side)], other)


@pytest.mark.parametrize("broker", ["broker", "second"])
def test_a_broker_is_killed(station: BridgedStation, broker: str) -> None:
    killed = getattr(station, broker)
    killed.kill()
    raised = {side: alerts(station, side) for side in SIDES}
    killed.start()
    arrive(station, raised["eucom"], "ndmc")
    arrive(station, raised["ndmc"], "eucom")
    station.connected(*ALL)


def test_each_broker_accepts_messages_without_the_other(station: BridgedStation) -> None:
    station.bridge.cut()
    raised = {side: alerts(station, side) for side in SIDES}
    for side in SIDES:
        steps = next(
            line["steps"]
            for line in station.client(side).follow(f"progress/{raised[side][0]}", 20)
            if line["steps"][-1] == "broker"
        )
        assert steps == ["journaled", "broker"]
        assert station.status(side)["outbox"]["in_flight"] == MESSAGE_FRAMES
    station.bridge.mend()
    arrive(station, raised["eucom"], "ndmc")
    arrive(station, raised["ndmc"], "eucom")


@pytest.mark.parametrize("cut", ["cut", "stall"])
def test_a_cut_is_reported_within_two_beats_and_ends_when_it_is_mended(station: BridgedStation, cut: str) -> None:
    for side in SIDES:
        station.until(lambda side=side: station.status(side)["peer"] == "present")  # type: ignore[misc]
    lost = {name: len(station.records(name, "TransportLost")) for name in ALL}
    began = time.monotonic()
    getattr(station.bridge, cut)()
    for name, peer in (("eucom", "ndmc"), ("ndmc", "eucom"), ("watch", "eucom")):
        station.alarm(name, f"peer_disconnected/{peer}", within_s=began + TWO_BEATS_S - time.monotonic())
        assert station.status(name)["state"] != "fine"
    # the connections to the brokers have not noticed anything
    assert lost == {name: len(station.records(name, "TransportLost")) for name in ALL}
    raised = alerts(station)
    station.bridge.mend()
    arrive(station, raised, "ndmc")
    for name in ALL:
        station.cleared(name, "peer_disconnected")


def test_the_journals_agree(station: BridgedStation) -> None:
    for side in SIDES:
        applied = station.applied(side)
        assert len(applied) == len(set(applied))
    journals = [str(station.journal(name)) for name in SIDES]
    watch = ["--watch", str(station.journal("watch"))]
    compared = station.deconflict("reconcile", *journals, *watch, "--link-file", str(station.link_file()))
    assert compared.returncode == 0, f"{compared.stdout}{compared.stderr}"
