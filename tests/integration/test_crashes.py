"""Processes killed during an exchange lose and double no message, and officers are notified."""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from endpoints.failpoints import EXIT_CODE, VARIABLE
from tests.support.station import ALL, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        told = station.folder / "told"
        for side in ("eucom", "ndmc"):
            # write each notification as one line
            configuration = station.config(side)
            text = configuration.read_text()
            command = f'command = ["/bin/sh", "-c", "cat >> {told}-{side}"]'
            configuration.write_text(text.replace("[notifications]", f"[notifications]\n{command}"))
        station.start(*ALL)
        yield station


def told(station: Station, side: str) -> list[str]:
    """Return the ids of the notifications that were delivered, in order."""
    path = Path(f"{station.folder}/told-{side}")
    return [msgspec.json.decode(line)["id"] for line in path.read_bytes().splitlines()] if path.exists() else []


def notified(station: Station, side: str) -> bool:
    """Return whether every notification of a side is done."""
    done = {each["id"] for each in station.records(side, "NotificationDone")}
    return all(each["id"] in done for each in station.effects(side, "Notify"))


def back(station: Station, *names: str) -> None:
    """Restart the processes that are down, wait until all is settled, and check that nothing is lost or doubled."""
    for name in ALL:
        if name in names or name not in station.processes:
            station.launch(name)
    station.connected(*ALL)
    station.settled()
    for sender, receiver in (("eucom", "ndmc"), ("ndmc", "eucom")):
        queued = [each["message"] for each in station.effects(sender, "Queue")]
        applied = [each["message"] for each in station.effects(receiver, "Apply")]
        assert [message["seq"] for message in applied] == list(range(1, len(applied) + 1))
        assert applied == queued


@pytest.mark.parametrize("name", ["eucom", "ndmc"])
def test_an_endpoint_killed_under_a_stream_of_alerts_loses_nothing(station: Station, name: str) -> None:
    sender = "ndmc" if name == "eucom" else "eucom"
    before = [station.alert(sender) for _ in range(5)]
    station.kill(name)
    after = [station.alert(sender) for _ in range(5)]

    back(station)

    receiver = "ndmc" if sender == "eucom" else "eucom"
    assert all(station.alert_state(receiver, reference) for reference in before + after)
    station.each(before + after, lambda reference: station.alert_state("watch", reference) is not None)


def test_a_killed_watch_receives_what_was_sent_meanwhile(station: Station) -> None:
    known = station.alert()
    station.until(lambda: station.alert_state("watch", known) is not None)
    station.kill("watch")
    references = [station.alert() for _ in range(3)]

    back(station)

    station.each(references, lambda reference: station.alert_state("watch", reference) is not None)


def test_a_frame_lost_in_a_crash_of_the_watch_is_recorded_as_blind(station: Station) -> None:
    station.settled()
    station.stop("watch")
    watch = station.launch("watch", **{VARIABLE: "after_frame"})
    station.connected("watch")
    lost = station.alert()
    # aiomqtt acknowledged the frame before its record was on disk
    assert watch.wait() == EXIT_CODE

    back(station, "watch")
    reference = station.alert()

    station.until(lambda: station.alert_state("watch", reference) is not None)
    assert station.alert_state("watch", lost) is None
    assert any(alarm["code"] == "watch_blind" for alarm in station.alarms("watch").values())


def test_a_broker_killed_under_a_stream_of_alerts_loses_nothing(station: Station) -> None:
    references = [station.alert() for _ in range(3)]
    station.broker.kill()
    references += [station.alert() for _ in range(3)]
    assert station.snapshot("eucom")["ours"]["last"] == int(references[-1].rpartition("/")[2])
    station.broker.start()

    back(station)

    assert all(station.alert_state("ndmc", reference) for reference in references)


def test_a_broker_whose_files_are_wiped_loses_nothing(station: Station) -> None:
    station.stop("ndmc")
    references = [station.alert() for _ in range(3)]
    station.until(lambda: station.status("eucom")["outbox"]["in_flight"] > 0)
    station.broker.stop()
    station.broker.wipe()
    station.broker.start()

    back(station)

    assert all(station.alert_state("ndmc", reference) for reference in references)


def test_the_link_recovers_from_a_frozen_broker(station: Station) -> None:
    station.broker.freeze()
    reference = station.alert()
    station.broker.thaw()

    back(station)

    assert station.alert_state("ndmc", reference)


def test_notifications_are_repeated_after_a_crash_under_the_same_id(station: Station) -> None:
    station.settled()
    station.until(lambda: notified(station, "ndmc"))
    station.stop("ndmc")
    before = set(told(station, "ndmc"))
    reference = station.alert()
    crashed = station.launch("ndmc", **{VARIABLE: "after_notify"})
    assert crashed.wait() == EXIT_CODE
    # the alert's, or that of an alarm which the restart raised
    notice = next(each for each in told(station, "ndmc") if each not in before)

    back(station, "ndmc")

    station.until(lambda: Counter(told(station, "ndmc"))[notice] == 2)
    station.until(lambda: notified(station, "ndmc"))
    assert f"message/{reference}" in told(station, "ndmc")
    station.stop("ndmc")
    back(station, "ndmc")
    assert Counter(told(station, "ndmc"))[notice] == 2


def test_a_clean_stop_closes_the_journal_and_removes_the_socket(station: Station) -> None:
    assert station.stop("eucom") == 0
    assert station.records("eucom")[-1]["event"] == "Closed"
    assert station.records("eucom")[-2]["event"] == "BatchClosed"
    assert station.records("eucom")[-3]["event"] == "Stopped"
    assert not (station.config("eucom").parent / "control.sock").exists()

    back(station)


def test_ctrl_c_is_a_clean_stop(station: Station) -> None:
    assert station.processes.pop("watch").end(signal.SIGINT) == 0
    assert station.records("watch")[-1]["event"] == "Closed"
    assert "signed_head" in station.records("watch")[-1]

    back(station)
