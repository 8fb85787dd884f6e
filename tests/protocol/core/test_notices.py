"""Notifications of alarms and slots: over, repeated, held back, bounded (SPEC W1.6, W1.7, W4)."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from protocol.core.alarm_repeats import REPEAT_FIRST_MS, REPEAT_MS, ROUND_MAX, ROUND_MS, WARNING_MS
from protocol.core.alarms import Alarm
from protocol.core.effects import Effect, Notify
from protocol.core.environment import GONE_MS
from protocol.core.event import Event
from protocol.core.events import (
    AlarmAcknowledged,
    CertificateSeen,
    ClockStepped,
    CredentialsRefused,
    DeadlineReached,
    LineTestRequested,
    NotificationDone,
    PeerPresenceChanged,
    PublishRefused,
    Resumed,
    SinkFailed,
    SpaceLow,
    SpaceOk,
    TransportLost,
)
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.errors import LocalProtocolError
from protocol.wire.instants import written
from tests.support.cast import see, test_line
from tests.support.playbook import Cue, event
from tests.support.world import HOUR, MINUTE, NONCE, SECOND, START, End, terms

LOW, OK = event(SpaceLow, free_bytes=5 << 20), event(SpaceOk, free_bytes=1 << 30)
RAISED = f"alarm/space_low/journal/{written(START)}"
GONE, BACK = (event(PeerPresenceChanged, party="ndmc", present=present) for present in (False, True))
SLOT = "2022-11-29T08:00:00.000Z"
PLACED_BY_OFFICERS = terms(placed_by="officer")


def quiet() -> End:
    return End.started(quiet=True)


def done(end: End, *cues: Cue) -> list[Effect]:
    """Return the effects of what happens at an end."""
    return [effect for cue in cues for effect in end.happens(*cue.happenings)]


def waited(end: End, duration: int) -> list[Effect]:
    """Let time pass at one end; return the effects of its deadlines."""
    found: list[Effect] = []
    until = end.world.at + duration
    while end.due() <= until:
        end.world.at = max(end.world.at, int(end.due()))
        before = end.core.next_deadline()
        found += end.happens((DeadlineReached, {"nonce": NONCE}))
        assert end.core.next_deadline() != before, "it spins"
    end.world.at = until
    return found


def notices(effects: list[Effect]) -> list[str]:
    return [effect.id for effect in effects if isinstance(effect, Notify)]


def about(effects: list[Effect]) -> list[Alarm]:
    return [each.alarm for each in effects if isinstance(each, Notify) and each.alarm is not UNSET]


# --- over ---------------------------------------------------------------------------------------------------------


def test_the_end_of_an_alarm_is_notified_like_its_beginning() -> None:
    """SPEC W4.1"""
    end = quiet()
    assert notices(done(end, LOW)) == [RAISED]
    end.world.at += SECOND
    over = done(end, OK)
    assert notices(over) == [f"{RAISED}/over"]
    assert about(over)[0].cleared_at == written(START + SECOND)
    # nobody has delivered the first one yet: it stays true that the alarm was raised
    assert list(end.core.state.notifications.pending) == [RAISED, f"{RAISED}/over"]
    assert notices(done(end, OK)) == []


def test_what_is_over_already_is_one_notification_that_says_so() -> None:
    """SPEC W4.1"""
    end = quiet()
    found = done(end, event(ClockStepped, step_ms=SECOND))
    assert notices(found) == [f"alarm/clock_step/{written(START)}/{written(START)}"]
    assert about(found)[0].cleared_at == written(START)


# --- repeats ------------------------------------------------------------------------------------------------------


def test_an_alarm_is_repeated_until_an_officer_acknowledges_it() -> None:
    """SPEC W4.2"""
    end = quiet()
    done(end, LOW)
    assert notices(waited(end, REPEAT_FIRST_MS - 1)) == []
    first = waited(end, 1)
    assert notices(first) == [f"{RAISED}/repeat/1"]
    assert [each.repeat for each in first if isinstance(each, Notify)] == [1]
    assert notices(waited(end, 2 * REPEAT_MS)) == [f"{RAISED}/repeat/2", f"{RAISED}/repeat/3"]
    # each takes the place of the one before it, so that a receiver that comes back is not flooded
    assert list(end.core.state.notifications.pending) == [f"{RAISED}/repeat/3"]
    done(end, event(NotificationDone, id=f"{RAISED}/repeat/3", delivered=True), see("space_low", "journal"))
    assert notices(waited(end, 3 * HOUR)) == []
    assert notices(done(end, OK)) == [f"{RAISED}/over"]


def test_an_alarm_that_is_over_is_not_repeated() -> None:
    """SPEC W4.2"""
    end = quiet()
    done(end, LOW, OK)
    assert notices(waited(end, 3 * HOUR)) == []
    # raised anew, it begins anew
    raised = notices(done(end, LOW))
    assert notices(waited(end, REPEAT_FIRST_MS)) == [f"{raised[0]}/repeat/1"]


def test_a_restart_keeps_the_repeats() -> None:
    """SPEC W4.2"""
    end = quiet()
    done(end, LOW)
    waited(end, 5 * MINUTE)
    end.crash()
    end.world.at += 3 * MINUTE
    end.start()
    assert notices(waited(end, 2 * MINUTE)) == [f"{RAISED}/repeat/1"]


def test_a_storm_is_repeated_in_rounds_the_most_severe_first() -> None:
    """SPEC W4.2"""
    end = quiet()
    done(end, LOW, event(CredentialsRefused, count=10, source="uid-1000"))
    for whose in ("own", "authority", "broker"):
        done(end, event(CertificateSeen, whose=whose, ends_at=written(START)))
    done(end, *[event(SinkFailed, sink=sink, why="no") for sink in ("log", "command", "webhook", "dead_man")])
    done(end, *[event(PublishRefused, channel=channel, code=135, reason="") for channel in ("message", "receipt")])
    total = 13
    assert len(end.core.state.alarm_repeats.waiting) == total, "a warning is not repeated"
    first = [alarm for alarm in about(waited(end, REPEAT_FIRST_MS)) if alarm.active]
    assert [alarm.severity for alarm in first] == ["critical"] * 2 + ["major"] * (ROUND_MAX - 2)
    assert first[2].code == "space_low", "the oldest first"
    assert about(waited(end, ROUND_MS - 1)) == []
    rest = about(waited(end, 1))
    assert len({f"{alarm.code}/{alarm.subject}" for alarm in (*first, *rest)}) == total
    # the time of each counts from its own repeat
    assert len(about(waited(end, REPEAT_MS - ROUND_MS))) == ROUND_MAX


# --- warnings that come and go ------------------------------------------------------------------------------------


def test_a_warning_that_comes_and_goes_does_not_flood() -> None:
    """SPEC W4.4"""
    end = quiet()
    found: list[str] = []
    for _ in range(60):
        found += notices(done(end, GONE)) + notices(waited(end, GONE_MS)) + notices(done(end, BACK))
    assert [each.rpartition("Z")[2] for each in found] == ["", "/over"]
    # what stands at the end of the time is notified then, and its end with it
    done(end, GONE)
    assert notices(waited(end, GONE_MS)) == []
    held = waited(end, WARNING_MS)
    assert [each.cleared_at for each in about(held)] == [UNSET]
    assert [each.repeat for each in held if isinstance(each, Notify)] == [0]
    assert notices(done(end, BACK)) == [f"{notices(held)[0]}/over"]
    # and a later one at once
    waited(end, WARNING_MS)
    done(end, GONE)
    assert len(notices(waited(end, GONE_MS))) == 1
    assert end.core.state.alarm_repeats.warned.keys() == {"peer_disconnected/ndmc"}


# --- slots whose tests officers place -----------------------------------------------------------------------------


def caller() -> End:
    return End.started(opened=PLACED_BY_OFFICERS)


def slots_told(end: End) -> list[str]:
    """Return how the ids of the notices of the slot end."""
    begin = f"Notify slot/{SLOT}"
    return [line.removeprefix(begin) for line in end.transcript if line.startswith(begin)]


def test_an_officer_is_notified_of_an_open_slot_and_once_more_at_half_of_its_grace() -> None:
    """SPEC W1.6"""
    end = caller()
    assert notices(waited(end, 10 * MINUTE - 1)) == []
    (opened,) = [each for each in waited(end, 1) if isinstance(each, Notify)]
    until = "2022-11-29T08:15:00.000Z"
    assert opened == Notify(id=f"slot/{SLOT}", kind="slot", slot=SLOT, until=until)
    assert notices(waited(end, 450 * SECOND - 1)) == []
    (reminder,) = [each for each in waited(end, 1) if isinstance(each, Notify)]
    assert reminder == Notify(id=f"slot/{SLOT}/1", kind="slot", slot=SLOT, until=until, repeat=1)
    assert [each for each in notices(waited(end, HOUR)) if each.startswith("slot/")] == []


def test_nobody_is_reminded_of_a_test_that_was_placed() -> None:
    """SPEC W1.6, W1.7"""
    end = caller()
    waited(end, 11 * MINUTE)
    done(end, test_line(officer="watch-1"))
    assert [each for each in notices(waited(end, HOUR)) if each.startswith("slot/")] == []
    (test,) = end.core.snapshot().tests
    assert (test.placed_by, test.heartbeat.slot) == ("watch-1", SLOT)


def test_a_start_within_an_open_slot_notifies_of_it_once() -> None:
    """SPEC W1.6"""
    for minutes, told in ((2, ["", "/1"]), (9, [""])):
        end = caller()
        end.crash()
        end.world.at += (10 + minutes) * MINUTE
        end.start()
        waited(end, HOUR)
        assert slots_told(end) == told
    # one that was notified before it is not notified again
    end = caller()
    waited(end, 11 * MINUTE)
    end.crash()
    end.world.at += MINUTE
    end.start()
    waited(end, HOUR)
    # the first one again, since it is not delivered yet
    assert slots_told(end) == ["", "", "/1"]


def test_a_test_that_is_placed_withdraws_the_notice_of_its_slot() -> None:
    """SPEC W1.6"""
    end = caller()
    waited(end, 11 * MINUTE)
    done(end, test_line(officer="watch-1"))
    end.crash()
    end.start()
    assert slots_told(end) == [""]
    assert end.core.state.notifications.pending == {}


def test_a_wake_up_within_an_open_slot_notifies_of_it_and_behind_it_does_not() -> None:
    """SPEC W1.6"""
    for minutes, told in ((12, ["", "/1"]), (25, [])):
        end = caller()
        asleep = end.at
        end.world.at += minutes * MINUTE
        end.happens((Resumed, {"since": written(asleep)}))
        waited(end, HOUR)
        assert slots_told(end) == told


def test_a_slot_that_settles_after_its_grace_notifies_nobody() -> None:
    """SPEC W1.6: nobody may place its test any more."""
    end = caller()
    waited(end, 9 * MINUTE)
    asleep = end.at
    end.world.at += 15 * MINUTE + 30 * SECOND
    end.core.handle(Resumed(at=end.at, mono=end.mono, since=written(asleep)))
    end.world.at += 40 * SECOND
    waited(end, HOUR)
    assert slots_told(end) == []


@pytest.mark.parametrize(("back", "told"), [(2 * SECOND, ["", "/1"]), (9 * MINUTE, ["", "/1", "/2"])])
def test_a_clock_that_is_set_back_before_a_slot(back: int, told: list[str]) -> None:
    """SPEC W1.6: who was notified shortly before is reminded only; who was notified long before is notified again."""
    end = caller()
    waited(end, 10 * MINUTE + SECOND)
    end.skew -= back
    end.happens((ClockStepped, {"step_ms": -back}))
    waited(end, HOUR)
    assert slots_told(end) == told


def test_only_the_caller_whose_officers_place_tests_is_notified() -> None:
    """SPEC W1.6"""
    ends = [End.started("ndmc", PLACED_BY_OFFICERS), End.started(), End(Observer.new("eucom-ndmc"))]
    ends[2].start(opened=PLACED_BY_OFFICERS)
    for end in ends:
        assert [each for each in notices(waited(end, HOUR)) if each.startswith("slot/")] == []


def test_the_test_of_a_slot_names_the_officer_who_places_it() -> None:
    """SPEC W1.7"""
    end = caller()
    unscheduled = test_line()
    done(end, unscheduled)
    assert end.core.snapshot().tests[0].placed_by is None
    waited(end, 10 * MINUTE)
    request = LineTestRequested(at=end.at, mono=end.mono, request="x", nonce=NONCE)
    with pytest.raises(LocalProtocolError, match="an officer has to place its test") as refused:
        end.core.handle(request)
    assert refused.value.code == "not_authorised"
    # rules 1 to 3 placed it for nobody: their journals are continued
    assert isinstance(end.core, Link)
    end.core.handle(request, rules=3)
    assert [test.placed_by for test in end.core.snapshot().tests] == [None, None]
    assert end.core.snapshot().slots[0].state == "met"


def test_the_last_slot_of_a_plan_is_notified_as_well() -> None:
    """SPEC W1.6"""
    end = End(Link.new("eucom-ndmc", "eucom"))
    end.schedule = lambda _after, _until: (SLOT,)
    end.start(opened=PLACED_BY_OFFICERS)
    waited(end, 10 * MINUTE)
    assert slots_told(end) == [""]


def test_nobody_is_notified_of_what_older_rules_did_not_notify() -> None:
    """Journals of rules 1 to 3 are continued (docs/journal.md): the start must not report what ended long ago."""
    end = End.started(opened=PLACED_BY_OFFICERS)
    assert isinstance(end.core, Link)
    found: list[Effect] = []

    def recorded(kind: type[Event], **fields: object) -> None:
        found.extend(end.core.handle(kind(at=end.at, mono=end.mono, **fields), rules=3))

    recorded(SpaceLow, free_bytes=1)
    end.world.at += REPEAT_FIRST_MS
    # a slot has opened as well
    recorded(DeadlineReached, nonce=NONCE)
    recorded(SpaceOk, free_bytes=1 << 40)
    # rules 1 to 3 raised this at once, and kept it when the connection was lost
    recorded(PeerPresenceChanged, party="ndmc", present=False)
    recorded(TransportLost, reason="timeout")

    gone = f"alarm/peer_disconnected/ndmc/{written(end.at)}"
    assert notices(found) == [RAISED, gone]
    assert end.core.snapshot().alarms[-1].active
    # what is true still is notified by the present rules
    assert f"slot/{SLOT}" in notices(end.happens((DeadlineReached, {"nonce": NONCE})))


def test_older_rules_held_no_warning_back() -> None:
    """One that a journal of rules 1 to 3 raised twice was notified twice, and is not notified again at the upgrade."""
    end = quiet()
    found: list[Effect] = []
    for present in (False, True, False):
        end.world.wait(SECOND)
        gone = PeerPresenceChanged(at=end.at, mono=end.mono, party="ndmc", present=present)
        found += end.core.handle(gone, rules=3)
    assert notices(found) == [f"alarm/peer_disconnected/ndmc/{written(START + after * SECOND)}" for after in (1, 3)]
    assert notices(waited(end, 2 * WARNING_MS)) == []


def test_an_older_acknowledgement_of_an_alarm_that_is_not_raised_now_is_passed_over() -> None:
    """Rules 1 and 2 raised `clock_skew` otherwise, and an officer may have acknowledged it (docs/journal.md)."""
    end = quiet()
    seen = AlarmAcknowledged(
        at=end.at, mono=end.mono, request="x", officer="watch-1", code="clock_skew", subject="ndmc/ahead"
    )
    with pytest.raises(LocalProtocolError, match="there is no alarm clock_skew/ndmc/ahead"):
        end.core.handle(seen)
    assert end.core.handle(seen, rules=3) == ()
    assert end.core.reference_of("x") == "clock_skew/ndmc/ahead"
