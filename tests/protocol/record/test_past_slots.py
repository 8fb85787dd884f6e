"""The slots of a journal are judged as the watch judged them; `tests/sim` compares both in whole months."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.core import events
from protocol.core.alarms import Alarm, AlarmCode
from protocol.core.effects import AnyEffect, RaiseAlarm
from protocol.core.watch_state import SlotState
from protocol.record.happenings import Happenings
from protocol.record.journal import Checkpoint, Entry, Record
from protocol.record.past_slots import PastSlots
from protocol.wire.instants import parsed, written
from protocol.wire.messages import Reference
from tests.support.journal_samples import raw_state
from tests.support.world import MINUTE, SECOND
from tests.vectors.terms import EPOCH_1

POLICY = EPOCH_1.policy
SLOT = "2022-11-29T08:00:00.000Z"
BEGINS = parsed(SLOT)
OVER = BEGINS + POLICY.grace_s * SECOND
TEST, LATER = Reference("eucom", 1, 1), Reference("eucom", 1, 2)


class Journal:
    """Feeds records to the slots of a journal that started two hours before `SLOT`."""

    def __init__(self, *slots: str) -> None:
        self.slots = PastSlots()
        self.happenings = Happenings()
        self.started(BEGINS - 120 * MINUTE, *(slots or (SLOT,)))

    def take(self, entry: Entry, *effects: AnyEffect) -> None:
        record = Record(1, "eucom-ndmc", "ndmc", 1, entry, effects, "", "")
        before = len(self.happenings.listed)
        self.happenings.take(record)
        blind = [each for each in self.happenings.listed[before:] if each.what == "blind"]
        self.slots.take(record, POLICY, blind)

    def happens(self, at: int, kind: type[Any], **fields: Any) -> None:
        self.take(kind(at=at, mono=0, **fields))

    def started(self, at: int, *slots: str, until: int = BEGINS + 240 * MINUTE) -> None:
        fields = {"software": "1", "slots": slots, "slots_until": written(until), "tzdata": "2026.1"}
        self.happens(at, events.Started, **fields)

    def called(self, at: int, test: Reference = TEST, slot: str = SLOT) -> None:
        self.slots.called(written(at), test, slot, POLICY)

    def missed(self, slot: str = SLOT) -> None:
        alarm = Alarm(
            code=AlarmCode.HEARTBEAT_MISSED,
            severity="critical",
            subject=slot,
            raised_at=written(OVER),
            detected_at=written(OVER),
        )
        self.take(events.BatchClosed(at=OVER, mono=0), RaiseAlarm(alarm=alarm))

    def set_clock(self, at: int, step_ms: int) -> None:
        """Set the clock by `step_ms`, to `at`."""
        self.happens(at, events.ClockStepped, step_ms=step_ms)

    def state(self) -> tuple[SlotState, Reference | None]:
        """Return the state of `SLOT`, and the test that met it."""
        slot = self.slots.slots[SLOT]
        return slot.state, slot.met_by


def test_a_test_in_time_meets_its_slot_once() -> None:
    journal = Journal()
    journal.called(BEGINS + MINUTE)
    journal.called(BEGINS + 2 * MINUTE, LATER)
    assert journal.state() == (SlotState.MET, TEST)


def test_a_test_of_another_slot_or_too_early_meets_nothing() -> None:
    journal = Journal()
    journal.called(BEGINS, slot="2022-11-29T09:00:00.000Z")
    journal.called(BEGINS - POLICY.skew_limit_s * SECOND - 1)
    assert journal.state() == (SlotState.AWAITED, None)


def test_a_test_after_the_alarm_is_late() -> None:
    journal = Journal()
    journal.missed()
    journal.missed("2022-11-29T09:00:00.000Z")
    assert journal.state() == (SlotState.MISSED, None)
    journal.called(OVER + MINUTE)
    assert journal.state() == (SlotState.LATE, TEST)


def test_a_test_after_a_grace_that_nobody_judged_is_late() -> None:
    journal = Journal()
    assert journal.slots.judged(SLOT, OVER, OVER - BEGINS) is SlotState.AWAITED
    assert journal.slots.judged(SLOT, OVER + 1, OVER - BEGINS) is SlotState.UNKNOWN
    journal.called(OVER)
    assert journal.state() == (SlotState.LATE, TEST)


def test_what_waited_at_the_broker_meets_a_slot_whose_grace_ends_just_after_an_absence() -> None:
    journal = Journal()
    journal.happens(OVER - 5 * SECOND, events.Resumed, since=written(OVER - 10 * SECOND))
    assert journal.slots.judged(SLOT, OVER + SECOND, OVER - BEGINS) is SlotState.AWAITED
    journal.called(OVER + 10 * SECOND)
    assert journal.state() == (SlotState.MET, TEST)


def test_a_slot_whose_grace_ended_in_an_absence_is_unknown() -> None:
    journal = Journal()
    journal.called(BEGINS + MINUTE)
    journal.happens(OVER + MINUTE, events.Resumed, since=written(BEGINS))
    assert journal.state() == (SlotState.MET, TEST)
    journal = Journal()
    journal.set_clock(OVER + MINUTE, 60 * MINUTE)
    assert journal.state() == (SlotState.UNKNOWN, None)
    # the clock had been wrong: the slot lies ahead again
    journal.set_clock(OVER - 59 * MINUTE, -60 * MINUTE)
    assert journal.state() == (SlotState.AWAITED, None)


def test_a_test_that_proves_too_early_does_not_meet_its_slot_until_the_clock_is_right_again() -> None:
    journal = Journal()
    journal.called(BEGINS + MINUTE)
    journal.set_clock(BEGINS - 28 * MINUTE, -30 * MINUTE)
    assert journal.state() == (SlotState.AWAITED, None)
    journal.set_clock(BEGINS + 3 * MINUTE, 30 * MINUTE)
    assert journal.state() == (SlotState.MET, TEST)
    # once the grace is over, a test that came too early by the clock as it was does not count
    early = Journal()
    early.called(BEGINS - 30 * MINUTE)
    early.set_clock(OVER + MINUTE, 31 * MINUTE)
    assert early.state() == (SlotState.UNKNOWN, None)


def test_a_start_with_a_clock_that_was_set_back_judges_the_slots_again() -> None:
    journal = Journal()
    journal.called(BEGINS + MINUTE)
    journal.happens(BEGINS + 2 * MINUTE, events.BatchClosed)
    journal.started(BEGINS - 30 * MINUTE, SLOT)
    assert journal.state() == (SlotState.AWAITED, None)
    assert Journal().state() == (SlotState.AWAITED, None)


def test_a_missed_slot_stays_missed_unless_it_lies_ahead_again() -> None:
    journal = Journal()
    journal.missed()
    journal.set_clock(BEGINS + 10 * MINUTE, -20 * MINUTE)
    assert journal.state() == (SlotState.MISSED, None)
    journal.set_clock(BEGINS - 10 * MINUTE, -20 * MINUTE)
    assert journal.state() == (SlotState.AWAITED, None)


def test_a_new_plan_replaces_the_slots_that_lie_ahead() -> None:
    other, far = "2022-11-29T09:00:00.000Z", "2022-11-30T09:00:00.000Z"
    journal = Journal(SLOT, other, far)
    journal.called(parsed(far) - 240 * MINUTE, slot=far)
    journal.started(BEGINS - 60 * MINUTE, SLOT)
    # one beyond the plan that a test names is kept: the clock may have been set back wrongly
    assert list(journal.slots.slots) == [SLOT, far]
    journal.happens(BEGINS, events.SlotsPlanned, slots=(), slots_until=far, tzdata="2026.1")
    assert list(journal.slots.slots) == [SLOT]


def test_a_journal_that_begins_at_a_checkpoint_takes_its_slots() -> None:
    slots = PastSlots()
    slot = {"due_at": OVER, "state": "late", "test": "eucom/1/1", "test_at": OVER + SECOND, "begun": True}
    later = {"due_at": OVER + 60 * MINUTE}
    watch = {"slots": {SLOT: slot, "2022-11-29T09:00:00.000Z": later}, "slots_until": BEGINS}
    state = raw_state(link="eucom-ndmc", side="ndmc", watch=watch)
    checkpoint = Checkpoint(at=BEGINS, mono=0, rules="4", core="Link", state=state)
    slots.take(Record(9, "eucom-ndmc", "ndmc", 9, checkpoint, (), "", ""), None, [])
    assert [(each.state, each.met_by) for each in slots.slots.values()] == [
        (SlotState.LATE, TEST),
        (SlotState.AWAITED, None),
    ]


@pytest.mark.parametrize("state", [raw_state(watch=7), raw_state(watch={"slots": {SLOT: {"due_at": "soon"}}})])
def test_a_checkpoint_that_cannot_be_read_has_no_slots(state: Any) -> None:
    slots = PastSlots()
    checkpoint = Checkpoint(at=BEGINS, mono=0, rules="4", core="Link", state=state)
    slots.take(Record(9, "eucom-ndmc", "ndmc", 9, checkpoint, (), "", ""), None, [])
    assert not slots.slots
