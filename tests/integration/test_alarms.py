"""Every missed deadline raises its alarm in the right processes; the alarm is cleared when its cause is over."""

from collections.abc import Iterator

import pytest

from endpoints.clocks.exercise_table import ExerciseTable
from protocol.wire.instants import parsed, written
from protocol.wire.policy import Handling
from tests.support.station import ALL, SIDES, Station, boot_ms

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

FAST = 400
"""Exercise seconds per real second: a delay of 50 ms on a busy machine is 20 s of grace."""


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """Yield one link, with a slot every hour; the tests run on it in order, over some hours."""
    with Station.of(
        tmp_path_factory,
        starts=parsed("2022-11-29T15:58:00.000Z"),
        slots=("0 * * * *",),
        grace_s=300,
        answer_within_s=300,
        handling=Handling(flash=120, immediate=120, priority=120, routine=120),
    ) as station:
        station.start(*ALL)
        yield station


def last_test(station: Station, name: str) -> dict[str, str]:
    found: dict[str, str] = station.status(name)["last_test"] or {}
    return found


def answer(station: Station) -> None:
    """Answer the last line test as an officer of ndmc."""
    test = station.snapshot("ndmc")["tests"][-1]
    station.act("ndmc", "duty-1", "answer", of=test["reference"], words=test["heartbeat"]["challenge"])
    station.each(ALL, lambda name: last_test(station, name).get("state") in {"answered", "answered_late"})


def test_the_line_test_of_a_slot_is_placed_automatically_and_answered(station: Station) -> None:
    assert station.status("eucom")["next_slot"] == "2022-11-29T16:00:00.000Z"

    station.forward_to("2022-11-29T16:00:01.000Z", rate=FAST)

    station.each(ALL, lambda name: last_test(station, name).get("slot") == "2022-11-29T16:00:00.000Z")
    assert station.status("ndmc")["state"] == "late"
    answer(station)
    station.each(ALL, lambda name: bool(station.status(name)["state"] == "fine"))
    assert station.status("ndmc")["next_slot"] == "2022-11-29T17:00:00.000Z"


def test_a_line_test_that_nobody_answers_raises_an_alarm(station: Station) -> None:
    reference = station.client("eucom").act("test", {})
    station.until(lambda: last_test(station, "ndmc").get("reference") == reference)

    station.forward(310, rate=FAST)

    for name in ALL:
        assert station.alarm(name, f"heartbeat_unanswered/{reference}")["severity"] == "critical"
    answer(station)
    for name in ALL:
        station.cleared(name, "heartbeat_unanswered")


def test_a_line_test_that_nobody_receives_raises_an_alarm(station: Station) -> None:
    station.stop("ndmc")
    reference = station.client("eucom").act("test", {})

    station.forward(310, rate=FAST)

    for name in ("eucom", "watch"):
        station.alarm(name, f"heartbeat_unreceipted/{reference}")
    station.start("ndmc")
    for name in ("eucom", "watch"):
        station.cleared(name, "heartbeat_unreceipted")
    answer(station)


def test_an_alert_that_nobody_acknowledges_raises_an_alarm(station: Station) -> None:
    reference = station.alert()
    station.each(ALL, lambda name: station.alert_state(name, reference) is not None)

    station.forward(130, rate=FAST)

    for name in ALL:
        station.alarm(name, f"alert_unacknowledged/{reference}")
    # a promise to reply starts the deadline again
    station.act("ndmc", "duty-1", "acknowledge", of=reference, decision="will_reply")
    for name in ALL:
        station.cleared(name, "alert_unacknowledged")
    station.forward(130, rate=FAST)
    for name in ALL:
        station.alarm(name, f"alert_unacknowledged/{reference}")
    station.act("ndmc", "duty-1", "acknowledge", of=reference, decision="understood")
    for name in ALL:
        station.cleared(name, "alert_unacknowledged")


def test_a_broker_outage_longer_than_a_reconnect_raises_an_alarm(station: Station) -> None:
    station.broker.stop()

    station.forward(60, rate=40)

    for name in ALL:
        station.alarm(name, "broker_unreachable/broker")
    station.broker.start()
    for name in ALL:
        station.cleared(name, "broker_unreachable")


def test_a_disconnected_peer_is_only_a_warning(station: Station) -> None:
    for name in SIDES:
        for code in ("heartbeat_unanswered", "heartbeat_unreceipted", "alert_unacknowledged", "broker_unreachable"):
            see(station, name, code)
    station.stop("ndmc")

    for name in ("eucom", "watch"):
        assert station.alarm(name, "peer_disconnected/ndmc")["severity"] == "warning"
    station.until(lambda: station.status("eucom")["peer"] == "gone")
    status = station.status("eucom")
    assert (status["state"], {each["code"] for each in status["reasons"]}) == ("unproven", {"warning", "peer_gone"})
    station.start("ndmc")
    for name in ("eucom", "watch"):
        station.cleared(name, "peer_disconnected")
    station.until(lambda: bool(station.status("eucom")["peer"] == "present"))


def see(station: Station, name: str, code: str) -> None:
    """Acknowledge all alarms with this code at a side."""
    officer = "watch-1" if name == "eucom" else "duty-1"
    for alarm in station.alarms(name).values():
        if alarm["code"] == code and "acknowledged_at" not in alarm:
            station.act(name, officer, "acknowledge-alarm", code=code, subject=alarm["subject"])


def test_a_slot_is_missed_elsewhere_while_an_endpoint_is_down(station: Station) -> None:
    station.stop("eucom")
    slot = "2022-11-29T17:00:00.000Z"

    station.forward_to("2022-11-29T17:06:00.000Z", rate=FAST)

    for name in ("ndmc", "watch"):
        alarm = station.alarm(name, "heartbeat_missed")
        assert (alarm["subject"], alarm["raised_at"]) == (slot, "2022-11-29T17:05:00.000Z")
    station.start("eucom")
    station.until(lambda: any(key.startswith("watch_blind/") for key in station.alarms("eucom")))
    blind = [alarm for alarm in station.alarms("eucom").values() if alarm["code"] == "watch_blind"]
    assert len(blind) == 1
    assert slot in blind[0]["detail"]
    assert not any(alarm["code"] == "heartbeat_missed" for alarm in station.alarms("eucom").values())
    # one alarm each, however long the endpoint is down
    station.forward(600, rate=FAST)
    for name in ("ndmc", "watch"):
        missed = [each for each in station.effects(name, "RaiseAlarm") if each["alarm"]["code"] == "heartbeat_missed"]
        assert len(missed) == 1


def test_an_endpoint_restarted_within_the_grace_places_the_line_test(station: Station) -> None:
    station.forward_to("2022-11-29T17:58:00.000Z", rate=FAST)
    station.stop("eucom")
    station.forward_to("2022-11-29T18:02:00.000Z", rate=FAST)

    station.start("eucom")

    station.each(ALL, lambda name: last_test(station, name).get("slot") == "2022-11-29T18:00:00.000Z")
    answer(station)
    assert [each["alarm"]["subject"] for each in station.effects("ndmc", "RaiseAlarm")].count(
        "2022-11-29T18:00:00.000Z"
    ) == 0


def test_a_clock_that_is_behind_raises_skew_alarms_on_both_sides(station: Station) -> None:
    station.stop("ndmc")
    behind = station.folder / "behind.json"
    ExerciseTable.begin(boot_ms(), station.now - 300_000, 1).write(behind)
    station.start("ndmc", DECONFLICT_EXERCISE_CLOCK=str(behind))

    station.until(lambda: any(key.startswith("clock_step/") for key in station.alarms("ndmc")))
    reference = station.alert()
    station.until(lambda: station.alert_state("ndmc", reference) is not None)
    station.alarm("ndmc", "clock_skew/eucom/ahead")
    station.alarm("eucom", "clock_skew/ndmc/behind")

    station.stop("ndmc")
    station.start("ndmc")
    reference = station.alert()
    station.until(lambda: station.alert_state("ndmc", reference) is not None)
    station.forward(700, rate=FAST)
    station.cleared("ndmc", "clock_skew")
    station.cleared("eucom", "clock_skew")


def test_alarms_survive_a_restart_until_they_are_over_and_acknowledged(station: Station) -> None:
    before = station.alarms("ndmc")
    assert any(key.startswith("heartbeat_missed/") for key in before)
    station.kill("ndmc")
    station.start("ndmc")
    after = station.alarms("ndmc")
    assert after.keys() >= {key for key in before if not key.startswith("peer_disconnected")}

    listed = station.deconflict("alarms", "list", str(station.config("ndmc")), "--lang", "ru")
    assert "нет проверки линии" in listed.stdout or "heartbeat_missed" in listed.stdout
    key = next(key for key in after if key.startswith("clock_step/"))
    shown = station.deconflict(
        *("alarms", "acknowledge", str(station.config("ndmc")), key, "--officer", "duty-1"),
        *("--credential-file", str(station.credential_file("ndmc", "duty-1"))),
    )
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, f"{key}\n", "")
    assert key not in station.alarms("ndmc")
    assert written(station.now) > "2022-11-29T18"
