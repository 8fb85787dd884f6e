"""SPEC W: slots, tests, alerts on the watch; alarms and their lives."""

from typing import Any

import pytest
from msgspec import structs

from protocol.core.events import (
    AlarmAcknowledged,
    BatchClosed,
    ClockStepped,
    EpochOpened,
    FrameReceived,
    LineTestRequested,
    OfficerAnswered,
    Resumed,
    Started,
    TransportLost,
)
from protocol.core.observer import Observer
from protocol.errors import LocalProtocolError
from protocol.wire.instants import parsed, written
from protocol.wire.messages import Reference
from tests.support.journal_samples import fields_of
from tests.support.pair import BEGIN, KEYRING, NONCE, SIDES, SLOTS, UNTIL, WORDS, Pair, terms_with
from tests.vectors import bodies
from tests.vectors.streams import STREAM
from tests.vectors.terms import EPOCH_1, message_frame, stream

MORNING = SLOTS[0]


@pytest.fixture
def pair() -> Pair:
    pair = Pair()
    pair.carry()
    return pair


def slot(pair: Pair, side: Any, instant: str = MORNING) -> str:
    state: str = pair.state(side)["watch"]["slots"][instant]["state"]
    return state


def until(pair: Pair, instant: str, *sides: Any, carrying: bool = True) -> None:
    pair.pass_s((parsed(instant) - pair.at) / 1_000, *sides, carrying=carrying)


# --- slots --------------------------------------------------------------------------------------------------------


def test_the_caller_places_the_test_and_both_sides_see_the_slot_met(pair: Pair) -> None:
    """SPEC W1.1, W1.3"""
    until(pair, MORNING)
    for side in SIDES:
        assert slot(pair, side) == "met"
        assert pair.alarms(side) == []
    until(pair, "2022-11-29T08:09:59.999Z")
    pair.do("ndmc", OfficerAnswered, officer="volkov", of=Reference("eucom", 1, 1), read_back=WORDS)
    pair.carry()
    until(pair, "2022-11-29T15:59:00.000Z")
    assert pair.effects["eucom"]
    for side in SIDES:
        assert pair.alarms(side) == []


def test_a_slot_is_missed_at_its_deadline_and_late_when_the_test_still_comes(pair: Pair) -> None:
    """SPEC W1.2, W2.2"""
    until(pair, "2022-11-29T08:14:59.999Z", carrying=False)
    assert pair.alarms("ndmc") == []
    held = pair.lose()
    until(pair, "2022-11-29T08:20:00.000Z", carrying=False)
    pair.lose()
    assert pair.alarms("ndmc") == [f"heartbeat_missed/{MORNING}"]
    alarm = pair.alarm("ndmc", "heartbeat_missed")
    assert alarm["raised_at"] == alarm["detected_at"] == "2022-11-29T08:15:00.000Z"
    assert slot(pair, "ndmc") == "missed"
    pair.arrive("ndmc", held[0][2])
    assert slot(pair, "ndmc") == "late"
    assert pair.alarms("ndmc") == []


@pytest.mark.parametrize(("arrival", "state"), [("07:58:59.999", "awaited"), ("07:59:00.000", "met")])
def test_a_test_comes_no_earlier_than_the_skew_limit(pair: Pair, arrival: str, state: str) -> None:
    """SPEC W1.1"""
    until(pair, f"2022-11-29T{arrival}Z")
    pair.arrive("ndmc", message_frame("eucom", stream("eucom", bodies.HEARTBEAT)))
    assert slot(pair, "ndmc") == state


@pytest.mark.parametrize(("up_at", "placed"), [("08:14:59.999", True), ("08:15:00.000", False)])
def test_a_slots_test_is_placed_within_its_grace_and_never_later(pair: Pair, up_at: str, placed: bool) -> None:
    """SPEC W1.3"""
    until(pair, "2022-11-29T07:40:00.000Z")
    until(pair, f"2022-11-29T{up_at}Z", "ndmc")
    pair.mono = 5
    pair.start("eucom")
    pair.carry()
    pair.pass_s(0.0005)
    assert ("message/eucom/1/1" in pair.told("ndmc")) == placed


def test_an_officer_places_the_test_where_the_policy_says_so() -> None:
    """SPEC W1.3"""
    pair = Pair(terms_with(placed_by="officer"))
    pair.carry()
    until(pair, "2022-11-29T08:05:00.000Z")
    assert slot(pair, "eucom") == "awaited"
    pair.do("eucom", LineTestRequested, nonce=NONCE, officer="miller")
    pair.carry()
    assert slot(pair, "ndmc") == "met"


# --- line tests ---------------------------------------------------------------------------------------------------


def test_the_caller_waits_for_the_receipt_and_then_for_the_answer(pair: Pair) -> None:
    """SPEC W2.1"""
    until(pair, MORNING, carrying=False)
    frame = pair.lose()[0][2]
    until(pair, "2022-11-29T08:14:59.999Z", "eucom", carrying=False)
    assert pair.alarms("eucom") == []
    until(pair, "2022-11-29T08:15:00.000Z", "eucom", carrying=False)
    assert pair.alarms("eucom") == ["heartbeat_unreceipted/eucom/1/1"]
    pair.lose()
    pair.arrive("ndmc", frame)
    pair.carry()
    assert pair.alarms("eucom") == []
    pair.pass_s(600)
    for side in SIDES:
        assert "heartbeat_unanswered/eucom/1/1" in pair.alarms(side)
    pair.do("ndmc", OfficerAnswered, officer="volkov", of=Reference("eucom", 1, 1), read_back=WORDS)
    pair.carry()
    for side in SIDES:
        assert "heartbeat_unanswered/eucom/1/1" not in pair.alarms(side)
        assert pair.state(side)["watch"]["tests"]["eucom/1/1"]["state"] == "answered_late"


def test_the_answering_side_watches_its_own_officer(pair: Pair) -> None:
    """SPEC W2.2"""
    pair.test_line()
    pair.carry()
    pair.pass_s(599.999, "ndmc")
    assert pair.alarms("ndmc") == []
    pair.pass_s(0.001, "ndmc")
    assert pair.alarms("ndmc") == ["heartbeat_unanswered/eucom/1/1"]


def test_of_queued_tests_only_the_newest_needs_an_answer(pair: Pair) -> None:
    """SPEC W1.4"""
    for _ in range(3):
        pair.test_line()
    pair.carry()
    states = [test["state"] for test in pair.state("ndmc")["watch"]["tests"].values()]
    assert states == ["superseded", "superseded", "received"]
    pair.pass_s(601)
    assert pair.alarms("ndmc") == ["heartbeat_unanswered/eucom/1/3"]


def test_a_slot_that_the_other_schedule_does_not_have_is_told(pair: Pair) -> None:
    """SPEC W3"""
    until(pair, "2022-11-29T08:30:00.000Z")
    pair.lose()
    other = Pair()
    other.carry()
    until(other, "2022-11-29T08:30:00.000Z", "ndmc")
    odd = stream("eucom", bodies.HEARTBEAT | {"slot": "2022-11-29T08:30:00.000Z"})
    other.arrive("ndmc", message_frame("eucom", odd))
    assert "schedule_disagreement/eucom" in other.alarms("ndmc")


# --- alerts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("precedence", "seconds"), [("immediate", 1_800), ("priority", 10_800), ("routine", 21_600)])
def test_an_alert_waits_for_an_officer_as_long_as_its_precedence_says(precedence: str, seconds: int) -> None:
    """SPEC W2.3"""
    pair = Pair(terms_with(four_eyes=()))
    pair.carry()
    reference = pair.alert(precedence=precedence)
    pair.carry()
    pair.pass_s(seconds - 0.001)
    for side in SIDES:
        assert f"alert_unacknowledged/{reference}" not in pair.alarms(side)
    pair.pass_s(0.001)
    for side in SIDES:
        assert f"alert_unacknowledged/{reference}" in pair.alarms(side)
    pair.acknowledge(reference)
    pair.carry()
    for side in SIDES:
        assert f"alert_unacknowledged/{reference}" not in pair.alarms(side)


# --- alarms -------------------------------------------------------------------------------------------------------


def test_an_alarm_stays_until_it_is_cleared_and_acknowledged(pair: Pair) -> None:
    """SPEC W4"""
    pair.do("ndmc", TransportLost, reason="test")
    pair.pass_s(31, "ndmc", carrying=False)
    assert pair.alarms("ndmc") == ["broker_unreachable/broker"]
    told = pair.told("ndmc")
    pair.do("ndmc", TransportLost, reason="test")
    pair.pass_s(31, "ndmc", carrying=False)
    assert pair.told("ndmc") == told
    pair.restart("ndmc")
    assert pair.alarms("ndmc") == []
    alarm = pair.alarm("ndmc", "broker_unreachable")
    assert alarm["cleared_at"] == written(pair.at)
    pair.do("ndmc", AlarmAcknowledged, officer="volkov", code="broker_unreachable", subject="broker")
    assert pair.state("ndmc")["alarms"] == {}
    with pytest.raises(LocalProtocolError, match="no alarm"):
        pair.do("ndmc", AlarmAcknowledged, officer="volkov", code="broker_unreachable", subject="broker")


def test_an_acknowledged_alarm_stays_until_it_is_cleared(pair: Pair) -> None:
    """SPEC W4"""
    pair.pass_s(46 * 60, "ndmc", carrying=False)
    pair.do("ndmc", AlarmAcknowledged, officer="volkov", code="heartbeat_missed", subject=MORNING)
    assert pair.alarm("ndmc", "heartbeat_missed")["acknowledged_by"] == "volkov"
    assert pair.alarms("ndmc") == [f"heartbeat_missed/{MORNING}"]
    pair.pass_s(10 * 3_600, "ndmc", carrying=False)
    assert f"heartbeat_missed/{MORNING}" in pair.alarms("ndmc")


# --- blindness and clocks -----------------------------------------------------------------------------------------


def test_a_deadline_survives_a_restart(pair: Pair) -> None:
    """SPEC W5.1"""
    reference = pair.alert()
    pair.carry()
    pair.pass_s(10_000)
    pair.restart("eucom")
    pair.carry()
    pair.pass_s(799)
    assert f"alert_unacknowledged/{reference}" not in pair.alarms("eucom")
    pair.pass_s(2)
    assert f"alert_unacknowledged/{reference}" in pair.alarms("eucom")


@pytest.mark.parametrize("step_s", [-3_600, 3_600])
def test_a_stepped_clock_neither_fires_nor_loses_a_deadline(pair: Pair, step_s: int) -> None:
    """SPEC W5.1"""
    reference = pair.alert()
    pair.carry()
    pair.pass_s(60)
    pair.at += step_s * 1_000
    for side in SIDES:
        pair.do(side, ClockStepped, step_ms=step_s * 1_000)
    pair.pass_s(10_739)
    assert f"alert_unacknowledged/{reference}" not in pair.alarms("eucom")
    pair.pass_s(1)
    assert f"alert_unacknowledged/{reference}" in pair.alarms("eucom")


def test_what_fell_into_the_dark_is_one_record(pair: Pair) -> None:
    """SPEC W5.2"""
    reference = pair.alert()
    pair.carry()
    until(pair, "2022-11-29T07:50:00.000Z")
    pair._move(12 * 3_600 * 1_000)
    pair.links["ndmc"] = type(pair.links["ndmc"]).restore(pair.links["ndmc"].checkpoint())
    pair.mono = 3
    pair.start("ndmc")
    assert slot(pair, "ndmc", SLOTS[0]) == slot(pair, "ndmc", SLOTS[1]) == "unknown"
    assert [alarm["code"] for alarm in pair.state("ndmc")["alarms"].values()] == ["watch_blind"]
    alarm = pair.alarm("ndmc", "watch_blind")
    # the last that its journal knows of
    assert alarm["raised_at"] == BEGIN
    for what in (*SLOTS, str(reference)):
        assert what in alarm["detail"]
    pair.lose()
    pair.pass_s(59, "ndmc", carrying=False)
    assert pair.alarms("ndmc") == []
    pair.pass_s(1, "ndmc", carrying=False)
    assert pair.alarms("ndmc") == [f"alert_unacknowledged/{reference}"]


def test_a_machine_that_slept_was_blind(pair: Pair) -> None:
    """SPEC W5.2"""
    since = written(pair.at)
    pair._move(3_600 * 1_000)
    pair.do("ndmc", Resumed, since=since)
    assert slot(pair, "ndmc") == "unknown"
    assert pair.alarm("ndmc", "watch_blind")["subject"].startswith(since)


def test_a_clock_set_back_awaits_its_slots_again(pair: Pair) -> None:
    """SPEC W5.1"""
    until(pair, "2022-11-29T08:20:00.000Z", "ndmc", carrying=False)
    assert slot(pair, "ndmc") == "missed"
    pair.at -= 3_600 * 1_000
    pair.do("ndmc", ClockStepped, step_ms=-3_600_000)
    assert slot(pair, "ndmc") == "awaited"
    assert f"heartbeat_missed/{MORNING}" not in pair.alarms("ndmc")


# --- the independent watch ----------------------------------------------------------------------------------------


def test_the_independent_watch_applies_the_same_rules_and_says_nothing() -> None:
    """SPEC W6"""
    watch = Observer.new("eucom-ndmc")
    at, mono = parsed(BEGIN), 0
    watch.handle(EpochOpened(at=at, mono=mono, terms=EPOCH_1))
    watch.handle(Started(at=at, mono=mono, software="test", slots=SLOTS, slots_until=UNTIL, tzdata="2026a"))

    def sees(messages: list[dict[str, Any]], instant: str) -> None:
        frame = message_frame("eucom", messages)
        verdict = KEYRING.judge("message", "eucom", frame)
        watch.handle(
            FrameReceived(
                at=parsed(instant), mono=mono, channel="message", sender="eucom", frame=frame, verdict=verdict
            )
        )
        watch.handle(BatchClosed(at=parsed(instant), mono=mono))

    sees(STREAM[:1], MORNING)
    state = fields_of(watch)
    assert state["watch"]["slots"][MORNING]["state"] == "met"
    # a gap is its own blindness, no fault of the parties
    sees(STREAM[3:4], "2022-11-29T08:04:00.000Z")
    codes = [alarm["code"] for alarm in fields_of(watch)["alarms"].values()]
    assert codes == ["watch_blind"]
    with pytest.raises(LocalProtocolError, match="sends nothing"):
        watch.handle(BatchClosed(at=at, mono=mono, frames=(b"x",)))


def test_the_terms_of_a_watch_name_its_parties() -> None:
    watch = Observer.new("eucom-ndmc")
    with pytest.raises(LocalProtocolError, match="not of eucom-ndmc"):
        watch.handle(EpochOpened(at=1, mono=0, terms=structs.replace(EPOCH_1, link="other")))
