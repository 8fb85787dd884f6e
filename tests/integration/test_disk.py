"""A disk that is full, failing or slow stops its link alone, and the link resumes without a restart of the endpoint.

The endpoint has two links: the journal of one lies on the bad disk, the journal of the other on a good one.
"""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest

from endpoints.cli.log import log_verify
from endpoints.cli.reconcile import reconcile
from endpoints.cli.replay import replay
from endpoints.control.client import RequestRefused
from endpoints.journal.segments import LOCK, segments
from endpoints.journal.stdout_feed import PLACE
from protocol.wire.messages import Texts
from tests.support.failing_disk import Injection, SmallDisk
from tests.support.station import LINK, SIDES, Station

pytestmark = pytest.mark.integration

BAD, GOOD = "bad-disk", LINK
MEGABYTE = 1 << 20
LONG: Texts = {"ru": "Ы" * 4_000, "en": "y" * 4_000}


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory, links=(GOOD, BAD)) as station:
        configuration = station.config("eucom")
        command = f'command = ["/bin/sh", "-c", "cat >> {station.folder}/told"]'
        configuration.write_text(configuration.read_text().replace("[notifications]", f"[notifications]\n{command}"))
        yield station


def told(station: Station) -> list[str]:
    """Return the alarms that were notified, as `code/subject`, followed by `over` for the end of an alarm."""
    path = station.folder / "told"
    notices = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    alarms = [each["alarm"] for each in notices if each["kind"] == "alarm"]
    return [f"{each['code']}/{each['subject']}{' over' if 'cleared_at' in each else ''}" for each in alarms]


def told_of_failures(station: Station) -> list[str]:
    return [each for each in told(station) if each.startswith("journal_failure")]


def last_segment(station: Station, link: str) -> Path:
    return segments(station.journal("eucom", link))[-1]


def journal(station: Station, link: str) -> list[bytes]:
    return [path.read_bytes().rstrip(b"\0") for path in segments(station.journal("eucom", link))]


def fill(disk: SmallDisk, station: Station) -> None:
    """Leave no free space, and let alerts use up the zeros that are written ahead."""
    disk.leave(0)
    sent = 0
    while not any(each["code"] == "journal_failure" for each in station.status("eucom", BAD)["alarms"]):
        assert sent < 100
        station.alert("ndmc", BAD, text=LONG)
        sent += 1


def tried_again(station: Station) -> None:
    """Wait for the next attempt to open the journal on the bad disk: it writes the last batch again."""
    before = last_segment(station, BAD).stat().st_mtime_ns
    station.until(lambda: last_segment(station, BAD).stat().st_mtime_ns != before)


def until_over(views: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the views of a followed status, up to the first without an alarm after one with it."""
    failed = False
    for view in views:
        yield view
        if failed and view["state"] != "alarm":
            return
        failed = view["state"] == "alarm"


def refused(station: Station, link: str) -> RequestRefused:
    with pytest.raises(RequestRefused) as refusal:
        station.alert("eucom", link)
    return refusal.value


def works(station: Station, link: str) -> None:
    """Send an alert, acknowledge it, and wait for the acknowledgement."""
    reference = station.alert("eucom", link)
    station.until(lambda: station.alert_state("ndmc", reference, link) is not None)
    station.act("ndmc", "duty-1", "acknowledge", link, of=reference, decision="understood")
    station.until(lambda: station.alert_state("eucom", reference, link) == "understood")


def stopped(station: Station, why: str = "can't be written") -> None:
    """Check that the link on the bad disk has stopped, reports it everywhere, and that the other link works."""
    alarm = station.alarm("eucom", "journal_failure", BAD)
    assert alarm["severity"] == "critical"
    assert str(station.journal("eucom", BAD)) in alarm["detail"]
    assert station.status("eucom", BAD)["state"] == "alarm"
    station.until(lambda: f"journal_failure/{BAD}" in told(station))
    refusal = refused(station, BAD)
    assert refusal.code == "link_stopped"
    assert why in str(refusal)
    works(station, GOOD)
    # ordinary log lines and the other link's records still reach the log collector
    station.until(lambda: b'"link stopped"' in station.output("eucom"))
    last = station.records("eucom", link=GOOD)[-1]["hash"].encode()
    station.until(partial(printed, station, last))


def nothing_left(station: Station, side: str, link: str) -> bool:
    return bool(station.status(side, link)["outbox"] == {"waiting": 0, "in_flight": 0})


def printed(station: Station, piece: bytes) -> bool:
    return piece in station.output("eucom")


def came_back(station: Station) -> None:
    """Check that the link on the bad disk resumes by itself and reports it once, without effect on the other link."""
    station.cleared("eucom", "journal_failure", BAD)
    station.until(lambda: bool(station.status("eucom", BAD)["broker"] == "connected"))
    station.until(lambda: told_of_failures(station) == [f"journal_failure/{BAD}", f"journal_failure/{BAD} over"])
    # printed by a thread of its own
    station.until(lambda: station.output("eucom").count(b'"link back"') == 1)
    assert station.output("eucom").count(b'"link stopped"') == 1
    happened = [each["event"] for each in station.records("eucom", link=GOOD)]
    life = happened[len(happened) - happened[::-1].index("Started") :]
    assert (life.count("TransportConnected"), life.count("TransportLost")) == (1, 0)


def mended(station: Station) -> None:
    """Check that no message is lost or applied twice on either link, and that the collected log is complete."""
    for link in (BAD, GOOD):
        for side in SIDES:
            station.until(partial(nothing_left, station, side, link), 40)
        works(station, link)
        for sender, receiver in (SIDES, SIDES[::-1]):
            queued = [each["message"] for each in station.effects(sender, "Queue", link)]
            assert [each["message"] for each in station.effects(receiver, "Apply", link)] == queued
        assert "journal_failure" not in {each["code"] for each in station.status("eucom", link)["alarms"]}
    eucom = station.processes["eucom"]
    assert [station.stop(side) for side in SIDES] == [0, 0]
    collected = set(eucom.output().splitlines())
    for link in (BAD, GOOD):
        lines = journal(station, link)[-1].splitlines()
        last_start = max(index for index, line in enumerate(lines) if b'"event":"Started"' in line)
        assert set(lines[last_start:]) <= collected
        journals = [str(station.journal(side, link)) for side in SIDES]
        assert log_verify(*journals) == 0
        assert reconcile(*journals) == 0
        assert replay(journals[0]) == 0


def test_a_nearly_full_disk_refuses_new_alerts_alone(station: Station) -> None:
    with SmallDisk(station.journal("eucom", BAD), 160 * MEGABYTE) as disk:
        station.start(*SIDES)
        works(station, BAD)

        disk.leave(50 * MEGABYTE)
        station.alarm("eucom", "space_low", BAD)
        station.until(lambda: "space_low/journal" in told(station))
        refusal = refused(station, BAD)
        assert refusal.code == "space_low"
        assert "no new alerts until there is room" in str(refusal)
        # the reserve is left for this: the peer's messages are received, receipted and acknowledged
        theirs = station.alert("ndmc", BAD)
        station.until(lambda: station.alert_state("ndmc", theirs, BAD) == "received")
        station.act("eucom", "watch-1", "acknowledge", BAD, of=theirs, decision="understood")
        station.until(lambda: station.alert_state("ndmc", theirs, BAD) == "understood")
        works(station, GOOD)

        disk.leave(120 * MEGABYTE)
        station.cleared("eucom", "space_low", BAD)
        works(station, BAD)


def test_a_full_disk_stops_its_link_until_there_is_space(station: Station) -> None:
    with SmallDisk(station.journal("eucom", BAD), 160 * MEGABYTE) as disk:
        station.start(*SIDES)
        works(station, BAD)

        fill(disk, station)
        stopped(station)
        # the peer works on, and must lose nothing
        station.alert("ndmc", BAD)
        written = journal(station, BAD)
        tried_again(station)
        assert journal(station, BAD) == written
        assert told_of_failures(station) == [f"journal_failure/{BAD}"]

        disk.empty()
        came_back(station)
        mended(station)


def test_the_disk_of_a_stopped_link_can_be_unmounted_and_mounted_again(station: Station) -> None:
    folder = station.journal("eucom", BAD)
    with SmallDisk(folder, 160 * MEGABYTE) as disk:
        station.start(*SIDES)
        works(station, BAD)
        fill(disk, station)
        stopped(station)

        with disk.taken_away(station.until):
            # the next attempt finds an empty mount point, and must not begin a journal there
            station.until((folder / LOCK).exists)
            assert segments(folder) == []
        disk.empty()
        came_back(station)
        mended(station)


def test_a_start_on_a_full_disk_stops_that_link_alone_until_there_is_space(station: Station) -> None:
    with SmallDisk(station.journal("eucom", BAD), 160 * MEGABYTE) as disk:
        station.start(*SIDES)
        works(station, BAD)
        station.kill("eucom")
        # start-up cuts a torn batch, and the zeros with it
        path = last_segment(station, BAD)
        whole = path.read_bytes().rstrip(b"\0")
        n = whole.count(b"\n") + 1
        path.write_bytes(whole + b'{"n":%d,"link":"%b","side":"eucom","batch":%d,"at":"' % (n, BAD.encode(), n))
        disk.leave(0)

        station.launch("eucom")
        station.connected("eucom")
        stopped(station)

        disk.empty()
        came_back(station)
        mended(station)


def test_a_start_on_a_read_only_disk_stops_that_link_alone_until_it_is_writable(
    station: Station,
) -> None:
    with SmallDisk(station.journal("eucom", BAD), 160 * MEGABYTE) as disk:
        station.start(*SIDES)
        works(station, BAD)
        station.stop("eucom")
        disk.remount("ro")

        station.launch("eucom")
        station.connected("eucom")
        stopped(station, "Read-only file system")
        station.alert("ndmc", BAD)

        disk.remount("rw")
        came_back(station)
        mended(station)


@pytest.mark.parametrize(("call", "error"), [("fdatasync", "EIO"), ("pwrite64", "EROFS")])
def test_a_write_or_flush_that_fails_stops_that_link_alone(call: str, error: str, station: Station) -> None:
    station.start(*SIDES)
    works(station, BAD)
    pid = station.processes["eucom"].popen.pid

    with closing(station.client("eucom", BAD).follow("status")) as views:
        assert next(views)["state"] != "alarm"
        with Injection(pid, call, f"error={error}", last_segment(station, BAD)):
            theirs = station.alert("ndmc", BAD)
            stopped(station)
            # the peer has no receipt for a message that may not be on disk
            assert station.alert_state("ndmc", theirs, BAD) == "sent"

        came_back(station)
        # a client that follows the status sees the failure begin and end
        failed = [any(alarm["code"] == "journal_failure" for alarm in view["alarms"]) for view in until_over(views)]
        assert [value for value, _ in groupby(failed)] in ([True, False], [False, True, False])
    mended(station)


def test_a_slow_disk_delays_and_loses_nothing(station: Station) -> None:
    station.start(*SIDES)
    works(station, BAD)
    pid = station.processes["eucom"].popen.pid

    with Injection(pid, "fdatasync", "delay_enter=400000"):
        references = [station.alert("ndmc", BAD) for _ in range(20)]
        station.until(lambda: station.alert_state("ndmc", references[-1], BAD) == "received", 40)
        works(station, BAD)
        alarms = {each["code"] for link in (BAD, GOOD) for each in station.status("eucom", link)["alarms"]}
        assert not alarms

    mended(station)


def test_a_print_position_that_can_t_be_saved_loses_no_line_of_the_log(station: Station) -> None:
    station.start(*SIDES)
    works(station, BAD)
    pid = station.processes["eucom"].popen.pid

    with Injection(pid, "pwrite64", "error=EROFS", station.journal("eucom", BAD) / PLACE):
        works(station, BAD)
        works(station, GOOD)
    works(station, BAD)
    for link in (BAD, GOOD):
        last = station.records("eucom", link=link)[-1]["hash"].encode()
        station.until(partial(printed, station, last))

    mended(station)
