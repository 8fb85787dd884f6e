"""Time: blind intervals, restarts, stepped clocks, sleep, new time zone data (SPEC W5)."""

import pytest

from protocol.core.alarms import Alarm
from protocol.core.deadlines import Deadline
from protocol.core.events import ClockStepped, Resumed, SlotsPlanned, TransportConnected, TransportLost
from protocol.core.link import Link
from protocol.wire.instants import Millis, parsed, written
from tests.support.cast import Peer, a_heartbeat, alert, an_alert, ref, see, test_line
from tests.support.playbook import Cue, event, play, wait
from tests.support.world import DAY, HOUR, MINUTE, SECOND, START, TERMS, End, Line, slots_between, terms

LOST = event(TransportLost, reason="gone")
SLOT = "2022-11-29T08:00:00.000Z"
NEXT = "2022-11-29T16:00:00.000Z"
MISSED = f"heartbeat_missed/{SLOT}"


def answering(*, quiet: bool = False) -> tuple[End, Peer]:
    """Return the answering end, and the scripted caller."""
    opened = terms(four_eyes=())
    return End.started("ndmc", opened, quiet=quiet), Peer("eucom", opened)


def slots(end: End) -> dict[str, str]:
    return {view.slot: str(view.state) for view in end.core.snapshot().slots if view.state != "awaited"}


def blind(end: End) -> list[Alarm]:
    """Return the records of blindness."""
    return [alarm for alarm in end.core.snapshot().alarms if alarm.code == "watch_blind"]


def away(end: End, since: str, until: str) -> None:
    """Let the process be dead from one instant to another."""
    end.world.wait(parsed(since) - end.world.at)
    end.crash()
    end.world.wait(parsed(until) - end.world.at)
    end.transcript.clear()
    end.start()


def step(end: End, by: Millis) -> None:
    """Let the wall clock jump, and the service notice."""
    end.skew += by
    end.happens((ClockStepped, {"step_ms": by}))
    if end.core.slots_until < end.at + 7 * DAY:
        end.plan()


def sleep(end: End, duration: Millis) -> None:
    """Let the machine sleep, and the service notice."""
    since = end.at
    end.world.at += duration
    end.happens((Resumed, {"since": written(since)}))


def test_what_fell_due_before_the_machine_slept_is_missed_and_not_unknown() -> None:
    """SPEC W5.2: the deadline passed while somebody watched; only its event was still to come."""
    end, _ = answering()
    end.world.at = parsed("2022-11-29T08:30:00.000Z")
    since = written(end.at)
    end.world.at += HOUR
    end.happens((Resumed, {"since": since}))
    assert slots(end)[SLOT] == "missed"
    assert MISSED in end.alarms
    assert not blind(end)


# --- absence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["restart", "sleep", "step"])
def test_slots_that_fell_due_in_the_dark_are_unknown_all_in_one_record(way: str) -> None:
    """SPEC W5.2, W3"""
    end, peer = answering()
    until = "2022-12-02T12:00:00.000Z"
    if way == "restart":
        away(end, written(START), until)
    elif way == "sleep":
        sleep(end, parsed(until) - START)
    else:
        step(end, parsed(until) - START)
    (record,) = blind(end)
    assert record.subject == f"{written(START)}..{until}"
    assert record.raised_at == written(START)
    missed = slots_between(START, parsed(until))
    assert len(missed) == 7
    assert record.detail == "unknown: slots " + ", ".join(missed)
    assert slots(end) == dict.fromkeys(missed, "unknown")
    # it is over, and waits for an officer
    assert not [alarm for alarm in end.alarms if "heartbeat" in alarm or "blind" in alarm]
    # what still comes makes a slot late, without an alarm
    end.receive(peer.sends(peer.says(a_heartbeat(missed[-1]))))
    assert slots(end)[missed[-1]] == "late"
    play(end, see("watch_blind", record.subject))
    assert not blind(end)


def test_an_absence_in_which_nothing_fell_due_is_no_blindness() -> None:
    """SPEC W5.2"""
    end, _peer = answering()
    away(end, written(START), SLOT)
    sleep(end, MINUTE)
    assert not blind(end)
    assert not end.core.snapshot().alarms


def test_a_slot_that_began_in_the_dark_gets_a_minute_for_what_waits_at_the_broker() -> None:
    """SPEC W5.2"""
    end, _peer = answering()
    away(end, written(START), "2022-11-29T08:14:30.000Z")
    assert slots(end) == {}
    play(end, wait(60 * SECOND - 1))
    play(end, wait(1), f"RaiseAlarm {MISSED}, since 08:15:00.000Z")
    assert not blind(end)


def test_one_that_is_far_from_its_deadline_needs_no_more_time() -> None:
    """SPEC W5.2"""
    end, _peer = answering()
    away(end, written(START), "2022-11-29T08:05:00.000Z")
    play(end, wait(10 * MINUTE), f"RaiseAlarm {MISSED}")


def test_what_came_due_in_the_dark_is_judged_again_when_the_queue_has_arrived() -> None:
    """SPEC W5.2, W2.3"""
    end, peer = answering(quiet=True)
    end.receive(peer.sends(peer.says(an_alert("flash")), peer.says(an_alert("flash")), peer.says(a_heartbeat())))
    away(end, written(START + 9 * MINUTE), written(START + 12 * MINUTE))
    (record,) = blind(end)
    assert record.detail == "unknown: acknowledgements of eucom/1/1, eucom/1/2; answers to eucom/1/3"
    # the cancellation of one was waiting at the broker
    change = {"of": ref(1), "kind": "cancellation"}
    end.receive(peer.sends(peer.says(an_alert("flash", change=change))))
    end.transcript.clear()
    play(
        end,
        wait(60 * SECOND),
        "RaiseAlarm alert_unacknowledged/eucom/1/2, since 08:00:00.000Z",
        "RaiseAlarm heartbeat_unanswered/eucom/1/3, since 08:00:00.000Z",
    )


def test_a_deadline_that_lies_ahead_survives_a_restart() -> None:
    """SPEC W5.1"""
    end, peer = answering(quiet=True)
    end.receive(peer.sends(peer.says(an_alert("immediate"))))
    away(end, written(START + 5 * MINUTE), written(START + 25 * MINUTE))
    play(end, wait(5 * MINUTE), "RaiseAlarm alert_unacknowledged/eucom/1/1")


@pytest.mark.parametrize("rhythm_s", [2, 20, 45, 61])
def test_a_process_that_dies_again_and_again_is_no_reason_for_silence(rhythm_s: int) -> None:
    """SPEC W5.2"""
    end, peer = answering()
    end._shadowed = False
    end.receive(peer.sends(peer.says(an_alert("flash"))))
    end.happens(*LOST.happenings)
    for _ in range(40 * 60 // rhythm_s):
        end.crash()
        end.world.wait(SECOND)
        end.start(connected=False)
        end.world.wait(rhythm_s * SECOND - SECOND)
    assert "alert_unacknowledged/eucom/1/1" in end.alarms
    assert "broker_unreachable/broker" in end.alarms
    assert slots(end)[SLOT] in {"missed", "unknown"}
    assert (MISSED in end.alarms) != any(SLOT in record.detail for record in blind(end))


def test_a_very_long_absence_is_told_in_few_words() -> None:
    """SPEC W5.2"""
    end, _peer = answering()
    away(end, written(START), "2023-11-29T07:50:00.000Z")
    (record,) = blind(end)
    assert record.detail.endswith(" and 666 more")
    assert len(record.detail) < 3_000
    assert len(slots(end)) == 64


def test_an_endpoint_down_over_a_slot_is_one_alarm_at_the_other_side_and_one_record_at_its_own() -> None:
    """SPEC W1.2, W5.2"""
    line = Line()
    line.eucom.crash()
    line.world.wait(HOUR)
    line.eucom.start()
    line.settle()
    assert [alarm.code for alarm in line.ndmc.core.snapshot().alarms] == ["heartbeat_missed"]
    assert [alarm.code for alarm in line.eucom.core.snapshot().alarms] == ["watch_blind"]


# --- clocks that step ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [SECOND, -SECOND, HOUR, -HOUR, 365 * DAY, -365 * DAY])
def test_a_step_neither_fires_nor_loses_a_duration(by: Millis) -> None:
    """SPEC W5.1"""
    end, peer = answering(quiet=True)
    end.receive(peer.sends(peer.says(an_alert("flash"))))
    end.world.wait(4 * MINUTE)
    step(end, by)
    assert [alarm.code for alarm in end.core.snapshot().alarms] == ["clock_step"]
    assert end.core.snapshot().alarms[0].detail == f"the wall clock moved by {by / SECOND:+.3f} s"
    play(end, wait(6 * MINUTE - 1))
    end.transcript.clear()
    end.world.wait(1)
    (raised,) = end.transcript
    assert raised.startswith("RaiseAlarm alert_unacknowledged/eucom/1/1")


@pytest.mark.parametrize("by", [HOUR, 365 * DAY])
def test_a_step_forward_over_a_slot_leaves_it_unknown(by: Millis) -> None:
    """SPEC W5.2"""
    end, _peer = answering()
    step(end, by)
    assert set(slots(end).values()) == {"unknown"}
    assert len(blind(end)) in {1, 2}  # what lay beyond the planned slots is a second record
    assert not [alarm for alarm in end.alarms if alarm.startswith("heartbeat")]


def test_a_step_forward_into_a_slot_gives_it_time() -> None:
    """SPEC W5.2"""
    end, _peer = answering()
    step(end, 24 * MINUTE + 30 * SECOND)
    play(end, wait(60 * SECOND - 1))
    play(end, wait(1), f"RaiseAlarm {MISSED}, since 08:15:00.000Z")


@pytest.mark.parametrize("by", [SECOND, HOUR, 365 * DAY])
def test_a_step_back_makes_slots_ahead_awaited_again(by: Millis) -> None:
    """SPEC W5.1: never a false 'fine': what was missed then is judged anew."""
    end, _peer = answering()
    end.world.wait(parsed(SLOT) + 15 * MINUTE - end.world.at)
    assert slots(end) == {SLOT: "missed"}
    step(end, -by)
    again = end.at < parsed(SLOT)
    assert (MISSED in end.alarms) != again
    if by == HOUR:
        play(end, wait(parsed(SLOT) + 15 * MINUTE - end.at), f"RaiseAlarm {MISSED}")
    # nor is anything forgotten that lies between then and now
    end.transcript.clear()
    end.world.wait(HOUR + 25 * MINUTE if by == SECOND else 36 * HOUR)
    assert ("RaiseAlarm heartbeat_missed" in " ".join(end.transcript)) == (by != SECOND)


def test_a_clock_that_was_ahead_and_is_set_right_loses_no_slot_and_judges_none_twice() -> None:
    """SPEC W5.1, W5.2"""
    end, peer = answering()
    step(end, 365 * DAY)
    step(end, -365 * DAY)
    assert slots(end) == {}
    end.world.wait(parsed(SLOT) - end.world.at)
    end.receive(peer.sends(peer.says(a_heartbeat(SLOT))))
    end.world.wait(DAY)
    assert slots(end) == {SLOT: "met", NEXT: "missed"}


def placed(line: Line) -> int:
    return sum("Queue" in text and "heartbeat" in text for text in line.transcript)


@pytest.mark.parametrize(("by", "again"), [(60 * SECOND, 0), (60 * SECOND + 1, 1), (HOUR, 1)])
def test_a_met_slot_is_tested_again_if_its_test_came_too_early_by_the_clock_as_set_back(by: Millis, again: int) -> None:
    """SPEC W5.1, W1.1"""
    line = Line()
    line.world.wait(10 * MINUTE)
    line.settle()
    step(line.eucom, -by)
    step(line.ndmc, -by)
    line.transcript.clear()
    for _ in range(120):
        line.world.wait(MINUTE)
        line.settle()
    assert placed(line) == again
    assert not [text for text in line.transcript if "missed" in text]
    assert slots(line.eucom) == slots(line.ndmc) == {SLOT: "met"}


def test_a_caller_whose_clock_was_ahead_tests_the_line_again_at_the_true_time() -> None:
    """SPEC W5.1, W1.1: the early test satisfies nobody."""
    line = Line()
    step(line.eucom, 10 * MINUTE)
    line.world.wait(MINUTE)
    line.settle()
    assert placed(line) == 1
    assert (slots(line.eucom), slots(line.ndmc)) == ({SLOT: "met"}, {})
    step(line.eucom, -10 * MINUTE)
    line.world.wait(9 * MINUTE)
    line.settle()
    assert placed(line) == 2
    assert slots(line.eucom) == slots(line.ndmc) == {SLOT: "met"}


@pytest.mark.parametrize(("minutes", "state"), [(24, {}), (25, {SLOT: "met"})])
def test_a_slot_whose_grace_is_over_stays_as_it_was_judged(minutes: int, state: dict[str, str]) -> None:
    """SPEC W5.1: nobody can test it any more; the side that found the test too early has raised the alarm."""
    end, peer = answering()
    step(end, 10 * MINUTE)
    end.receive(peer.sends(peer.says(a_heartbeat(SLOT))))
    assert slots(end) == {SLOT: "met"}
    end.world.wait(minutes * MINUTE)
    step(end, -10 * MINUTE)
    assert slots(end) == state


def test_a_clock_set_wrong_makes_no_early_test_of_a_slot_that_is_over_a_test_in_time() -> None:
    """SPEC W5.1, W5.2: two clocks that are wrong alike prove nothing."""
    end, peer = answering()
    end.world.wait(parsed(SLOT) - 5 * MINUTE - end.at)
    end.receive(peer.sends(peer.says(a_heartbeat(SLOT))))
    step(end, 10 * MINUTE)
    assert slots(end) == {SLOT: "met"}
    step(end, -10 * MINUTE)
    assert slots(end) == {}
    end.world.wait(MINUTE)
    step(end, 20 * MINUTE)
    assert slots(end) == {SLOT: "unknown"}
    assert SLOT in blind(end)[0].detail


def test_a_slot_that_a_wrong_clock_had_passed_over_is_watched_for_the_rest_of_its_grace() -> None:
    """SPEC W5.1, W1.2"""
    end, _peer = answering()
    step(end, 2 * HOUR)
    assert slots(end) == {SLOT: "unknown"}
    end.world.wait(parsed(SLOT) + MINUTE - end.world.at)
    step(end, -2 * HOUR)
    assert slots(end) == {}
    play(end, wait(14 * MINUTE), f"RaiseAlarm {MISSED}")


def test_a_slot_that_a_wrong_clock_had_passed_over_is_tested_if_its_grace_still_runs() -> None:
    """SPEC W5.1, W1.3"""
    end = End.started()
    step(end, 2 * HOUR)
    end.world.wait(parsed(SLOT) + MINUTE - end.world.at)
    step(end, -2 * HOUR)
    end.world.wait(0)
    assert slots(end) == {SLOT: "met"}


def test_a_slot_that_begins_within_the_grace_of_another_is_noticed_at_its_beginning() -> None:
    """SPEC W1.2"""
    end, _peer = answering()
    later = written(parsed(SLOT) + 5 * MINUTE)
    until = written(parsed(SLOT) + DAY)
    end.happens((SlotsPlanned, {"slots": (SLOT, later), "slots_until": until, "tzdata": "x"}))
    end.world.wait(parsed(SLOT) - end.world.at)
    assert end.core.next_deadline() == Deadline(parsed(later), None)
    end.world.wait(5 * MINUTE)
    assert end.core.next_deadline() == Deadline(parsed(SLOT) + 15 * MINUTE, None)


@pytest.mark.parametrize(("missed", "more"), [(64, ""), (65, " and 1 more")])
def test_a_long_blindness_lists_so_many_and_counts_the_rest(missed: int, more: str) -> None:
    """SPEC W5.2"""
    end, _peer = answering()
    slots = tuple(written(parsed(SLOT) + number * MINUTE) for number in range(missed))
    until = written(parsed(SLOT) + DAY)
    end.happens((SlotsPlanned, {"slots": slots, "slots_until": until, "tzdata": "x"}))
    sleep(end, 5 * HOUR)
    (record,) = blind(end)
    assert record.detail.count("Z") == 64
    assert record.detail.endswith(more or slots[-1])


def test_a_test_that_only_seemed_too_early_is_in_time_once_the_clock_is_set_right() -> None:
    """SPEC W5.1, W1.1"""
    end, peer = answering()
    step(end, -HOUR)
    end.world.wait(parsed(SLOT) - HOUR - end.at)
    end.receive(peer.sends(peer.says(a_heartbeat(SLOT))))
    assert slots(end) == {}
    assert end.core.snapshot().next_slot == SLOT
    step(end, HOUR)
    assert slots(end) == {SLOT: "met"}
    assert blind(end) == []
    end.world.wait(30 * MINUTE)
    assert MISSED not in end.alarms


def test_the_caller_tries_again_when_a_step_back_puts_the_slot_ahead() -> None:
    """SPEC W1.3, W5.1"""
    end = End.started(shadowed=False)
    end.outbox.stopped = "fork"
    end.world.wait(11 * MINUTE)
    end.outbox.stopped = ""
    step(end, -2 * MINUTE)
    end.transcript.clear()
    end.world.wait(MINUTE)
    assert slots(end) == {SLOT: "met"}
    assert end.transcript[0] == "Queue 1 heartbeat"


def test_a_clock_set_back_while_the_process_was_dead() -> None:
    """SPEC W5.1"""
    end, peer = answering()
    end.receive(peer.sends(peer.says(an_alert("flash"))))
    end.world.wait(parsed(SLOT) + 20 * MINUTE - end.world.at)
    assert slots(end) == {SLOT: "missed"}
    end.crash()
    end.skew -= HOUR
    end.start()
    assert slots(end) == {}
    assert [alarm.code for alarm in end.core.snapshot().alarms if alarm.code == "clock_step"]
    play(end, wait(55 * MINUTE), f"RaiseAlarm {MISSED}")


def test_the_monotonic_clock_may_begin_anew() -> None:
    """SPEC W5.1"""
    end, peer = answering(quiet=True)
    end.receive(peer.sends(peer.says(an_alert("flash"))))
    end.crash()
    end.world.wait(MINUTE)
    end.boot = end.world.at - 1
    end.start()
    play(end, wait(9 * MINUTE - 1))
    play(end, wait(1), "RaiseAlarm alert_unacknowledged/eucom/1/1")


def test_two_sleeps_in_a_row_postpone_once() -> None:
    """SPEC W5.2"""
    end, peer = answering(quiet=True)
    end.receive(peer.sends(peer.says(an_alert("flash"))))
    sleep(end, 20 * MINUTE)
    assert len(blind(end)) == 1
    end.world.wait(30 * SECOND)
    sleep(end, 10 * SECOND)
    assert len(blind(end)) == 1
    play(end, wait(20 * SECOND), "RaiseAlarm alert_unacknowledged/eucom/1/1, since 08:00:00.000Z")


# --- time zone data -----------------------------------------------------------------------------------------------


def test_new_time_zone_data_moves_the_slots_that_lie_ahead() -> None:
    """SPEC W5.1, W3"""
    end, peer = answering()
    end.world.wait(parsed(SLOT) - end.world.at)
    end.receive(peer.sends(peer.says(a_heartbeat(SLOT))))
    end.crash()

    def an_hour_later(after: Millis, until: Millis) -> tuple[str, ...]:
        return tuple(written(parsed(slot) + HOUR) for slot in slots_between(after - HOUR, until - HOUR))

    end.schedule = an_hour_later
    end.start(tzdata="2026.2")
    planned = [view.slot for view in end.core.snapshot().slots if view.state == "awaited"]
    assert planned[:2] == ["2022-11-29T09:00:00.000Z", "2022-11-29T17:00:00.000Z"]
    assert NEXT not in planned
    assert slots(end) == {SLOT: "met"}
    # the other side has the old data: it is told, and the test counts for nothing
    end.world.wait(parsed(NEXT) - end.world.at)
    end.receive(peer.sends(peer.says(a_heartbeat(NEXT))))
    (told,) = [alarm for alarm in end.core.snapshot().alarms if alarm.code == "schedule_disagreement"]
    assert "time zone data 2026.2" in told.detail


def test_a_slot_that_was_due_under_the_old_data_is_still_judged() -> None:
    """SPEC W5.1"""
    end, _peer = answering()
    end.world.wait(parsed(SLOT) + MINUTE - end.world.at)
    end.crash()
    end.schedule = lambda _after, _until: ()
    end.start(tzdata="2026.2")
    play(end, wait(14 * MINUTE), f"RaiseAlarm {MISSED}")


# --- the one timer ------------------------------------------------------------------------------------------------


def test_the_deadline_is_the_earlier_of_both_clocks() -> None:
    """SPEC W5.1"""
    end, peer = answering()
    end.receive(peer.sends(peer.says(an_alert("flash"))))
    deadline = end.core.next_deadline()
    assert deadline is not None
    assert deadline.at == parsed(SLOT)  # its beginning
    assert deadline.mono == end.mono + 10 * MINUTE
    end.happens(*test_line().happenings)
    deadline = end.core.next_deadline()
    assert deadline is not None
    assert deadline.mono is not None
    assert 750 <= deadline.mono - end.mono <= 1_250


def test_a_link_that_waits_for_nothing_has_no_deadline() -> None:
    """SPEC W5.1"""
    end = End(Link.new(TERMS.link, "ndmc"), quiet=True)
    assert end.core.next_deadline() is None
    end.start(opened=TERMS)
    assert end.core.next_deadline() is None


def test_a_deadline_of_a_dead_line_is_not_spun_on() -> None:
    """SPEC M4.4, W5.1: without a connection nothing is due but what can be judged."""
    line = Line()
    for _ in range(20):
        line.eucom.happens(*alert().happenings)
    for end in line.ends.values():
        end.happens(*LOST.happenings)
    line.world.wait(2 * DAY)


@pytest.mark.parametrize("way", [event(TransportConnected), LOST, alert()])
def test_what_happens_late_is_judged_at_its_own_deadline(way: Cue) -> None:
    """SPEC W1.2, W4: an event that comes before the wake-up finds the alarm raised, or leaves it to the next one."""
    end, peer = answering(quiet=True)
    end.receive(peer.sends(peer.says(an_alert("flash"))))
    end.world.at += HOUR
    end.happens(*way.happenings)
    end.world.wait(0)
    (raised,) = [alarm for alarm in end.core.snapshot().alarms if alarm.code == "alert_unacknowledged"]
    assert raised.raised_at == written(START + 10 * MINUTE)


def test_a_receipt_that_was_due_in_the_dark_is_unknown() -> None:
    """SPEC W5.2"""
    line = Line(quiet=True)
    line.eucom.happens(*test_line().happenings)
    line.settle(lost_from=["eucom"])
    sleep(line.eucom, HOUR)
    (record,) = blind(line.eucom)
    assert record.detail == "unknown: receipts of eucom/1/1"
