"""A running process takes over changed files without losing its connection, a message or an answer."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from endpoints.config import link_file
from endpoints.config.toml_edit import editing
from endpoints.control import client
from endpoints.control.client import RequestRefused, Unreachable
from endpoints.failpoints import EXIT_CODE, VARIABLE
from tests.support.station import LINK, SIDES, Station

pytestmark = pytest.mark.integration


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start("eucom", "ndmc", "watch")
        yield station


def reload(station: Station, name: str) -> dict[str, Any]:
    return client.reload(station.config(name).parent / "control.sock")


def say(station: Station, name: str, words: str) -> None:
    """Choose other words for this side's line tests."""
    with editing(station.config(name)) as document:
        document["links"][0]["test_text"] = {"ru": words}


def events(station: Station, name: str, after: int = 0) -> list[str]:
    return [record["event"] for record in station.records(name) if record["n"] > after]


def last(station: Station, name: str) -> int:
    n: int = station.records(name)[-1]["n"]
    return n


def test_a_link_whose_files_have_changed_starts_again_over_the_same_connection(station: Station) -> None:
    """SPEC E1.6"""
    first = station.alert()
    station.settled()
    before = {name: (last(station, name), set(station.alarms(name))) for name in station.processes}
    assert reload(station, "eucom") == {"restarted": [], "stopped": [], "officers": False, "next_start": []}
    assert last(station, "eucom") == before["eucom"][0]

    say(station, "eucom", "Говорит Висбаден.")
    done = reload(station, "eucom")

    assert done == {"restarted": [LINK], "stopped": [], "officers": False, "next_start": []}
    taken = events(station, "eucom", before["eucom"][0])
    assert taken[:3] == ["Stopped", "BatchClosed", "Closed"]
    assert taken[3:7] == ["WordsChosen", "Started", "TransportConnected", "BatchClosed"]
    assert station.status("eucom")["broker"] == "connected"
    assert station.snapshot("eucom")["present"].get("ndmc", True)
    second = station.alert()
    station.settled()
    station.until(lambda: station.alert_state("ndmc", second) == "received")
    assert station.alert_state("ndmc", first) == "received"
    for name, (n, alarms) in before.items():
        assert "TransportLost" not in events(station, name, n)
        assert set(station.alarms(name)) == alarms
    assert "PeerPresenceChanged" not in events(station, "ndmc", before["ndmc"][0])
    assert station.applied("ndmc") == [("eucom", 1), ("eucom", 2)]
