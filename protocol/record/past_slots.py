"""Judges the slots of a journal from its records: when each was due, which test met it, and what its state was.

The states and transitions are those of the watch (SPEC W1); a timeline also shows slots that the watch has forgotten.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from protocol.core.alarms import AlarmCode
from protocol.core.deadlines import SECOND
from protocol.core.effects import RaiseAlarm
from protocol.core.events import ClockStepped, Resumed, SlotsPlanned, Started
from protocol.core.watch import SETTLE_MS
from protocol.core.watch_state import SLOT, SlotState, WatchState
from protocol.record.happenings import Happening, at_work
from protocol.record.journal import Checkpoint, Entry, Record
from protocol.record.migration import migrated
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Reference, Utc
from protocol.wire.policy import Policy


class PastSlot(Struct, kw_only=True):
    """One slot as one journal records it."""

    due: Utc
    state: SlotState = SlotState.AWAITED
    # the last test that named it until one satisfied it
    test: Reference | None = None
    # when this side placed or received it, in milliseconds by the clock as it is set now; whether that was too early
    # by the clock as it was set then
    test_at: Millis = 0
    early: bool = False
    # by the policy in force when its grace ended, or at the last record before that
    grace_ms: Millis = 0

    @property
    def met_by(self) -> Reference | None:
        """The test that met it or came late."""
        return self.test if self.state in {SlotState.MET, SlotState.LATE} else None


class _KeptWatch(Struct, frozen=True):
    """The part of a checkpoint's state that is read here."""

    watch: WatchState = msgspec.field(default_factory=WatchState)


class PastSlots:
    """The slots of one journal, folded record by record.

    Attributes:
        slots: by instant, the earliest first.
    """

    def __init__(self) -> None:
        self.slots: dict[Utc, PastSlot] = {}
        self._until: Millis = 0
        # when the service was last at work
        self._worked_at: Millis = 0
        # the end of the last absence
        self._back_at: Millis = 0

    def take(self, record: Record, policy: Policy | None, blind: list[Happening]) -> None:
        """Take a record.

        Args:
            record: the next one.
            policy: in force at it, None before the first.
            blind: the absences that it ends.
        """
        entry = record.entry
        if isinstance(entry, Checkpoint) and not self._until:
            self._begin(entry)
        if policy is not None:
            self._time(entry, policy)
        if isinstance(entry, Started | SlotsPlanned):
            self._plan(entry)
            self._grant(entry.at, _grace_ms(policy))
        for absence in blind:
            self._absent(parsed(absence.since or absence.at), entry.at, _grace_ms(policy))
            if isinstance(entry, Started | Resumed):
                self._back_at = entry.at
        for effect in record.effects:
            if isinstance(effect, RaiseAlarm) and effect.alarm.code == AlarmCode.HEARTBEAT_MISSED:
                slot = self.slots.get(effect.alarm.subject)
                if slot is not None:
                    slot.state = SlotState.MISSED
        if at_work(record):
            self._worked_at = entry.at

    def called(self, at: Utc, reference: Reference, instant: Utc, policy: Policy) -> None:
        """Take a test that names a slot, placed or received at `at` (SPEC W1.1)."""
        slot = self.slots.get(instant)
        if slot is None or slot.met_by is not None:
            return
        slot.test, slot.test_at = reference, parsed(at)
        slot.early = slot.test_at < parsed(instant) - policy.skew_limit_s * SECOND
        if slot.early:
            return
        over = parsed(instant) + _grace_ms(policy)
        if slot.state is SlotState.AWAITED and slot.test_at >= over and not self._postponed(over, slot.test_at):
            # no alarm: nobody judged it when it fell due
            slot.state = SlotState.UNKNOWN
        slot.state = SLOT[slot.state, "called"]

    def judged(self, instant: Utc, upto: Millis, grace_ms: Millis) -> SlotState:
        """Return the state of a slot at `upto`: one that fell due and that nobody judged is unknown."""
        slot = self.slots[instant]
        over = parsed(instant) + grace_ms
        if slot.state is SlotState.AWAITED and upto > over and not self._postponed(over, upto):
            return SlotState.UNKNOWN
        return slot.state

    def _postponed(self, over: Millis, now: Millis) -> bool:
        """Return whether the end of a slot's grace was put off to `now`, after an absence (SPEC W5.2)."""
        return self._back_at <= over and now < self._back_at + SETTLE_MS

    def _begin(self, entry: Checkpoint) -> None:
        """Take the slots of the checkpoint that a journal begins with."""
        try:
            kept = msgspec.json.decode(migrated(entry.state, entry.core, entry.rules), type=_KeptWatch).watch
        except ValueError:
            return
        for instant, slot in kept.slots.items():
            test = Reference.parse(slot.test) if slot.test else None
            self.slots[instant] = PastSlot(
                due=instant, state=slot.state, test=test, test_at=slot.test_at, early=slot.early
            )
        self._until = kept.slots_until

    def _plan(self, entry: Started | SlotsPlanned) -> None:
        """Take planned slots. A start's replace those that lie ahead; later ones those after the end of the plan.

        One beyond the plan that has a test is kept, since the clock may have been set back wrongly.
        """
        after, until = (entry.at if isinstance(entry, Started) else self._until), parsed(entry.slots_until)
        planned = set(entry.slots)
        for instant, slot in [*self.slots.items()]:
            begins = parsed(instant)
            stays = slot.state is not SlotState.AWAITED or instant in planned or begins <= after
            if not stays and (slot.test is None or begins <= until):
                del self.slots[instant]
        for instant in entry.slots:
            self.slots.setdefault(instant, PastSlot(due=instant))
        self.slots = dict(sorted(self.slots.items()))
        self._until = until

    def _grant(self, at: Millis, grace_ms: Millis) -> None:
        """Note the grace of the slots whose grace is not over: another epoch may change it for those to come."""
        for instant, slot in self.slots.items():
            if not slot.grace_ms or at < parsed(instant) + slot.grace_ms:
                slot.grace_ms = grace_ms

    def _absent(self, since: Millis, until: Millis, grace_ms: Millis) -> None:
        """Mark the slots whose grace ended while nobody watched (SPEC W5.2)."""
        for instant, slot in self.slots.items():
            if slot.state is SlotState.AWAITED and since < parsed(instant) + grace_ms <= until:
                slot.state = SLOT[slot.state, "blind"]

    def _time(self, entry: Entry, policy: Policy) -> None:
        """Judge the slots again after the clock was set, or was found set back at a start (SPEC W5.1)."""
        if isinstance(entry, ClockStepped):
            self._clock_moved(entry.at, entry.step_ms, policy)
        elif isinstance(entry, Started) and entry.at < self._worked_at:
            self._clock_moved(entry.at, entry.at - self._worked_at, policy)

    def _clock_moved(self, at: Millis, step_ms: Millis, policy: Policy) -> None:
        for instant, slot in self.slots.items():
            begins = parsed(instant)
            over = at >= begins + _grace_ms(policy)
            slot.test_at += step_ms
            too_early = slot.test_at < begins - policy.skew_limit_s * SECOND
            if slot.met_by is not None:
                ahead = too_early and not over
            else:
                # of one that was missed or is awaited, only its beginning counts: nobody can test it any more
                ahead = step_ms < 0 and (not over if slot.state is SlotState.UNKNOWN else begins > at)
            if ahead:
                slot.state = SlotState.AWAITED
            elif slot.state is SlotState.AWAITED and slot.test is not None and not too_early:
                # the test seemed too early by a clock that was wrong
                in_time = slot.test_at < begins + _grace_ms(policy) and not (slot.early and over)
                slot.state = SlotState.MET if in_time else slot.state
        if step_ms < 0:
            self._until = min(self._until, at)


def _grace_ms(policy: Policy | None) -> Millis:
    return 0 if policy is None else policy.grace_s * SECOND
