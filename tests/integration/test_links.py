"""Several links over one connection: what befalls one journal stops that link only."""

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from endpoints.client import Refused
from tests.integration.station import ALL, SIDES, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

FIRST, SECOND = "eucom-ndmc", "eucom-ndmc-air"


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory, links=(FIRST, SECOND)) as station:
        station.start(*ALL)
        yield station


def test_each_link_has_its_own_stream_and_its_own_journal(station: Station) -> None:
    assert station.alert(link=FIRST) == "eucom/1/1"
    assert station.alert(link=SECOND) == "eucom/1/1"
    assert station.alert(link=SECOND) == "eucom/1/2"
    for link, last in ((FIRST, 1), (SECOND, 2)):
        station.until(lambda link=link, last=last: station.snapshot("ndmc", link)["theirs"]["eucom"]["last"] == last)  # type: ignore[misc]
        station.until(lambda link=link, last=last: station.snapshot("watch", link)["theirs"]["eucom"]["last"] == last)  # type: ignore[misc]
    assert {record["link"] for record in station.records("eucom", link=SECOND)} == {SECOND}


def test_a_command_asks_which_link_is_meant(station: Station) -> None:
    unclear = station.deconflict("status", str(station.config("eucom")))
    assert unclear.returncode == 2
    assert "choose one with --link: eucom-ndmc, eucom-ndmc-air" in unclear.stderr
    chosen = station.deconflict("status", str(station.config("eucom")), "--link", SECOND, "--json")
    assert chosen.returncode == 0
    assert msgspec.json.decode(chosen.stdout)["link"] == SECOND
    with pytest.raises(Refused) as unknown:
        station.status("eucom", "no-such-link")
    assert unknown.value.code == "unknown_link"


def test_a_journal_that_cannot_be_written_stops_its_link_alone(station: Station) -> None:
    # the first journal grows far beyond the second; then files may not grow beyond what lies between
    while len(station.records("eucom", link=FIRST)) < 3 * len(station.records("eucom", link=SECOND)):
        station.alert(link=FIRST, text={"en": "x" * 3_000})
    size = {link: written(station, link) for link in (FIRST, SECOND)}
    limit = size[SECOND] + (size[FIRST] - size[SECOND]) // 2
    process = station.processes["eucom"].popen.pid
    resource.prlimit(process, resource.RLIMIT_FSIZE, (limit, limit))

    with pytest.raises(Refused) as stopped:
        station.alert(link=FIRST)

    assert stopped.value.code == "link_stopped"
    assert "File too large" in str(stopped.value)
    status = station.status("eucom", FIRST)
    assert (status["state"], status["broker"]) == ("alarm", "disconnected")
    assert status["alarms"][0]["code"] == "journal_failure"
    assert station.deconflict("status", str(station.config("eucom")), "--link", FIRST).returncode == 11
    told = [msgspec.json.decode(line) for line in station.output("eucom").splitlines() if b'"notification"' in line]
    assert any(each.get("alarm", {}).get("code") == "journal_failure" for each in told)
    station.until(lambda: bool(station.status("ndmc", FIRST)["peer"] == "gone"))
    # the other one goes on, in both directions, also while the stopped link's peer talks
    station.alert("ndmc", FIRST)
    for side in SIDES:
        reference = station.alert(side, SECOND)
        other = "ndmc" if side == "eucom" else "eucom"
        station.until(lambda other=other, ref=reference: station.alert_state(other, ref, SECOND) == "received")  # type: ignore[misc]
    assert station.status("eucom", SECOND)["broker"] == "connected"


def test_after_a_restart_the_stopped_link_goes_on_where_its_journal_ends(station: Station) -> None:
    assert station.stop("eucom") == 0
    station.start("eucom")

    station.each(SIDES, lambda side: station.status(side, FIRST)["outbox"] == {"waiting": 0, "in_flight": 0})
    reference = station.alert(link=FIRST)
    station.until(lambda: station.alert_state("ndmc", reference, FIRST) == "received")
    ours = [message["message"] for message in station.effects("eucom", "Queue", FIRST)]
    assert ours == [each["message"] for each in station.effects("ndmc", "Apply", FIRST)]


def written(station: Station, link: str) -> int:
    """Bytes of the records in eucom's journal."""
    return sum(len(path.read_bytes().rstrip(b"\0")) for path in station.journal("eucom", link).glob("*.jsonl"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100m", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system of its own can be mounted by root alone")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_disk_that_fills_up_refuses_alerts_and_keeps_the_rest_going(
    tmp_path_factory: pytest.TempPathFactory, small_disk: Path
) -> None:
    with Station.of(tmp_path_factory) as station:
        own = station.journal("eucom")
        own.rmdir()
        own.symlink_to(small_disk)
        small_disk.chmod(0o700)
        station.start("eucom", "ndmc")
        sent = station.alert("ndmc")
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(60 << 20))

        station.alarm("eucom", "space_low/journal")
        with pytest.raises(Refused) as refused:
            station.alert()
        assert refused.value.code == "space_low"
        station.act("eucom", "watch-1", "acknowledge", of=sent, decision="understood")
        station.until(lambda: station.alert_state("ndmc", sent) == "understood")

        ballast.unlink()
        station.cleared("eucom", "space_low")
        reference = station.alert()
        station.until(lambda: station.alert_state("ndmc", reference) == "received")
