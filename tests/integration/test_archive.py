"""Archives made beside real endpoints: nothing stops, and an archive restores the journal on another machine."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoints.journal.segments import is_archived, segments
from tests.support.station import ALL, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start(*ALL)
        yield station


def test_an_archive_is_made_beside_a_running_endpoint_and_restored_elsewhere(station: Station, tmp_path: Path) -> None:
    archive, journal = tmp_path / "archive", station.journal("eucom")
    words = ["log", "archive", str(journal), "--to", str(archive)]
    first = station.alert("eucom")
    station.settled()
    assert station.deconflict(*words).returncode == 0
    # killed at any instant, it is only repeated
    for _ in range(3):
        station.alert("eucom")
        command = [sys.executable, "-P", "-m", "endpoints.cli.main", *words]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as killed:
            station.until(lambda: any(archive.glob("*.unverified")) or killed.poll() is not None)
            killed.send_signal(signal.SIGKILL)
    last = station.alert("ndmc")
    station.settled()
    assert station.deconflict(*words).returncode == 0

    assert all(map(is_archived, segments(archive)))
    assert not list(archive.glob("*.unverified"))
    assert station.deconflict("log", "verify", str(archive)).returncode == 0
    restored = tmp_path / "another" / "eucom-ndmc"
    assert station.deconflict("log", "restore", str(archive), str(restored)).returncode == 0
    agree = station.deconflict("reconcile", str(restored), str(station.journal("ndmc")))
    assert agree.returncode == 0, agree.stdout
    shown = station.deconflict("log", "show", str(restored)).stdout
    assert first in shown
    assert last in shown
    # and the endpoints go on
    station.alert("ndmc")
    station.settled()
